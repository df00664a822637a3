/* The opening handshake of WebSocket; see handshake.h. */
#include "protocols/ws/handshake.h"

#include "core/assert.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

const char *nu_ws_fault_str(enum nu_ws_fault fault)
{
#define NAME(id, name, status) name,
    static const char *const names[] = {NU_WS_FAULTS(NAME)};
#undef NAME
    nu_assert((unsigned)fault < sizeof names / sizeof *names);
    return names[fault];
}

unsigned nu_ws_fault_status(enum nu_ws_fault fault)
{
#define STATUS(id, name, status) status,
    static const unsigned statuses[] = {NU_WS_FAULTS(STATUS)};
#undef STATUS
    nu_assert((unsigned)fault < sizeof statuses / sizeof *statuses);
    return statuses[fault];
}

bool nu_ws_is_offered(struct nu_text upgrade)
{
    struct nu_text token;
    while (nu_http_list_next(&upgrade, &token))
        if (nu_text_is_fold(token, "websocket"))
            return true;
    return false;
}

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

bool nu_ws_is_key(struct nu_text key)
{
    if (key.len != NU_WS_KEY_LEN || memcmp(key.at + NU_WS_KEY_LEN - 2, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < NU_WS_KEY_LEN - 2; i++)
        if (!is_base64(key.at[i]))
            return false;
    return true;
}

/* The one value of a field that must be there once; empty: it is not. */
static struct nu_text only(const struct nu_http_head *head, enum nu_hdr id)
{
    const struct nu_http_field *field = nu_http_get(head, id);
    return field && !nu_http_next(head, field) ? nu_http_field_value(field) : nu_text("", 0);
}

enum nu_ws_fault nu_ws_judge_request(const struct nu_http_head *head)
{
    if (head->method_id != NU_METHOD_GET)
        return NU_WS_METHOD;
    if (!nu_text_is(only(head, NU_HDR_WS_VERSION), "13"))
        return NU_WS_VERSION;
    if (head->version < NU_HTTP_2 && !nu_ws_is_key(only(head, NU_HDR_WS_KEY)))
        return NU_WS_KEY;
    return NU_WS_FINE;
}

static void base64(char *out, const uint8_t *bytes, size_t len)
{
    unsigned char text[32]; /* EVP ends it with a NUL */
    int n = EVP_EncodeBlock(text, bytes, (int)len);
    memcpy(out, text, (size_t)n);
}

void nu_ws_accept(struct nu_text key, char out[static NU_WS_ACCEPT_LEN])
{
    uint8_t both[NU_WS_KEY_LEN + sizeof GUID - 1], hash[SHA_DIGEST_LENGTH];
    nu_assert(key.len == NU_WS_KEY_LEN);
    memcpy(both, key.at, NU_WS_KEY_LEN);
    memcpy(both + NU_WS_KEY_LEN, GUID, sizeof GUID - 1);
    SHA1(both, sizeof both, hash);
    base64(out, hash, sizeof hash);
}

void nu_ws_key(const uint8_t nonce[static 16], char out[static NU_WS_KEY_LEN])
{
    base64(out, nonce, 16);
}

bool nu_ws_is_granted(const struct nu_http_head *response, struct nu_text key)
{
    char accept[NU_WS_ACCEPT_LEN];
    struct nu_text said = only(response, NU_HDR_WS_ACCEPT);
    if (!nu_ws_is_key(key) || !nu_text_is_fold(response->upgrade, "websocket"))
        return false;
    nu_ws_accept(key, accept);
    return said.len == sizeof accept && memcmp(said.at, accept, sizeof accept) == 0;
}

bool nu_ws_is_deflate(const struct nu_http_head *response)
{
    static const char name[] = "permessage-deflate";
    const struct nu_http_field *field = nu_http_get(response, NU_HDR_WS_EXTENSIONS);
    for (; field; field = nu_http_next(response, field)) {
        struct nu_text rest = nu_http_field_value(field), one;
        while (nu_http_list_next(&rest, &one)) {
            if (one.len >= sizeof name - 1 &&
                nu_text_is_fold(nu_text(one.at, sizeof name - 1), name) &&
                (one.len == sizeof name - 1 || memchr("; \t", one.at[sizeof name - 1], 3)))
                return true;
        }
    }
    return false;
}
