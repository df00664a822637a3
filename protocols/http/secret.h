/* Which values are secrets: credentials, cookies, keys. A name says it, never the value itself. One
 * list for whatever shows or stores what is on the wire; how a value is hidden is the caller's
 * business. */
#ifndef NU_PROTOCOLS_HTTP_SECRET_H
#define NU_PROTOCOLS_HTTP_SECRET_H

#include "core/text.h"

/* What of a field's value is to be hidden. */
enum nu_http_secret {
    NU_HTTP_SECRET_NONE,
    NU_HTTP_SECRET_VALUE,       /* all of it */
    NU_HTTP_SECRET_CREDENTIALS, /* what stands behind the scheme: "Bearer ..." */
    NU_HTTP_SECRET_COOKIES,     /* the values, but not the names: "a=...; b=..." */
    NU_HTTP_SECRET_SET_COOKIE,  /* the first value: "a=...; Path=/" */
    NU_HTTP_SECRET_URL,         /* user and password, and such parameters as below */
};
const char *nu_http_secret_str(enum nu_http_secret secret);

/* Of a header field, in any case of letters. */
enum nu_http_secret nu_http_secret_field(struct nu_text name);
/* Of a parameter, in a query or a form; of a member of JSON. */
bool nu_http_secret_parameter(struct nu_text name);
bool nu_http_secret_member(struct nu_text name);

#endif
