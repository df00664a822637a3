/* The compiler of access log formats: command syntax to an array of steps. Main thread, when a
 * config is loaded; what a config may write is bounded by what fits a line. */
#include "core/logfmt_priv.h"

#include "core/assert.h"
#include "core/conf/tree.h"
#include "core/escape.h"

#include <stdlib.h>
#include <string.h>

#define TAIL_BYTES 16 /* the mark of a cut line, '}' and newline */
#define NUMBER_BYTES                                                                               \
    24                /* kept free for a number behind a long value: a 64-bit one with its sign    \
                       */
#define TEXT_BYTES 48 /* the same for a text: an address, or the start of it */
#define FIXED_MAX  (NU_LOG_LINE_MAX * 3 / 4) /* bytes of a format's own; the rest is for values */

struct builder {
    struct nu_arena *arena;
    const char *error;
    bool json;
    struct logfmt_step *steps; /* malloc'ed while it grows */
    size_t count, cap;
    struct nu_logbuf literal; /* bytes since the last operator */
};

/* %NAME(ARG):MAX% taken apart. */
struct command {
    const char *name, *arg; /* arg NULL: no parentheses */
    size_t name_len, arg_len;
    const char *max; /* NULL: none */
    const char *end; /* behind the closing % */
};

static void step_add(struct builder *b, struct logfmt_step step)
{
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        b->steps = reallocarray(b->steps, b->cap, sizeof *b->steps);
        nu_assert(b->steps != NULL);
    }
    b->steps[b->count++] = step;
}

static void literal_end(struct builder *b)
{
    size_t len = b->literal.len;
    if (len)
        step_add(b, (struct logfmt_step){.kind = LOGFMT_LITERAL,
                                         .len = (uint32_t)len,
                                         .text = nu_arena_strndup(b->arena, b->literal.data, len)});
    if (b->literal.cut)
        b->error = "the format is longer than a line may be";
    nu_logbuf_reset(&b->literal);
}

/* Behind the name: "%", or ":digits%"; returns behind the closing %, NULL where it is neither. */
static const char *command_tail(const char *p, const char **max)
{
    *max = NULL;
    if (*p == ':') {
        *max = ++p;
        size_t digits = strspn(p, "0123456789");
        if (!digits)
            return NULL;
        p += digits;
    }
    return *p == '%' ? p + 1 : NULL;
}

/* An argument may hold parentheses: it ends at the first one that the command's end follows. */
static bool command_parse(struct command *out, const char *p)
{
    *out = (struct command){.name = p + 1};
    out->name_len = strspn(out->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    p = out->name + out->name_len;
    if (!out->name_len)
        return false;
    if (*p != '(')
        return (out->end = command_tail(p, &out->max)) != NULL;
    out->arg = p + 1;
    for (p = strchr(p, ')'); p; p = strchr(p + 1, ')')) {
        out->arg_len = (size_t)(p - out->arg);
        out->end = command_tail(p + 1, &out->max);
        if (out->end)
            return true;
    }
    return false;
}

static const char *unknown_operator(struct builder *b, const struct command *cmd)
{
    char *name = nu_arena_strndup(b->arena, cmd->name, cmd->name_len);
    size_t count;
    const char **names = logfmt_op_names(&count);
    const char *guess = nu_did_you_mean(name, names, count);
    free(names);
    if (guess)
        return nu_arena_printf(b->arena, "unknown operator \"%s\", did you mean \"%s\"?", name,
                               guess);
    return nu_arena_printf(b->arena, "unknown operator \"%s\"", name);
}

static const char *check_command(struct builder *b, const struct nu_log_op *op,
                                 const struct command *cmd)
{
    if (cmd->arg && op->arg == NU_LOG_ARG_NONE)
        return nu_arena_printf(b->arena, "%%%s%% takes no argument", op->name);
    if ((!cmd->arg || !cmd->arg_len) && op->arg == NU_LOG_ARG_REQUIRED)
        return nu_arena_printf(b->arena, "%%%s(...)%% needs an argument", op->name);
    if (cmd->max && op->value == NU_LOG_NUMBER)
        return nu_arena_printf(b->arena, "%%%s%% is a number, it cannot be cut", op->name);
    unsigned long max = cmd->max ? strtoul(cmd->max, NULL, 10) : 1;
    if (max < 1 || max > NU_LOG_LINE_MAX)
        return nu_arena_printf(b->arena, "the length of %%%s%% must be 1 to %d", op->name,
                               NU_LOG_LINE_MAX);
    return NULL;
}

static void operator_add(struct builder *b, const struct command *cmd, enum logfmt_step_kind kind)
{
    const struct nu_log_op *op = logfmt_op_find(cmd->name, cmd->name_len);
    if (!op) {
        b->error = unknown_operator(b, cmd);
        return;
    }
    b->error = check_command(b, op, cmd);
    if (b->error)
        return;
    const char *arg = cmd->arg ? nu_arena_strndup(b->arena, cmd->arg, cmd->arg_len) : NULL;
    struct logfmt_step step = {
        .kind = kind, .op = op, .extension = logfmt_op_extension(op), .arg = arg};
    step.len = cmd->max ? (uint32_t)strtoul(cmd->max, NULL, 10) : 0;
    if (op->prepare && op->prepare(b->arena, arg, &step.arg, &b->error) != NU_OK) {
        b->error =
            nu_arena_printf(b->arena, "%%%s%%: %s", op->name, b->error ? b->error : "bad argument");
        return;
    }
    literal_end(b);
    step_add(b, step);
}

static void literal_add(struct builder *b, const char *text, size_t len)
{
    if (b->json)
        nu_escape_json(&b->literal, text, len);
    else
        nu_logbuf_add(&b->literal, text, len);
}

/* Literals and commands of one format string, up to `end`. */
static void compile_string(struct builder *b, const char *p, const char *end)
{
    enum logfmt_step_kind kind = b->json ? LOGFMT_JSON_PART : LOGFMT_TEXT;
    while (p < end && !b->error) {
        const char *percent = memchr(p, '%', (size_t)(end - p));
        literal_add(b, p, (size_t)((percent ? percent : end) - p));
        if (!percent)
            return;
        struct command cmd = {.end = percent + 2};
        if (percent[1] == '%') {
            literal_add(b, "%", 1);
        } else if (command_parse(&cmd, percent)) {
            operator_add(b, &cmd, kind);
        } else {
            b->error = nu_arena_printf(b->arena,
                                       "\"%.12s\" is not a command: %%NAME%%, %%NAME(ARG)%% or "
                                       "%%NAME(ARG):MAXLEN%%; a percent sign is %%%%",
                                       percent);
            return;
        }
        p = cmd.end;
    }
}

static void compile_field(struct builder *b, const struct nu_logfmt_field *field, bool first)
{
    struct command cmd;
    nu_logbuf_str(&b->literal, first ? "\"" : ",\"");
    nu_escape_json(&b->literal, field->key, strlen(field->key));
    nu_logbuf_str(&b->literal, "\":");
    if (field->format[0] == '%' && command_parse(&cmd, field->format) && !*cmd.end) {
        operator_add(b, &cmd, LOGFMT_JSON_VALUE);
        return;
    }
    nu_logbuf_char(&b->literal, '"');
    compile_string(b, field->format, field->format + strlen(field->format));
    nu_logbuf_char(&b->literal, '"');
}

static size_t step_reserve(const struct logfmt_step *step)
{
    if (step->kind == LOGFMT_LITERAL)
        return step->len;
    return step->op->value == NU_LOG_NUMBER ? NUMBER_BYTES : TEXT_BYTES;
}

/* Ends the work: reserves from back to front, steps into the arena. */
static enum nu_err finish(struct builder *b, struct nu_logfmt **out, const char **error)
{
    size_t reserve = TAIL_BYTES;
    if (!b->error)
        literal_end(b);
    for (size_t i = b->count; i-- > 0;) {
        b->steps[i].reserve = (uint32_t)reserve;
        reserve += step_reserve(&b->steps[i]);
    }
    if (!b->error && reserve > FIXED_MAX)
        b->error = "the format is longer than a line may be";
    if (!b->error) {
        size_t bytes = b->count * sizeof *b->steps;
        *out = nu_arena_alloc(b->arena, sizeof **out + bytes);
        (*out)->json = b->json;
        (*out)->count = b->count;
        if (bytes)
            memcpy((*out)->steps, b->steps, bytes);
    }
    free(b->steps);
    nu_logbuf_free(&b->literal);
    *error = b->error;
    return b->error ? NU_ERR_CONFIG : NU_OK;
}

bool nu_logfmt_uses(const struct nu_logfmt *format, const char *name)
{
    for (size_t i = 0; i < format->count; i++)
        if (format->steps[i].op && strcmp(format->steps[i].op->name, name) == 0)
            return true;
    return false;
}

enum nu_err nu_logfmt_text(struct nu_logfmt **out, struct nu_arena *arena, const char *format,
                           const char **error)
{
    struct builder b = {.arena = arena};
    const char *end = format + strlen(format);
    *out = NULL;
    while (end > format && end[-1] == '\n')
        end--;
    compile_string(&b, format, end);
    return finish(&b, out, error);
}

enum nu_err nu_logfmt_json(struct nu_logfmt **out, struct nu_arena *arena,
                           const struct nu_logfmt_field *fields, size_t count, size_t *bad,
                           const char **error)
{
    struct builder b = {.arena = arena, .json = true};
    *out = NULL;
    *bad = 0;
    nu_logbuf_char(&b.literal, '{');
    for (size_t i = 0; i < count && !b.error; i++) {
        *bad = i;
        compile_field(&b, &fields[i], i == 0);
    }
    return finish(&b, out, error);
}
