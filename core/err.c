/* Names of the return codes, for logs and tests. */
#include "core/err.h"

const char *nu_err_str(enum nu_err err)
{
    static const char *const names[] = {
        [NU_OK] = "ok",
        [NU_MORE] = "more input needed",
        [NU_NOT_THIS] = "something else",
        [NU_ERR_SYNTAX] = "malformed",
        [NU_ERR_LIMIT] = "limit reached",
        [NU_ERR_CONFIG] = "bad config",
        [NU_ERR_SYSTEM] = "system error",
        [NU_ERR_EXISTS] = "exists already",
        [NU_ERR_MISSING] = "missing",
    };
    return (unsigned)err < sizeof names / sizeof *names ? names[err] : "unknown";
}
