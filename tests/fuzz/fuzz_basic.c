/* Values of Authorization: name and password lie in the room, without NUL, and base64 that is
 * written anew from them is read the same. */
#include "core/assert.h"
#include "protocols/http/basic.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void again(struct nu_text name, struct nu_text password)
{
    uint8_t plain[NU_BASIC_MAX_BYTES];
    char value[2 * NU_BASIC_MAX_BYTES] = "Basic ", room[NU_BASIC_MAX_BYTES];
    struct nu_text name2, password2;
    memcpy(plain, name.at, name.len + 1 + password.len);
    int n = EVP_EncodeBlock((uint8_t *)value + 6, plain, (int)(name.len + 1 + password.len));
    nu_assert(nu_basic_read(nu_text(value, (size_t)n + 6), room, &name2, &password2) ==
              NU_BASIC_OK);
    nu_assert(name2.len == name.len && password2.len == password.len);
    nu_assert(memcmp(room, plain, name.len + 1 + password.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char room[NU_BASIC_MAX_BYTES];
    struct nu_text name, password;
    char *copy = malloc(len ? len : 1); /* of that size, so that a byte too far is noticed */
    nu_assert(copy != NULL);
    memcpy(copy, data, len);
    if (nu_basic_read(nu_text(copy, len), room, &name, &password) == NU_BASIC_OK) {
        nu_assert(name.at == room && password.at == room + name.len + 1);
        nu_assert(name.len + 1 + password.len <= sizeof room);
        nu_assert(!memchr(room, 0, name.len + 1 + password.len) && !memchr(name.at, ':', name.len));
        again(name, password);
    } else {
        nu_assert(name.len == 0 && password.len == 0);
    }
    free(copy);
    return 0;
}
