/* Reads JSON that a nuncio wrote, for `nuncio top`: RFC 8259, without numbers beyond a double. */
#ifndef NU_TOOLS_NUNCIO_JSON_H
#define NU_TOOLS_NUNCIO_JSON_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>

#define NU_JSON_DEPTH_MAX 32 /* levels: the reader recurses */

enum nu_json_kind {
    NU_JSON_NULL,
    NU_JSON_BOOL,
    NU_JSON_NUMBER,
    NU_JSON_TEXT,
    NU_JSON_LIST,
    NU_JSON_MAP
};
const char *nu_json_kind_str(enum nu_json_kind kind);

struct nu_json {
    enum nu_json_kind kind;
    double number;    /* of a bool 0 or 1 */
    const char *text; /* UTF-8; NUL for \u0000 ends it early; never NULL */
    const char *key;  /* in a map */
    struct nu_json *child, *next;
};

/* All of the text, in the arena; NULL: it is not JSON. */
struct nu_json *nu_json_read(struct nu_arena *arena, const char *text, size_t len);
/* The value of a map's key, or NULL; any of them may be NULL. */
const struct nu_json *nu_json_get(const struct nu_json *map, const char *key);
/* 0 and "" where there is none, or one of another kind. */
double nu_json_number(const struct nu_json *map, const char *key);
const char *nu_json_text(const struct nu_json *map, const char *key);
/* The first item of the list under that key, or NULL; more by `next`. */
const struct nu_json *nu_json_items(const struct nu_json *map, const char *key);

#endif
