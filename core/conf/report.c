/* The list of what is wrong with a config text, and how it is shown: place, path, words, the line
 * and a caret below the place. */
#include "core/conf/conf_priv.h"

#include "core/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX    1024 /* bytes of one message: values of the file may stand in it */
#define PATH_SHOWN  400  /* bytes of a path: keys may be long and deep */
#define SHOWN_CHARS 70   /* characters of the line on either side of the place */

static struct nu_conf_item *add(struct nu_conf *conf, bool warning, struct nu_place place)
{
    conf->last = NULL;
    if (conf->muted)
        return NULL;
    size_t *count = warning ? &conf->warning_count : &conf->error_count;
    if (++*count > NU_CONF_MAX_ERRORS)
        return NULL;
    struct nu_conf_item *item = nu_arena_alloc(conf->arena, sizeof *item);
    *item = (struct nu_conf_item){.line = place.line,
                                  .column = place.column,
                                  .span = place.span,
                                  .seq = (unsigned)conf->item_count,
                                  .warning = warning,
                                  .path = ""};
    conf->items[conf->item_count++] = item;
    conf->last = item;
    return item;
}

/* Adds an item at a place; the node gives the path. */
static void addv(struct nu_conf *conf, bool warning, struct nu_place place,
                 const struct nu_node *node, const char *fmt, va_list ap)
{
    char text[TEXT_MAX];
    struct nu_conf_item *item = add(conf, warning, place);
    if (!item)
        return;
    vsnprintf(text, sizeof text, fmt, ap);
    item->text = nu_arena_strdup(conf->arena, text);
    char *path = nu_node_path(conf->arena, node);
    if (strlen(path) > PATH_SHOWN)
        memcpy(path + PATH_SHOWN - 3, "...", 4);
    item->path = path;
}

static struct nu_place value_place(const struct nu_node *node)
{
    while (node && node->line == 0)
        node = node->parent;
    if (!node)
        return (struct nu_place){0};
    return (struct nu_place){node->line, node->column, node->span};
}

static struct nu_place key_place(const struct nu_node *node)
{
    while (node && node->line == 0)
        node = node->parent;
    if (node && node->key_line)
        return (struct nu_place){node->key_line, node->key_column, node->key_span};
    return value_place(node);
}

void nu_conf_error_at(struct nu_conf *conf, struct nu_place place, const struct nu_node *node,
                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    addv(conf, false, place, node, fmt, ap);
    va_end(ap);
}

void nu_conf_error(struct nu_conf *conf, const struct nu_node *node, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    addv(conf, false, value_place(node), node, fmt, ap);
    va_end(ap);
}

void nu_conf_error_key(struct nu_conf *conf, const struct nu_node *node, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    addv(conf, false, key_place(node), node && node->key ? node->parent : node, fmt, ap);
    va_end(ap);
}

void nu_conf_error_in(struct nu_conf *conf, const struct nu_node *node, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    addv(conf, false, key_place(node), node, fmt, ap);
    va_end(ap);
}

void nu_conf_warn(struct nu_conf *conf, const struct nu_node *node, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    addv(conf, true, value_place(node), node, fmt, ap);
    va_end(ap);
}

void nu_conf_guess(struct nu_conf *conf, const char *guess)
{
    if (conf->last && guess)
        conf->last->guess = nu_arena_strdup(conf->arena, guess);
}

bool nu_conf_failed(const struct nu_conf *conf)
{
    return conf->error_count > 0;
}

size_t nu_conf_error_count(const struct nu_conf *conf)
{
    return conf->error_count;
}

/* Writes the character at `s`, escaped where it does not print; returns its bytes, and adds what it
 * takes on the screen to *columns. */
static unsigned put_char(FILE *out, const char *s, size_t len, unsigned *columns)
{
    uint32_t code;
    unsigned n = nu_text_decode(s, len, &code);
    int wide;
    if (n && nu_text_printable(code)) {
        fwrite(s, 1, n, out);
        *columns += nu_text_columns(code);
        return n;
    }
    if (n == 1 && (code == '\t' || code == '\n' || code == '\r'))
        wide = fprintf(out, "\\%c", code == '\t' ? 't' : code == '\n' ? 'n' : 'r');
    else if (n == 0 || code < 0x80)
        wide = fprintf(out, "\\x%02x", (unsigned char)*s);
    else
        wide = fprintf(out, code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
    *columns += (unsigned)wide;
    return n ? n : 1;
}

static void put_text(FILE *out, const char *text)
{
    unsigned columns = 0;
    for (size_t len = strlen(text); len;) {
        unsigned n = put_char(out, text, len, &columns);
        text += n;
        len -= n;
    }
}

/* What is shown of a line: its bytes from..to, and how wide it is up to the place and in it. */
struct excerpt {
    unsigned before, width; /* columns left of the place, columns of the place */
};

static struct excerpt put_line(FILE *out, const char *line, size_t len, uint32_t column,
                               uint32_t span)
{
    struct excerpt x = {0};
    unsigned columns = 0;
    uint32_t at = 1, first = column > SHOWN_CHARS ? column - SHOWN_CHARS : 1;
    uint32_t end = span > UINT32_MAX - column ? UINT32_MAX : column + span;
    if (first > 1)
        columns += (unsigned)fprintf(out, "...");
    for (size_t i = 0; i < len; at++) {
        uint32_t code;
        unsigned n = nu_text_decode(line + i, len - i, &code);
        if (at == column)
            x.before = columns;
        if (at == column + SHOWN_CHARS) {
            fputs("...", out);
            break;
        }
        if (at >= first)
            n = put_char(out, line + i, len - i, &columns);
        i += n ? n : 1;
        if (at >= column && at < end)
            x.width = columns - x.before;
    }
    if (at <= column)
        x.before = columns;
    return x;
}

static void put_source(FILE *out, struct nu_conf *conf, const struct nu_conf_item *item)
{
    size_t start = nu_text_seek(conf, item->line);
    size_t len = nu_text_line_len(conf->text, conf->len, start);
    int gutter = fprintf(out, "%5u | ", item->line) - 3;
    struct excerpt x = put_line(out, conf->text + start, len, item->column, item->span);
    fprintf(out, "\n%*s | %*s^", gutter, "", (int)x.before, "");
    for (unsigned i = 1; i < x.width; i++)
        fputc('^', out);
    if (item->guess) {
        fputs(" did you mean \"", out);
        put_text(out, item->guess);
        fputs("\"?", out);
    }
    fputc('\n', out);
}

static void put_item(FILE *out, struct nu_conf *conf, const struct nu_conf_item *item)
{
    put_text(out, conf->name);
    if (item->line)
        fprintf(out, ":%u:%u", item->line, item->column);
    fputs(item->warning ? ": warning: " : ": ", out);
    put_text(out, item->path);
    fputs(*item->path ? ": " : "", out);
    put_text(out, item->text);
    fputc('\n', out);
    if (item->line)
        put_source(out, conf, item);
}

static int by_place(const void *a, const void *b)
{
    const struct nu_conf_item *x = *(struct nu_conf_item *const *)a;
    const struct nu_conf_item *y = *(struct nu_conf_item *const *)b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return x->seq < y->seq ? -1 : 1;
}

static void put_rest(FILE *out, const char *name, const char *what, size_t count)
{
    if (count <= NU_CONF_MAX_ERRORS)
        return;
    put_text(out, name);
    fprintf(out, ": %zu more %s\n", count - NU_CONF_MAX_ERRORS, what);
}

const char *nu_conf_report(struct nu_conf *conf)
{
    struct nu_conf_item *sorted[2 * NU_CONF_MAX_ERRORS];
    size_t size;
    free(conf->report);
    FILE *out = open_memstream(&conf->report, &size);
    nu_assert(out != NULL);
    memcpy(sorted, conf->items, conf->item_count * sizeof *sorted);
    qsort(sorted, conf->item_count, sizeof *sorted, by_place);
    for (size_t i = 0; i < conf->item_count; i++)
        put_item(out, conf, sorted[i]);
    put_rest(out, conf->name, "errors", conf->error_count);
    put_rest(out, conf->name, "warnings", conf->warning_count);
    nu_assert(fclose(out) == 0);
    return conf->report;
}
