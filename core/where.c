/* Conditions: the question whether a record fits; see where.h. where_read.c reads them. */
#include "core/where.h"

#include "core/assert.h"
#include "core/where_priv.h"

#include <stdlib.h>
#include <string.h>

const char *nu_where_type_str(enum nu_where_type type)
{
    static const char *const names[] = {"a text", "a number",      "a duration",
                                        "a size", "true or false", "an address"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "?";
}

const char *nu_where_answer_str(enum nu_where_answer answer)
{
    static const char *const names[] = {"no", "yes", "later"};
    return (unsigned)answer < sizeof names / sizeof *names ? names[answer] : "?";
}

struct nu_where *nu_where_new(const struct nu_where_fields *fields, const char *place,
                              const char *text, char **error)
{
    size_t size = 0;
    struct nu_where *w = calloc(1, sizeof *w);
    nu_assert(w != NULL);
    w->fields = fields;
    w->arena = nu_arena_new(1024);
    FILE *errors = open_memstream(error, &size);
    nu_assert(errors != NULL);
    unsigned mistakes = where_read(w, place, text, errors);
    fclose(errors);
    if (mistakes) {
        nu_where_free(w);
        return NULL;
    }
    free(*error);
    *error = NULL;
    return w;
}

void nu_where_free(struct nu_where *w)
{
    if (!w)
        return;
    nu_arena_free(w->arena);
    free(w);
}

/* --- comparisons --- */

static bool same_addr(const struct where_node *n, const struct nu_addr *addr)
{
    return n->prefix ? nu_addr_in(addr, &n->value.addr) : nu_addr_equal(addr, &n->value.addr);
}

static bool compare_text(const struct where_node *n, struct nu_text is)
{
    struct nu_text want = n->value.text;
    if (n->op == WHERE_CONTAINS)
        return !want.len || memmem(is.at, is.len, want.at, want.len) != NULL;
    bool same = is.len == want.len && memcmp(is.at, want.at, is.len) == 0;
    return same == (n->op == WHERE_EQ);
}

static bool compare_number(enum where_op op, int64_t is, int64_t want)
{
    const bool by_op[] = {is == want, is != want, is<want, is <= want, is> want, is >= want};
    return by_op[op];
}

static bool compare(const struct where_node *n, const void *record)
{
    struct nu_where_value is = {.number = 0};
    bool has = n->family ? n->family->get(record, n->name, &is) : n->field->get(record, &is);
    enum nu_where_type type = where_type(n);
    if (!has || n->op == WHERE_IS)
        return has && (type != NU_WHERE_BOOL || is.number);
    if (type == NU_WHERE_TEXT)
        return compare_text(n, is.text);
    if (type == NU_WHERE_ADDR)
        return same_addr(n, &is.addr) == (n->op == WHERE_EQ);
    return compare_number((enum where_op)n->op, is.number, n->value.number);
}

/* --- the tree --- */

static bool is_comparison(const struct where_node *n)
{
    return n->op <= WHERE_IS;
}

static unsigned stage_of(const struct where_node *n)
{
    return n->family ? n->family->stage : n->field->stage;
}

static enum nu_where_answer ask(const struct nu_where *w, uint16_t at, unsigned stages,
                                const void *record)
{
    const struct where_node *n = &w->node[at];
    if (is_comparison(n)) {
        if (stage_of(n) & ~stages)
            return NU_WHERE_LATER;
        return compare(n, record) ? NU_WHERE_YES : NU_WHERE_NO;
    }
    enum nu_where_answer a = ask(w, n->a, stages, record);
    if (n->op == WHERE_NOT)
        return a == NU_WHERE_LATER ? a : a == NU_WHERE_NO ? NU_WHERE_YES : NU_WHERE_NO;
    enum nu_where_answer settles = n->op == WHERE_AND ? NU_WHERE_NO : NU_WHERE_YES;
    if (a == settles)
        return a;
    enum nu_where_answer b = ask(w, n->b, stages, record);
    return b == settles || a != NU_WHERE_LATER ? b : a;
}

bool nu_where_passes(const struct nu_where *w, const void *record)
{
    return ask(w, w->root, ~0u, record) == NU_WHERE_YES;
}

enum nu_where_answer nu_where_early(const struct nu_where *w, unsigned stages, const void *record)
{
    return ask(w, w->root, stages, record);
}

unsigned nu_where_stages(const struct nu_where *w)
{
    unsigned all = 0;
    for (unsigned i = 0; i < w->count; i++)
        all |= is_comparison(&w->node[i]) ? stage_of(&w->node[i]) : 0;
    return all;
}

/* --- help --- */

#define NAME_WIDTH 14

void nu_where_print(const struct nu_where_fields *fields, FILE *out)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct nu_where_field *f = &fields->field[i];
        fprintf(out, "  %-*s %-14s %s\n", NAME_WIDTH, f->name, nu_where_type_str(f->type), f->help);
    }
    for (size_t i = 0; i < fields->families; i++) {
        const struct nu_where_family *f = &fields->family[i];
        fprintf(out, "  %sNAME%*s %-14s %s\n", f->prefix,
                (int)strlen(f->prefix) < NAME_WIDTH - 4 ? NAME_WIDTH - 4 - (int)strlen(f->prefix)
                                                        : 0,
                "", nu_where_type_str(NU_WHERE_TEXT), f->help);
    }
    fprintf(
        out,
        "\n"
        "Compare with == != < <= > >= contains; join with && || ! and parentheses. A field that\n"
        "%s does not have compares with nothing. Values: \"text\", 404, 100ms, 1.5s, 64KiB,\n"
        "true, false, addresses and prefixes in quotes: client == \"10.0.0.0/8\".\n",
        fields->record);
}
