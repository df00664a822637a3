/* Lines for people: an output under way, and writers for times, sizes and texts of the wire. All
 * that comes from peers goes through tap_put_safe: no terminal obeys it. One thread. */
#ifndef NU_TOOLS_TAP_TEXT_H
#define NU_TOOLS_TAP_TEXT_H

#include "core/logbuf.h"
#include "protocols/http/head.h"

#include <stdio.h>

#define TAP_LINE_MAX                                                                               \
    (16u << 20) /* bytes of one event's lines; bodies that are shown are smaller                   \
                 */

enum tap_color { TAP_PLAIN, TAP_BOLD, TAP_SOFT, TAP_GOOD, TAP_TURN, TAP_WARN, TAP_BAD };

struct tap_out {
    FILE *file;
    bool color;
    bool show_secrets;
    bool hid;           /* something was masked */
    bool over_progress; /* a progress line may stand where output goes: it is wiped away first */
    struct nu_logbuf buf, scratch;
    int64_t second; /* that `clock` is of */
    char clock[16];
};

void tap_out_free(struct tap_out *out);
/* Writes what was put since the last time. */
void tap_out_flush(struct tap_out *out);

void tap_put(struct tap_out *out, const char *text);
void tap_put_char(struct tap_out *out, char c);
void tap_put_u64(struct tap_out *out, uint64_t n);
/* Begins a color, or ends it (TAP_PLAIN). */
void tap_put_color(struct tap_out *out, enum tap_color color);
/* "12:01:07.412", of the local time zone. */
void tap_put_clock(struct tap_out *out, int64_t ns);
/* "43B", "1.2k", "48k", "3.1M": powers of 1000. */
void tap_put_size(struct tap_out *out, uint64_t bytes);
/* "8.1ms", "241ms", "1.24s". */
void tap_put_duration(struct tap_out *out, int64_t ns);
/* Printable UTF-8 as it is; \n, \t and the like, or \xHH, for the rest; "..." beyond `max` bytes
 * (0 = all). */
void tap_put_safe(struct tap_out *out, struct nu_text text, size_t max);
/* Lines of a body, each behind `margin`: text as it is, other bytes as a dump. */
void tap_put_body(struct tap_out *out, const char *margin, const uint8_t *bytes, size_t len);
bool tap_is_text(const uint8_t *bytes, size_t len);

/* What may be shown, secrets as "***" unless out->show_secrets: of a field (credentials but for
 * their scheme, values of cookies but not their names), of a request's target or another URL
 * (userinfo, parameters whose names say so), of a body (such parameters of forms, such members of
 * JSON), of a message of WebSocket (of what begins as JSON). Still bytes of the wire. Lent until
 * the next call; the very text where nothing is hidden, else out->hid is set. */
struct nu_text tap_masked(struct tap_out *out, struct nu_text name, struct nu_text value);
struct nu_text tap_masked_target(struct tap_out *out, struct nu_text target);
/* Without userinfo, which has no place in a Host. */
struct nu_text tap_masked_host(struct tap_out *out, struct nu_text host);
struct nu_text tap_masked_body(struct tap_out *out, struct nu_text type, struct nu_text body);
struct nu_text tap_masked_message(struct tap_out *out, struct nu_text message);
/* Lines that look like fields, among bytes of something else. */
struct nu_text tap_masked_lines(struct tap_out *out, struct nu_text text);
/* A field's value, masked and safe. */
void tap_put_value(struct tap_out *out, struct nu_text name, struct nu_text value);

#endif
