/* What is wrong with a file or a setting of a `tls:` map, in words: shown at the key by `check` and
 * at start, logged when a file was changed into something bad. Inside of tls/. */
#ifndef NU_TLS_PROBLEM_H
#define NU_TLS_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

#define TLS_PROBLEM_MAX 512 /* bytes of a text; subjects and paths in it are cut */

struct tls_problem {
    const char *key; /* of the map: "cert", "key", "ca"; static */
    char text[TLS_PROBLEM_MAX];
};

/* Fills it in; always false, so that a loader can return it. */
bool tls_problem(struct tls_problem *problem, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* OpenSSL's last reason in words ("wrong tag"), "unknown reason" where it says nothing; empties its
 * error queue. */
const char *tls_openssl_reason(void);

#endif
