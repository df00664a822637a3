/* The reference page, written by the schemas: a table of keys for each map, the maps inside it
 * below. As text for terminals and as Markdown. */
#include "core/conf/conf_priv.h"

#include "core/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TABLES  64 /* schemas in one page: each is shown once, so cycles end */
#define TEXT_WIDTH  78 /* columns of a terminal page */
#define MAX_HEADING 6  /* Markdown has no deeper ones */

/* A page in the making. */
struct page {
    FILE *out;
    bool markdown;
    struct table {
        const struct nu_schema *schema;
        const char *path; /* where its map stands: "tcp_proxy.clusters[]" */
        int level;
    } tables[MAX_TABLES];
    size_t count;
    struct nu_arena *arena;
};

static const char *type_name(struct page *p, const struct nu_field *f)
{
    char range[96];
    const char *name = f->shown ? f->shown : nu_type_str(f->type);
    if (f->type == NU_ENUM) {
        name = f->choices[0];
        for (size_t i = 1; f->choices[i]; i++)
            name = nu_arena_printf(p->arena, "%s, %s", name, f->choices[i]);
    }
    if (nu_value_range(f, range))
        name = nu_arena_printf(p->arena, "%s, %s", name, range);
    return f->flags & NU_LIST ? nu_arena_printf(p->arena, "list of %s", name) : name;
}

static const char *default_name(const struct nu_field *f)
{
    return f->flags & NU_REQUIRED ? "required" : f->fallback ? f->fallback : "-";
}

static void put_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text == '\n' ? ' ' : *text, out);
    }
}

static void markdown_row(struct page *p, const struct nu_field *f)
{
    bool code = f->fallback && !(f->flags & NU_REQUIRED);
    fprintf(p->out, "| `%s` | ", f->key);
    put_cell(p->out, type_name(p, f));
    fputs(code ? " | `" : " | ", p->out);
    put_cell(p->out, default_name(f));
    fputs(code ? "` | " : " | ", p->out);
    put_cell(p->out, f->doc ? f->doc : "");
    fputs(" |\n", p->out);
}

static void markdown_head(struct page *p, const struct table *t)
{
    int level = t->level < MAX_HEADING ? t->level : MAX_HEADING;
    fprintf(p->out, "%.*s %s\n\n%s\n", level, "######", t->path, t->schema->doc);
    if (t->schema->scalar)
        fprintf(p->out, "\nA bare value stands for `%s`.\n", t->schema->scalar);
    if (t->schema->fields->key)
        fputs("\n| key | type | default | meaning |\n|---|---|---|---|\n", p->out);
}

/* Words wrapped at the page's width, each line indented. */
static void put_wrapped(FILE *out, int indent, const char *text)
{
    int column = indent;
    fprintf(out, "%*s", indent, "");
    while (*text) {
        int len = (int)strcspn(text, " \n");
        if (column > indent && column + 1 + len > TEXT_WIDTH)
            column = fprintf(out, "\n%*s", indent, "") - 1;
        column += fprintf(out, "%s%.*s", column > indent ? " " : "", len, text);
        text += len;
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

static void text_row(struct page *p, const struct nu_field *f)
{
    bool fallback = f->fallback && !(f->flags & NU_REQUIRED);
    fprintf(p->out, "  %-22s %s", f->key, type_name(p, f));
    if (fallback || f->flags & NU_REQUIRED)
        fprintf(p->out, "; %s%s", fallback ? "default " : "", default_name(f));
    fputc('\n', p->out);
    if (f->doc)
        put_wrapped(p->out, 25, f->doc);
}

static void text_head(struct page *p, const struct table *t)
{
    fprintf(p->out, "%s\n", t->path);
    put_wrapped(p->out, 2, t->schema->doc);
    if (t->schema->scalar)
        fprintf(p->out, "  A bare value stands for \"%s\".\n", t->schema->scalar);
    if (t->schema->fields->key)
        fputc('\n', p->out);
}

static void add_table(struct page *p, const struct nu_schema *schema, const char *path, int level)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->tables[i].schema == schema)
            return;
    if (p->count < MAX_TABLES)
        p->tables[p->count++] = (struct table){schema, path, level};
}

static void put_row(struct page *p, const struct table *t, const struct nu_field *f)
{
    if (f->flags & NU_LATER)
        return;
    (p->markdown ? markdown_row : text_row)(p, f);
    if (!f->sub)
        return;
    const char *list = f->flags & NU_LIST ? "[]" : "";
    const char *path = nu_arena_printf(p->arena, "%s.%s%s", t->path, f->key, list);
    add_table(p, f->sub, path, t->level + 1);
}

static void put_table(struct page *p, struct table t)
{
    const struct nu_ext *ext;
    const struct nu_field *f;
    (p->markdown ? markdown_head : text_head)(p, &t);
    for (size_t i = 0; (f = nu_schema_field(t.schema, i, &ext)); i++)
        put_row(p, &t, f);
    fputc('\n', p->out);
}

static void put_page(const struct nu_schema *schema, FILE *out, bool markdown, int level)
{
    struct page *p = calloc(1, sizeof *p);
    nu_assert(p != NULL);
    p->out = out;
    p->markdown = markdown;
    p->arena = nu_arena_new(4096);
    add_table(p, schema, schema->name, level);
    for (size_t i = 0; i < p->count; i++)
        put_table(p, p->tables[i]);
    nu_arena_free(p->arena);
    free(p);
}

void nu_schema_doc_text(const struct nu_schema *schema, FILE *out)
{
    put_page(schema, out, false, 1);
}

void nu_schema_doc_markdown(const struct nu_schema *schema, FILE *out, int heading_level)
{
    put_page(schema, out, true, heading_level);
}
