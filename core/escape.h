/* Bytes of peers made safe for a line of text or a JSON string. Any thread. */
#ifndef NU_CORE_ESCAPE_H
#define NU_CORE_ESCAPE_H

#include "core/logbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes (1 to 4) of the UTF-8 sequence that `bytes` begins with, and its code point; 0 where it is
 * not one: overlong, surrogate, above U+10FFFF, or cut short (RFC 3629 4). */
size_t nu_utf8_decode(const char *bytes, size_t len, uint32_t *code);

/* True if all bytes stand for themselves, in text and in JSON alike: printable ASCII without quote
 * and backslash. */
bool nu_escape_plain(const char *bytes, size_t len);

/* Appends so that a line stays a line: \xHH for all that nu_escape_plain refuses. */
void nu_escape_text(struct nu_logbuf *out, const char *bytes, size_t len);
/* Appends as the inside of a JSON string (RFC 8259 7); valid UTF-8 stays, other bytes become
 * U+FFFD. Neither cuts inside an escape. */
void nu_escape_json(struct nu_logbuf *out, const char *bytes, size_t len);

#endif
