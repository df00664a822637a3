/* Ticket keys as files hold them. Main thread; no OpenSSL state. */
#ifndef NU_TLS_TICKET_KEYS_H
#define NU_TLS_TICKET_KEYS_H

#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

struct nu_ticket_key {
    uint8_t name[16];
    uint8_t hmac[32], aes[32];
    uint8_t half; /* bytes of each key: 32, or 16 in the short form */
};

/* Reads the keys of one file's content: 80 or 48 raw bytes, or lines of either in Base64. NU_OK:
 * *count of them, `seal` is the place of the one to seal with. NU_ERR_SYNTAX, NU_ERR_LIMIT (more
 * than `most`): *why says why. */
enum nu_err nu_ticket_keys_parse(const uint8_t *text, size_t len, struct nu_ticket_key *out,
                                 unsigned most, unsigned *count, unsigned *seal, const char **why);

#endif
