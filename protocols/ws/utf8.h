/* Whether bytes are UTF-8 (RFC 3629), a piece at a time, also where they are masked. */
#ifndef NU_PROTOCOLS_WS_UTF8_H
#define NU_PROTOCOLS_WS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where in a character the text is. Zeroed memory: at its beginning. */
struct nu_utf8 {
    uint8_t left;    /* bytes that the character still needs */
    uint8_t low, up; /* between which the next one has to be */
};

/* False: no text that begins like this is UTF-8. Each byte is taken with the byte of `mask` at the
 * same place, from `at` on, counted modulo 4; NULL: as it is. */
bool nu_utf8_check(struct nu_utf8 *u, const uint8_t *bytes, size_t len, const uint8_t *mask,
                   size_t at);
/* Whether the text may end here. */
static inline bool nu_utf8_whole(const struct nu_utf8 *u)
{
    return u->left == 0;
}

#endif
