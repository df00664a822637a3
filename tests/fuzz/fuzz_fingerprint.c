/* JA3 and JA4. The input is a ClientHello message from its type on; what can be read has both, of
 * the right shape, and the same ones when its record is read instead. */
#include "core/assert.h"
#include "protocols/tls/ja3.h"
#include "protocols/tls/ja4.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_shape(const char *ja3, const char *ja4)
{
    nu_assert(strlen(ja3) == 32 && strspn(ja3, "0123456789abcdef") == 32);
    nu_assert(strlen(ja4) == 36 && ja4[10] == '_' && ja4[23] == '_');
    nu_assert(strspn(ja4 + 11, "0123456789abcdef") == 12);
    nu_assert(strspn(ja4 + 24, "0123456789abcdef") == 12);
    for (int i = 0; i < 10; i++)
        nu_assert((ja4[i] >= '0' && ja4[i] <= '9') || (ja4[i] >= 'a' && ja4[i] <= 'z') ||
                  (i >= 8 && ja4[i] >= 'A' && ja4[i] <= 'Z'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t record[5 + 16384];
    struct nu_client_hello ch, again;
    char ja3[2][NU_JA3_BYTES], ja4[2][NU_JA4_BYTES];
    enum nu_err answer = nu_client_hello_message(&ch, data, len);
    nu_assert(answer == NU_OK || answer == NU_ERR_SYNTAX || answer == NU_ERR_LIMIT);
    if (answer != NU_OK)
        return 0;
    nu_assert(nu_ja3(&ch, ja3[0]) && nu_ja4(&ch, NU_JA4_TCP, ja4[0]));
    check_shape(ja3[0], ja4[0]);
    if (len > 16384)
        return 0;
    memcpy(record, (uint8_t[]){22, 3, 1, (uint8_t)(len >> 8), (uint8_t)len}, 5);
    memcpy(record + 5, data, len);
    nu_client_hello_init(&again);
    nu_assert(nu_client_hello_feed(&again, record, len + 5) == NU_OK);
    nu_assert(nu_ja3(&again, ja3[1]) && nu_ja4(&again, NU_JA4_TCP, ja4[1]));
    nu_assert(strcmp(ja3[0], ja3[1]) == 0 && strcmp(ja4[0], ja4[1]) == 0);
    nu_client_hello_free(&again);
    return 0;
}
