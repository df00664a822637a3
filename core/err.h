/* What parse and build functions return. Causes of a closed connection are another list (cause.h).
 */
#ifndef NU_CORE_ERR_H
#define NU_CORE_ERR_H

enum nu_err {
    NU_OK = 0,
    NU_MORE,        /* not an error: the input ended before the answer is known */
    NU_NOT_THIS,    /* not an error: the input is something else (no TLS, no PROXY header) */
    NU_ERR_SYNTAX,  /* malformed input */
    NU_ERR_LIMIT,   /* a named cap was reached */
    NU_ERR_CONFIG,  /* the config is wrong; the text went to its error list */
    NU_ERR_SYSTEM,  /* a system call failed; errno says how */
    NU_ERR_EXISTS,  /* a name or key is taken */
    NU_ERR_MISSING, /* nothing by that name */
};

const char *nu_err_str(enum nu_err err);

#endif
