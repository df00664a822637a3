/* A condition as where_read.c makes it and where.c asks it: a tree in an array. */
#ifndef NU_CORE_WHERE_PRIV_H
#define NU_CORE_WHERE_PRIV_H

#include "core/arena.h"
#include "core/where.h"

#include <stdint.h>
#include <stdio.h>

enum where_op {
    WHERE_EQ,
    WHERE_NE,
    WHERE_LT,
    WHERE_LE,
    WHERE_GT,
    WHERE_GE,
    WHERE_CONTAINS,
    WHERE_IS,
    WHERE_AND,
    WHERE_OR,
    WHERE_NOT
};

struct where_node {
    uint8_t op;                         /* enum where_op */
    uint16_t a, b;                      /* AND, OR, NOT: nodes */
    const struct nu_where_field *field; /* else: one of both, */
    const struct nu_where_family *family;
    struct nu_text name; /* and which of the family */
    struct nu_where_value value;
    bool prefix; /* the value is a CIDR prefix */
};

struct nu_where {
    const struct nu_where_fields *fields;
    struct where_node node[NU_WHERE_NODES];
    unsigned count;
    uint16_t root;
    struct nu_arena *arena;
};

static inline enum nu_where_type where_type(const struct where_node *n)
{
    return n->field ? n->field->type : NU_WHERE_TEXT;
}

/* Fills the tree; the number of mistakes, which `errors` has. */
unsigned where_read(struct nu_where *where, const char *place, const char *text, FILE *errors);

#endif
