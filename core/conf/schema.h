/* Schemas: data that drives parsing, defaults, error text, the normalized print and the reference
 * page.
 *
 * A schema lists the keys of a map and where each value goes in a C struct. Filters, listeners and
 * clusters each have one; nothing parses config by hand. Main thread only. */
#ifndef NU_CORE_CONF_SCHEMA_H
#define NU_CORE_CONF_SCHEMA_H

#include "core/addr.h"
#include "core/conf/tree.h"

#include <stdio.h>

enum nu_type {
    NU_BOOL,     /* bool: true false on off yes no */
    NU_INT,      /* int64_t */
    NU_PERCENT,  /* double, 0 to 1: "10%", "0.5%" */
    NU_DURATION, /* int64_t milliseconds: "250ms" "15s" "5m" "1h" "1d"; 0 = off */
    NU_SIZE,     /* int64_t bytes: "64KiB" "1MiB" "1GiB" "512"; also kB MB GB */
    NU_RATE,     /* int64_t bytes a second: a size, with or without "/s" */
    NU_STRING,   /* const char * */
    NU_ENUM,     /* int: index into choices */
    NU_ADDRESS,  /* struct nu_addr with its port */
    NU_CIDR,     /* struct nu_addr as a prefix */
    NU_FILE,     /* const char *, absolute path of a file that can be read */
    NU_PATH,     /* const char *, absolute path of a file that may not exist yet */
    NU_OBJECT,   /* sub->size bytes in place; with NU_PTR a pointer, NULL when absent */
    NU_NODE,     /* const struct nu_node *: its owner parses it later */
    NU_CUSTOM,   /* whatever `parse` stores */
};
const char *nu_type_str(enum nu_type type);

enum {
    NU_REQUIRED = 1,  /* absence is an error */
    NU_LIST = 2,      /* struct nu_vec of the type; a bare value is a list of one */
    NU_PTR = 4,       /* NU_OBJECT: a pointer */
    NU_LATER = 8,     /* known, but not in this version: an error that says so */
    NU_NONEMPTY = 16, /* a list needs at least one item, a string one character */
};

/* A list field: `count` items of the type, back to back. */
struct nu_vec {
    void *items;
    size_t count;
};

struct nu_place;
struct nu_schema;

/* Stores the value of `node` at `out`. On failure reports with nu_conf_error and returns an error.
 */
typedef enum nu_err nu_parse_fn(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out);

struct nu_field {
    const char *key;
    enum nu_type type;
    unsigned flags;
    size_t offset;
    const char *fallback;        /* default, as it would be written in YAML; NULL = zero */
    const char *doc;             /* one sentence, with the unit where the type has none */
    int64_t min, max;            /* INT, DURATION, SIZE, RATE: bounds; max 0 = none */
    const char *const *choices;  /* ENUM: NULL-terminated */
    const struct nu_schema *sub; /* OBJECT; CUSTOM: what `parse` parses by, for pages and prints */
    nu_parse_fn *parse;          /* CUSTOM */
    const char *shown;           /* CUSTOM and NODE: the type's name on the reference page */
    size_t item;                 /* CUSTOM with NU_LIST: size of an item */
};

struct nu_schema {
    const char *name;              /* "tcp_proxy", "listener": heading on the reference page */
    const char *doc;               /* one or more sentences */
    size_t size;                   /* of the struct */
    const struct nu_field *fields; /* ends with a NULL key */
    const char *scalar;            /* the key that a bare scalar or list stands for, or NULL */
    /* Checks across keys, after all fields are stored; may derive values. May be NULL. */
    enum nu_err (*check)(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out);
    struct nu_ext **ext; /* where extensions of this schema are listed, or NULL: not extendable */
    size_t ext_offset;   /* of a `void **` in the struct, one slot an extension */
};

/* A key that a higher layer adds to a lower layer's schema ("tls" on listeners). */
struct nu_ext {
    struct nu_field field; /* OBJECT with NU_PTR, or another type that is a pointer; no list */
    /* The filter that a value stands for, beside the socket of the chains or legs it is written
     * for; NULL = none. What `out` refers to lives until `owner` is freed (main thread). */
    void (*place)(void *value, struct nu_arena *owner, struct nu_place *out);
    /* Whether a leg so made speaks for the one client it was opened for; NULL = it does not. */
    bool (*per_client)(const void *value);
    struct nu_ext *next;
    unsigned slot;
};
/* Before any config is parsed. */
void nu_schema_extend(const struct nu_schema *schema, struct nu_ext *ext);
/* The parsed value of an extension in an object's ext array, or NULL when absent. */
static inline void *nu_ext_get(void *const *slots, const struct nu_ext *ext)
{
    return slots ? slots[ext->slot] : NULL;
}

/* Parses a map (or the scalar short form) by the schema into zeroed `out`; all that it stores comes
 * from the arena, except NODE values, which live with conf. Every mistake is reported; the return
 * is NU_ERR_CONFIG if there was one. A NULL node means: defaults (`check` still gets a node). */
enum nu_err nu_schema_parse(const struct nu_schema *schema, struct nu_conf *conf,
                            struct nu_arena *arena, const struct nu_node *node, void *out);

/* The normalized form: the node's keys in schema order with defaults filled in, values in canonical
 * units, as YAML. */
/* Prints what nu_schema_normalize makes; for configs that were parsed without errors. */
char *nu_schema_print(const struct nu_schema *schema, struct nu_conf *conf, struct nu_arena *arena,
                      const struct nu_node *node);

/* The normalized form as a tree from the arena. NODE and CUSTOM values are the node's own, so that
 * their owner can put a normalized one in their place (child[i], keeping its key). */
struct nu_node *nu_schema_normalize(const struct nu_schema *schema, struct nu_conf *conf,
                                    struct nu_arena *arena, const struct nu_node *node);

/* The option table of a schema and of those below it, for terminals and as Markdown. */
void nu_schema_doc_text(const struct nu_schema *schema, FILE *out);
void nu_schema_doc_markdown(const struct nu_schema *schema, FILE *out, int heading_level);

/* Makes the parsed path of a UNIX address absolute, if it is relative, and checks that it fits. */
enum nu_err nu_conf_unix_path(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, struct nu_addr *addr);

/* Formats in canonical units: "1h", "64KiB". Returns buf. */
const char *nu_duration_str(int64_t ms, char buf[static 32]);
const char *nu_size_str(int64_t bytes, char buf[static 32]);

#endif
