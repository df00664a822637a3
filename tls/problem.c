/* Words for what is wrong with a file; see problem.h. */
#include "tls/problem.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>

bool tls_problem(struct tls_problem *problem, const char *key, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    problem->key = key;
    vsnprintf(problem->text, sizeof problem->text, fmt, ap);
    va_end(ap);
    return false;
}

/* The last error is what was tried; where it only names a part of OpenSSL that failed ("ASN1 lib"),
 * the first one says how. */
const char *tls_openssl_reason(void)
{
    unsigned long error = ERR_peek_last_error();
    if (ERR_GET_RFLAGS(error) & ERR_RFLAG_COMMON)
        error = ERR_peek_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    ERR_clear_error();
    return reason ? reason : "unknown reason";
}
