/* Access log formats: Envoy's command syntax compiled into an array of operations at config load,
 * run without printf or allocation for each line.
 *
 *   %OPERATOR%  %OPERATOR(ARG)%  %OPERATOR(ARG):MAXLEN%  %%
 *
 * Layers register tables of operators; the subject of a line (a chain, a stream) is theirs alone.
 * Compile: main thread. Write: any thread, each with its own nu_logbuf. */
#ifndef NU_CORE_LOGFMT_H
#define NU_CORE_LOGFMT_H

#include "core/arena.h"
#include "core/err.h"
#include "core/logbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum nu_log_value { NU_LOG_TEXT, NU_LOG_NUMBER };
const char *nu_log_value_str(enum nu_log_value value);

enum nu_log_arg { NU_LOG_ARG_NONE, NU_LOG_ARG_OPTIONAL, NU_LOG_ARG_REQUIRED };
const char *nu_log_arg_str(enum nu_log_arg arg);

struct nu_log_op {
    const char *name; /* "BYTES_RECEIVED" */
    const char *doc;  /* a sentence for the reference page */
    enum nu_log_value value;
    enum nu_log_arg arg;
    /* Optional: turns the argument (NULL if there is none) into what write gets, in the arena of
     * the config. Not NU_OK: *error is shown to the user. Without it write gets the text itself. */
    enum nu_err (*prepare)(struct nu_arena *arena, const char *arg, const void **out,
                           const char **error);
    /* Appends the raw value: escaping, quoting and cutting are done behind it. A number appends
     * digits as JSON knows them. False: the value is absent ("-", null); what was appended goes. */
    bool (*write)(struct nu_logbuf *out, const void *subject, const void *arg);
};

/* Before the first format is compiled; the table is borrowed for good. A name is registered once.
 */
void nu_log_ops_register(const struct nu_log_op *ops, size_t count);
/* Lets operators of the same names as registered ones, and the same kinds of values, stand for them
 * where `applies` says so of the subject. Elsewhere the former write goes on; it gets the argument
 * as the new operator prepares it. Once for each name. */
void nu_log_ops_extend(const struct nu_log_op *ops, size_t count,
                       bool (*applies)(const void *subject));
/* The table of all operators, sorted, for the reference page. */
void nu_log_ops_markdown(FILE *out);

struct nu_logfmt; /* compiled; immutable */

/* Compiles a text format into the arena; newlines at its end are dropped, each line gets its own.
 * NU_ERR_CONFIG: *out is NULL and *error the reason (arena memory); the caller knows the place. */
enum nu_err nu_logfmt_text(struct nu_logfmt **out, struct nu_arena *arena, const char *format,
                           const char **error);

struct nu_logfmt_field {
    const char *key, *format; /* borrowed during the call */
};
/* Compiles an object of `count` fields, in this order. A value that is a single operator is null
 * where absent and a bare number where numeric; others are strings. On NU_ERR_CONFIG *bad is the
 * index of the field at fault. */
enum nu_err nu_logfmt_json(struct nu_logfmt **out, struct nu_arena *arena,
                           const struct nu_logfmt_field *fields, size_t count, size_t *bad,
                           const char **error);

/* True if the operator of that name stands in it: what it shows may have to be made first. */
bool nu_logfmt_uses(const struct nu_logfmt *format, const char *name);

/* Writes one whole line with its newline into `out` (reset first). Always one line of at most
 * NU_LOG_LINE_MAX bytes, and an object stays one: values that do not fit are cut, and the line ends
 * with " [cut]" or has "cut":true. */
void nu_logfmt_write(const struct nu_logfmt *format, struct nu_logbuf *out, const void *subject);
/* Appends the bytes of a text format alone: nothing escaped, no newline. False where an operator
 * has nothing, or where it did not all fit; what was appended is then void. */
bool nu_logfmt_value(const struct nu_logfmt *format, struct nu_logbuf *out, const void *subject);

#endif
