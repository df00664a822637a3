/* --where: a condition on what was understood, `host == "a.test" && status >= 500 && total >
 * 100ms`, compiled once and asked of every event. A field that an event does not have is never
 * equal, not equal, less or more. */
#ifndef NU_TOOLS_TAP_WHERE_H
#define NU_TOOLS_TAP_WHERE_H

#include "tools/tap/event.h"

#include <stdio.h>

#define TAP_WHERE_NODES 256 /* comparisons and operators; each costs time for every event */
#define TAP_WHERE_DEPTH 64  /* parentheses and negations, one in the other: the reader recurses */

/* One of these, and its connection. */
struct tap_record {
    const struct tap_conn *conn;
    const struct tap_exchange *exchange;
    const struct tap_tls *tls;
    const struct tap_ws *ws;
    const struct tap_proxy *proxy;
    bool is_conn; /* the end of a connection */
};

enum tap_value_type {
    TAP_TEXT,
    TAP_NUMBER,
    TAP_TIME,  /* nanoseconds */
    TAP_BYTES, /* a count of bytes */
    TAP_BOOL,
    TAP_ADDR,
};
const char *tap_value_type_str(enum tap_value_type type); /* "a text", "a number" */

struct tap_value {
    struct nu_text text; /* TEXT */
    int64_t number;      /* NUMBER, TIME, BYTES, BOOL */
    struct nu_addr addr; /* ADDR */
};

struct tap_field {
    const char *name;
    enum tap_value_type type;
    const char *help;
    /* False: this event does not have it. */
    bool (*get)(const struct tap_record *r, struct tap_value *out);
};
/* The i-th one; NULL behind the last. Further ones are request.NAME and response.NAME: a header
 * field's value. */
const struct tap_field *tap_field_at(size_t i);
/* By its name, or NULL. */
const struct tap_field *tap_field_find(struct nu_text name);
/* The value of a header field of the exchange, dir 0 or 1. */
bool tap_header(const struct tap_record *r, int dir, struct nu_text name, struct tap_value *out);
/* "404", "1.5s", "64KiB", in the type's own unit; false: it is none. */
bool tap_number(struct nu_text word, enum tap_value_type type, int64_t *out);
/* --fields */
void tap_fields_print(FILE *out);

struct tap_where;

/* NULL: *error is what is wrong, where, with a caret, several lines; the caller frees it. Borrows
 * the text. */
struct tap_where *tap_where_new(const char *text, char **error);
bool tap_where_passes(const struct tap_where *where, const struct tap_record *r);
/* NULL is fine. */
void tap_where_free(struct tap_where *where);

#endif
