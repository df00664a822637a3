/* Patterns for names in certificates: what an `allow` or `san` list says against what a certificate
 * says. Pure: no OpenSSL, no state; the names are any bytes from a peer. Inside of tls/.
 *
 *   dns    "a.svc", or "*.svc" for exactly one label in place of the star
 *   uri    "spiffe://mesh/web", or a star in place of whole path segments: "/ns/" "*" "/sa/web" is
 *          one segment, at the very end one or more
 *   email  "a@b.test", or "*@b.test" for any mailbox of that host
 *
 * What a star stands for is never empty, and never anything that a reader of the name might take
 * for more than it is: no star, no dot segment, nothing percent-encoded. */
#ifndef NU_TLS_NAMES_H
#define NU_TLS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum tls_name_kind { TLS_NAME_DNS, TLS_NAME_URI, TLS_NAME_EMAIL };
#define TLS_NAME_KINDS 3
const char *tls_name_kind_str(enum tls_name_kind kind);

#define TLS_PATTERN_MAX 2048 /* bytes: SPIFFE IDs end there */

/* Whether the text is a pattern of that kind; if not, a static reason for the config's error. */
bool tls_pattern_check(enum tls_name_kind kind, const char *pattern, const char **why);

/* A checked pattern against a name of that kind: hosts without regard to the case of ASCII letters,
 * all else byte by byte. */
bool tls_pattern_matches(enum tls_name_kind kind, const char *pattern, const char *name,
                         size_t len);

#endif
