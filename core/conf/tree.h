/* A config file as a tree of nodes that know their place, and the list of what is wrong with it.
 *
 * YAML in, through libyaml: maps, lists and scalars; no aliases, no tags, one document, unique
 * keys. Nothing here knows what a key means: that is schema.h. Main thread only. */
#ifndef NU_CORE_CONF_TREE_H
#define NU_CORE_CONF_TREE_H

#include "core/arena.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NU_CONF_MAX_BYTES  (64u << 20) /* of a file: 10,000 chains are 3 MB */
#define NU_CONF_MAX_DEPTH  64          /* levels: libyaml is quadratic in nesting */
#define NU_CONF_MAX_KEY    250         /* bytes: longer ones cannot be written as `key: value` */
#define NU_CONF_MAX_ERRORS 100         /* shown, and as many warnings; the rest is counted */

enum nu_node_kind { NU_NODE_SCALAR, NU_NODE_LIST, NU_NODE_MAP };
const char *nu_node_kind_str(enum nu_node_kind kind);

struct nu_node {
    enum nu_node_kind kind;
    bool quoted; /* scalar in quotes: never a null, a bool or a number by itself */
    bool
        expanded; /* scalar that has something of a ${} in it: of the environment, secret perhaps */
    bool broken;  /* reported already; whoever parses it fails without a word */
    uint32_t line,
        column; /* 1-based; columns count characters; of the value; 0 = not in the file */
    uint32_t key_line, key_column; /* of the key, where this is a map's value */
    uint32_t span, key_span;       /* characters to underline */
    uint32_t count;                /* list and map: children */
    uint32_t index;                /* place in the parent's list */
    const char *key;               /* in a map: its key, NUL-terminated */
    const char *text; /* scalar: its value after ${} expansion, NUL-terminated, no NUL inside */
    struct nu_node *parent;
    struct nu_node **child; /* in file order */
};

struct nu_conf; /* one config text: its tree, its lines for carets, its errors */

/* Reads and parses a file. Never NULL; ask nu_conf_failed. The caller frees it with nu_conf_free;
 * nodes and their texts die with it. Relative paths in it are relative to the file's folder. */
struct nu_conf *nu_conf_load(const char *path);
/* The same from memory; `name` stands in errors, `folder` is for relative paths. Text is borrowed
 * until free. */
struct nu_conf *nu_conf_from_text(const char *name, const char *folder, const char *text,
                                  size_t len);
void nu_conf_free(struct nu_conf *conf);
/* What it was parsed from, *len bytes, and the folder of its relative paths; both live as it does.
 * NULL: it could not be read. */
const char *nu_conf_text(const struct nu_conf *conf, size_t *len, const char **folder);

/* The root node; NULL if the text could not be parsed. An empty file is an empty map. */
struct nu_node *nu_conf_root(struct nu_conf *conf);
bool nu_conf_failed(const struct nu_conf *conf);
size_t nu_conf_error_count(const struct nu_conf *conf);

/* An error at the node's value: "FILE:LINE:COL: path.of.node: text", the line, a caret below the
 * place. A node that is not in the file (a default) stands for its nearest parent that is; NULL is
 * the file as a whole. */
void nu_conf_error(struct nu_conf *conf, const struct nu_node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same at the node's key, with the path of the map it is in; without a key at its value. */
void nu_conf_error_key(struct nu_conf *conf, const struct nu_node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* For what is missing in a map: at its key where it has one, with its own path. */
void nu_conf_error_in(struct nu_conf *conf, const struct nu_node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Attaches a guess to the error reported last: printed behind its caret as `did you mean "guess"?`.
 */
void nu_conf_guess(struct nu_conf *conf, const char *guess);
/* A warning is shown like an error and fails nothing. */
void nu_conf_warn(struct nu_conf *conf, const struct nu_node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* All errors and warnings in file order, NUL-terminated; owned by conf until it is freed or grows.
 */
const char *nu_conf_report(struct nu_conf *conf);

/* A plain scalar that says nothing: empty, ~ or null. */
bool nu_node_is_null(const struct nu_node *node);
/* The value under `key` of a map, or NULL. */
struct nu_node *nu_node_get(const struct nu_node *map, const char *key);
/* "listeners[0].filters[0].tcp_proxy"; from the arena. "" for the root. */
char *nu_node_path(struct nu_arena *arena, const struct nu_node *node);
/* An absolute path for a path written in the config. */
char *nu_conf_path(struct nu_conf *conf, struct nu_arena *arena, const char *path);
/* The node as YAML, with ${ escaped, that parses to the same tree, block style, NUL-terminated;
 * from the arena. */
char *nu_node_print(struct nu_arena *arena, const struct nu_node *node);

/* Of `count` candidates the nearest to `word` by edit distance, or NULL if none is near enough to
 * be a typo. */
const char *nu_did_you_mean(const char *word, const char *const *candidates, size_t count);

#endif
