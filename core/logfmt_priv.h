/* What the compiler of formats (logfmt.c) hands to the writer (logfmt_write.c). */
#ifndef NU_CORE_LOGFMT_PRIV_H
#define NU_CORE_LOGFMT_PRIV_H

#include "core/logfmt.h"

enum logfmt_step_kind {
    LOGFMT_LITERAL,    /* bytes of the format, escaped already */
    LOGFMT_TEXT,       /* a value in a line of text */
    LOGFMT_JSON_PART,  /* a value inside a JSON string */
    LOGFMT_JSON_VALUE, /* a whole JSON value: string with quotes, bare number, or null */
};

struct logfmt_step {
    enum logfmt_step_kind kind;
    uint32_t len;     /* LITERAL: bytes of text; else MAXLEN, 0 = none */
    uint32_t reserve; /* bytes that this step must leave to those behind it */
    const char *text; /* LITERAL */
    const struct nu_log_op *op;
    const struct logfmt_extension *extension; /* of op; NULL: it stands for every subject */
    const void *arg;                          /* prepared */
};

/* An operator that another one stands for where `applies` says so. */
struct logfmt_extension {
    const struct nu_log_op *op, *before;
    bool (*applies)(const void *subject);
};

struct nu_logfmt {
    bool json;
    size_t count;
    struct logfmt_step steps[];
};

/* What a cut line ends with. */
#define LOGFMT_CUT_TEXT " [cut]"
#define LOGFMT_CUT_JSON ",\"cut\":true"

/* NULL if there is none of that name. */
const struct nu_log_op *logfmt_op_find(const char *name, size_t len);
/* What makes `op` stand for some subjects only, or NULL. */
const struct logfmt_extension *logfmt_op_extension(const struct nu_log_op *op);
/* All names; free() the array. */
const char **logfmt_op_names(size_t *count);

#endif
