/* Log operators and the writing of lines; see logfmt.h. The compiler is logfmt.c.
 *
 * An operator writes raw bytes at the end of the buffer; only then they are looked at, and where a
 * byte needs it the value is written again in its escaped form. So no operator can forget to. */
#include "core/logfmt_priv.h"

#include "core/assert.h"
#include "core/escape.h"

#include <stdlib.h>
#include <string.h>

static const struct nu_log_op **ops; /* sorted by name; written before threads start */
static size_t op_count;
static struct logfmt_extension **extensions; /* as long */
static size_t extension_count;

const char *nu_log_value_str(enum nu_log_value value)
{
    static const char *const names[] = {"text", "number"};
    return (unsigned)value < sizeof names / sizeof *names ? names[value] : "?";
}

const char *nu_log_arg_str(enum nu_log_arg arg)
{
    static const char *const names[] = {"none", "optional", "required"};
    return (unsigned)arg < sizeof names / sizeof *names ? names[arg] : "?";
}

static int compare_ops(const void *left, const void *right)
{
    const struct nu_log_op *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

void nu_log_ops_register(const struct nu_log_op *table, size_t count)
{
    ops = reallocarray(ops, op_count + count + 1, sizeof *ops);
    nu_assert(ops != NULL);
    for (size_t i = 0; i < count; i++) {
        nu_assert(!logfmt_op_find(table[i].name, strlen(table[i].name)));
        ops[op_count++] = &table[i];
        qsort(ops, op_count, sizeof *ops, compare_ops);
    }
}

void nu_log_ops_extend(const struct nu_log_op *table, size_t count,
                       bool (*applies)(const void *subject))
{
    extensions = reallocarray(extensions, extension_count + count + 1, sizeof *extensions);
    nu_assert(extensions != NULL);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < op_count && strcmp(ops[at]->name, table[i].name) != 0)
            at++;
        nu_assert(at < op_count && ops[at]->value == table[i].value &&
                  !logfmt_op_extension(ops[at]));
        struct logfmt_extension *extension = malloc(sizeof *extension);
        nu_assert(extension != NULL);
        *extension = (struct logfmt_extension){&table[i], ops[at], applies};
        extensions[extension_count++] = extension;
        ops[at] = &table[i];
    }
}

const struct logfmt_extension *logfmt_op_extension(const struct nu_log_op *op)
{
    for (size_t i = 0; i < extension_count; i++)
        if (extensions[i]->op == op)
            return extensions[i];
    return NULL;
}

const struct nu_log_op *logfmt_op_find(const char *name, size_t len)
{
    for (size_t i = 0; i < op_count; i++)
        if (strncmp(ops[i]->name, name, len) == 0 && !ops[i]->name[len])
            return ops[i];
    return NULL;
}

const char **logfmt_op_names(size_t *count)
{
    const char **names = calloc(op_count + 1, sizeof *names);
    nu_assert(names != NULL);
    for (size_t i = 0; i < op_count; i++)
        names[i] = ops[i]->name;
    *count = op_count;
    return names;
}

void nu_log_ops_markdown(FILE *out)
{
    static const char *const usage[] = {"", "[(ARG)]", "(ARG)"};
    fputs("| operator | value | meaning |\n|---|---|---|\n", out);
    for (size_t i = 0; i < op_count; i++)
        fprintf(out, "| `%%%s%s%%` | %s | %s |\n", ops[i]->name, usage[ops[i]->arg],
                nu_log_value_str(ops[i]->value), ops[i]->doc);
}

static bool run(const struct logfmt_step *step, struct nu_logbuf *out, const void *subject)
{
    const struct logfmt_extension *e = step->extension;
    const struct nu_log_op *op = e && !e->applies(subject) ? e->before : step->op;
    return op->write(out, subject, step->arg);
}

/* The raw value of the step at the end of the buffer, cut to MAXLEN; false: absent, and gone. */
static bool raw_value(const struct logfmt_step *step, struct nu_logbuf *out, const void *subject)
{
    size_t from = out->len, limit = out->limit;
    bool cut = out->cut;
    bool shorten = step->len && from + step->len < limit;
    if (shorten)
        out->limit = from + step->len;
    out->cut = false;
    bool present = run(step, out, subject);
    if (out->cut && step->op->value == NU_LOG_NUMBER)
        present = false; /* half a number is another one */
    out->cut = cut || (out->cut && !shorten);
    out->limit = limit;
    if (!present)
        out->len = from;
    return present;
}

/* Writes the value from `from` to the end again, escaped, where any of its bytes needs that. */
static void escape_value(struct nu_logbuf *out, size_t from, bool json)
{
    char raw[NU_LOG_LINE_MAX];
    size_t len = out->len - from;
    if (!len || nu_escape_plain(out->data + from, len))
        return;
    memcpy(raw, out->data + from, len);
    out->len = from;
    if (json)
        nu_escape_json(out, raw, len);
    else
        nu_escape_text(out, raw, len);
}

/* A text value that MAXLEN cut inside a UTF-8 sequence loses the rest of it. */
static void drop_half_sequence(struct nu_logbuf *out, size_t from, uint32_t max)
{
    uint32_t code;
    if (!max || out->len - from < max)
        return;
    for (size_t back = 1; back < 4 && back <= out->len - from; back++) {
        unsigned char c = (unsigned char)out->data[out->len - back];
        if ((c & 0xc0) == 0x80)
            continue;
        if (c >= 0xc0 && !nu_utf8_decode(out->data + out->len - back, back, &code))
            out->len -= back;
        return;
    }
}

static void write_step(const struct logfmt_step *step, struct nu_logbuf *out, const void *subject)
{
    if (step->kind == LOGFMT_LITERAL) {
        nu_logbuf_add(out, step->text, step->len);
        return;
    }
    bool value = step->kind == LOGFMT_JSON_VALUE, text = step->op->value == NU_LOG_TEXT;
    size_t start = out->len;
    size_t room = out->limit;
    if (value && text) {
        nu_logbuf_char(out, '"');
        out->limit--;
    }
    size_t from = out->len;
    bool present = raw_value(step, out, subject);
    if (present && text) {
        drop_half_sequence(out, from, step->len);
        escape_value(out, from, step->kind != LOGFMT_TEXT);
    }
    out->limit = room;
    if (!present) {
        out->len = start;
        nu_logbuf_str(out, value ? "null" : "-");
    } else if (value && text) {
        nu_logbuf_char(out, '"');
    }
}

void nu_logfmt_write(const struct nu_logfmt *format, struct nu_logbuf *out, const void *subject)
{
    nu_logbuf_reset(out);
    for (size_t i = 0; i < format->count; i++) {
        out->limit = NU_LOG_LINE_MAX - format->steps[i].reserve;
        write_step(&format->steps[i], out, subject);
    }
    out->limit = NU_LOG_LINE_MAX;
    if (out->cut)
        nu_logbuf_str(out, format->json ? LOGFMT_CUT_JSON : LOGFMT_CUT_TEXT);
    if (format->json)
        nu_logbuf_char(out, '}');
    nu_logbuf_char(out, '\n');
}

bool nu_logfmt_value(const struct nu_logfmt *format, struct nu_logbuf *out, const void *subject)
{
    size_t limit = out->limit;
    bool present = true;
    out->cut = false;
    out->limit = limit ? limit : NU_LOG_LINE_MAX;
    for (size_t i = 0; present && i < format->count; i++) {
        const struct logfmt_step *step = &format->steps[i];
        size_t from = out->len;
        if (step->kind == LOGFMT_LITERAL)
            nu_logbuf_add(out, step->text, step->len);
        else
            present = raw_value(step, out, subject);
        drop_half_sequence(out, from, step->kind == LOGFMT_LITERAL ? 0 : step->len);
    }
    out->limit = limit;
    return present && !out->cut;
}
