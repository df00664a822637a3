/* The secrets of a connection as lines of a key log (SSLKEYLOGFILE), for the file that it is
 * written to. One thread. */
#ifndef NU_TOOLS_TAP_WRITE_KEYS_H
#define NU_TOOLS_TAP_WRITE_KEYS_H

#include "tls/secrets.h"

#include <stdbool.h>

#define TAP_KEY_LINE_MAX  320 /* bytes: a label, an id and a secret in hexadecimal digits */
#define TAP_KEY_LINES_MAX (NU_SECRET_KINDS * TAP_KEY_LINE_MAX)

/* By what its secrets are found, and which of them the file has. */
struct tap_key_id {
    uint8_t bytes[NU_SECRET_ID_BYTES];
    uint8_t written; /* kinds of secrets, a bit each */
};

/* Lines of those that are known and that the file does not have; it has them from now on. Returns
 * their bytes. */
size_t tap_key_lines(struct tap_key_id *id, const struct nu_secrets *secrets,
                     char out[static TAP_KEY_LINES_MAX]);
/* Nothing more can be of use. */
bool tap_key_has_all(const struct tap_key_id *id);

#endif
