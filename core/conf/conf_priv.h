/* Inside of core/conf only: the config text as an object, its characters, its error list, and the
 * hooks between reader, schema and report. */
#ifndef NU_CORE_CONF_CONF_PRIV_H
#define NU_CORE_CONF_CONF_PRIV_H

#include "core/conf/schema.h"
#include "core/conf/tree.h"

/* One error or warning. Text and path are in the conf's arena. */
struct nu_conf_item {
    uint32_t line, column, span; /* line 0: the file as a whole */
    unsigned seq;                /* order of reporting, for equal places */
    bool warning;
    const char *path, *text, *guess;
};

/* Where a line starts; moves forward, so that seeking places in file order costs one pass. */
struct nu_text_cursor {
    size_t at;     /* byte offset of the line's first byte */
    uint32_t line; /* 1-based */
};

struct nu_conf {
    struct nu_arena *arena; /* nodes, texts, items */
    const char *name, *folder;
    const char *text; /* without a byte order mark */
    size_t len;
    char *owned; /* the malloc'd file, where we read it */
    struct nu_node *root;
    struct nu_text_cursor cursor;
    size_t expanded_bytes; /* that ${} brought in */

    struct nu_conf_item *items[2 * NU_CONF_MAX_ERRORS]; /* errors and warnings, each capped */
    size_t item_count, error_count, warning_count;      /* counts go on past the cap */
    struct nu_conf_item *last;                          /* where a guess goes; NULL past the cap */
    bool muted; /* normalizing: everything was said before */
    char *report;
};

/* A place in the text; span in characters. */
struct nu_place {
    uint32_t line, column, span;
};

/* Reports at a place; `node` gives the path and may be NULL. */
void nu_conf_error_at(struct nu_conf *conf, struct nu_place place, const struct nu_node *node,
                      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Text.c: characters. */

/* Decodes the character at `s`: its length in bytes, or 0 if it is not valid UTF-8. */
unsigned nu_text_decode(const char *s, size_t len, uint32_t *code);
/* Shown as it is; the others are escaped. */
bool nu_text_printable(uint32_t code);
/* Columns on a terminal: 0, 1 or 2. */
unsigned nu_text_columns(uint32_t code);
/* The byte behind the line break that ends the line at `at`, or len. */
size_t nu_text_next_line(const char *text, size_t len, size_t at);
/* Bytes of the line at `at` without its break. */
size_t nu_text_line_len(const char *text, size_t len, size_t at);
/* Byte offset of a line's start in conf's text. */
size_t nu_text_seek(struct nu_conf *conf, uint32_t line);
/* Moves a place from one byte offset to a later one. */
void nu_text_advance(const struct nu_conf *conf, size_t from, size_t to, struct nu_place *place);
/* Refuses NUL bytes, invalid UTF-8 and control characters, with a report. */
enum nu_err nu_text_check(struct nu_conf *conf);

/* Of read.c: */

/* Parses the conf's text into conf->root; reports. */
enum nu_err nu_conf_read(struct nu_conf *conf);
/* Parses a schema's default into a node without a place. NULL: malformed. */
struct nu_node *nu_conf_read_default(struct nu_conf *conf, const char *text);

/* Of expand.c: */

/* `text` with ${} expanded, from the arena; NULL and a report if that cannot be. */
const char *nu_conf_expand(struct nu_conf *conf, const struct nu_node *node, const char *text,
                           size_t len);

/* Of yaml_hint.c: */

/* libyaml's words turned into plain ones. `at` is the character that it stumbled over, in_flow:
 * inside [ ] or { }. */
const char *nu_yaml_hint(const char *problem, const char *context, char at, bool in_flow);

/* Of units.c: */

struct nu_unit {
    const char *name;
    int64_t scale;
};
extern const struct nu_unit nu_duration_units[], nu_size_units[];

/* "1.5h" by a table of units, largest first. NU_ERR_SYNTAX: no number, or parts of the base unit;
 * NU_ERR_MISSING: unknown unit; NU_ERR_LIMIT: too large. */
enum nu_err nu_unit_parse(const char *text, const struct nu_unit *units, int64_t *out);
/* What was meant by "15 sec" or "64kb": in buf, or NULL. */
const char *nu_unit_guess(const char *text, const struct nu_unit *units, char buf[static 32]);

/* Of values.c: */

struct nu_value_type {
    const char *shown;  /* on the reference page: "duration" */
    const char *expect; /* in errors: "a duration like 250ms" */
    size_t size;        /* in a struct */
    enum nu_err (*parse)(struct nu_conf *conf, struct nu_arena *arena, const struct nu_field *field,
                         const struct nu_node *node, void *out); /* NULL: not a scalar */
    char *(*format)(struct nu_arena *arena, const struct nu_field *field, const void *value);
};
const struct nu_value_type *nu_value_type(enum nu_type type);
/* Reports "found X, expected Y" at the node. Returns NU_ERR_CONFIG. */
enum nu_err nu_value_unexpected(struct nu_conf *conf, const struct nu_node *node,
                                const char *expected);
/* Parses a scalar of the field's type; anything that is none of its kind is reported. */
enum nu_err nu_value_parse(struct nu_conf *conf, struct nu_arena *arena,
                           const struct nu_field *field, const struct nu_node *node, void *out);
/* Bounds as text: "1 to 65535", "at least 1ms"; NULL if there are none to tell. */
const char *nu_value_range(const struct nu_field *field, char buf[static 96]);

/* Of schema.c: */

/* The field at place `i`, own fields first, then extensions; NULL behind the last. The extension
 * goes to *ext, or NULL. */
const struct nu_field *nu_schema_field(const struct nu_schema *schema, size_t i,
                                       const struct nu_ext **ext);
/* The node of a field in a map or a short form, NULL when absent. */
const struct nu_node *nu_schema_value(const struct nu_schema *schema, const struct nu_node *node,
                                      const struct nu_field *field);
/* The field's default as a node below `parent`, or NULL. */
const struct nu_node *nu_schema_default(struct nu_conf *conf, const struct nu_node *parent,
                                        const struct nu_field *field);
/* Parses one item (not a list) of the field's type to `out`. */
enum nu_err nu_schema_item(struct nu_conf *conf, struct nu_arena *arena,
                           const struct nu_field *field, const struct nu_node *node, void *out);
size_t nu_schema_item_size(const struct nu_field *field);

#endif
