/* The Basic scheme of Authorization (RFC 7617): base64 of "name:password". */
#ifndef NU_PROTOCOLS_HTTP_BASIC_H
#define NU_PROTOCOLS_HTTP_BASIC_H

#include "protocols/http/head.h"

/* Bytes of name and password together: crypt takes 512 of a password. */
#define NU_BASIC_MAX_BYTES 768

enum nu_basic {
    NU_BASIC_OK,
    NU_BASIC_OTHER, /* another scheme */
    NU_BASIC_BAD,   /* no base64, no colon, a NUL, or too long */
};
const char *nu_basic_str(enum nu_basic result);

/* Reads a field's value. `name` and `password` point into `room` and are empty unless OK; the
 * caller wipes it. Padding may be missing. */
enum nu_basic nu_basic_read(struct nu_text value, char room[static NU_BASIC_MAX_BYTES],
                            struct nu_text *name, struct nu_text *password);

/* Decodes base64 (RFC 4648 4) of any length, with or without padding. The number of bytes, or -1:
 * other characters, a wrong length, or more than `max`. */
int nu_base64_decode(struct nu_text text, uint8_t *out, size_t max);

#endif
