/* Conditions: `host == "a.test" && status >= 500 && total > 100ms`, compiled once and asked of
 * every record. What a record is and which fields it has is told by a table: that of nuncio-tap's
 * events, that of the proxy's connections and requests. A field that a record does not have is
 * never equal, not equal, less or more.
 *
 * Compiled by one thread; then any number of them may ask, if the getters allow it. */
#ifndef NU_CORE_WHERE_H
#define NU_CORE_WHERE_H

#include "core/addr.h"
#include "core/text.h"

#include <stdio.h>

#define NU_WHERE_NODES 256 /* comparisons and operators; each costs time for every record */
#define NU_WHERE_DEPTH 64  /* parentheses and negations, one in the other: the reader recurses */

enum nu_where_type {
    NU_WHERE_TEXT,
    NU_WHERE_NUMBER,
    NU_WHERE_TIME,  /* nanoseconds */
    NU_WHERE_BYTES, /* a count of bytes */
    NU_WHERE_BOOL,
    NU_WHERE_ADDR,
};
const char *nu_where_type_str(enum nu_where_type type); /* "a text", "a number" */

struct nu_where_value {
    struct nu_text text; /* TEXT; good until the next value is got */
    int64_t number;      /* NUMBER, TIME, BYTES, BOOL */
    struct nu_addr addr; /* ADDR */
};

struct nu_where_field {
    const char *name;
    enum nu_where_type type;
    const char *help;
    /* False: this record does not have it. */
    bool (*get)(const void *record, struct nu_where_value *out);
    unsigned stage; /* a bit that says when it is known; 0 where nobody asks for stages */
};

/* request.NAME: texts by names that the table does not have. */
struct nu_where_family {
    const char *prefix; /* "request." */
    const char *help;
    bool (*get)(const void *record, struct nu_text name, struct nu_where_value *out);
    unsigned stage;
};

struct nu_where_fields {
    const struct nu_where_field *field;
    size_t count;
    const struct nu_where_family *family;
    size_t families;
    const char *record; /* what has them: "an event" */
    const char *listed; /* where a user finds them: "--fields lists them" */
};

struct nu_where;

/* Borrows the text and the table. NULL: *error is what is wrong, each mistake by
 * "PLACE:LINE:COLUMN: text", its line and a caret; the caller frees it. Else *error is NULL. */
struct nu_where *nu_where_new(const struct nu_where_fields *fields, const char *place,
                              const char *text, char **error);
bool nu_where_passes(const struct nu_where *where, const void *record);
/* NULL is fine. */
void nu_where_free(struct nu_where *where);

/* The stages of all fields that the condition has. */
unsigned nu_where_stages(const struct nu_where *where);
enum nu_where_answer { NU_WHERE_NO, NU_WHERE_YES, NU_WHERE_LATER };
const char *nu_where_answer_str(enum nu_where_answer answer);
/* What is sure when only fields of these stages (and of none) are known; the others are not got. */
enum nu_where_answer nu_where_early(const struct nu_where *where, unsigned stages,
                                    const void *record);

/* All fields and how they are asked for, for people. */
void nu_where_print(const struct nu_where_fields *fields, FILE *out);

/* "404", "1.5s", "64KiB", in the type's own unit; false: it is none. */
bool nu_where_number(struct nu_text word, enum nu_where_type type, int64_t *out);

#endif
