/* A condition on a named value: a field of the head, a parameter of the query. Main thread parses,
 * any thread tests. */
#ifndef NU_L7_ROUTE_VALUE_H
#define NU_L7_ROUTE_VALUE_H

#include "core/conf/schema.h"
#include "protocols/http/head.h"

struct nu_regex;

enum route_value_kind {
    ROUTE_VALUE_EXACT,
    ROUTE_VALUE_PREFIX,
    ROUTE_VALUE_SUFFIX,
    ROUTE_VALUE_CONTAINS,
    ROUTE_VALUE_REGEX,
    ROUTE_VALUE_PRESENT,
};
const char *route_value_kind_str(enum route_value_kind kind);

struct route_value {
    uint8_t kind;  /* enum route_value_kind */
    bool inverted; /* no value may fit */
    uint8_t field; /* enum nu_hdr, of a header's name */
    struct nu_text name;
    struct nu_text text; /* what it is compared with; of REGEX its pattern */
    const struct nu_regex *regex;
};

/* Maps of names to conditions; `out` is a struct nu_vec of struct route_value. */
nu_parse_fn route_headers_parse;
nu_parse_fn route_query_parse;
/* One condition, on a value that has no name; `out` is a struct route_value. */
nu_parse_fn route_value_parse;
/* What may stand for a value, for the pages. */
extern const struct nu_schema route_value_schema;

/* Never where a search gave up, inverted or not. */
bool route_value_fits(const struct route_value *value, struct nu_text text);
bool route_header_fits(const struct route_value *value, const struct nu_http_head *head);
bool route_query_fits(const struct route_value *value, struct nu_text query);
/* Takes the next parameter off a query, as it is written: nothing is decoded. False at its end. */
bool route_query_next(struct nu_text *rest, struct nu_text *name, struct nu_text *value);
/* `header x-v is "2"`, `no parameter d begins with "a"`; from the arena. */
const char *route_value_text(const struct route_value *value, const char *what,
                             struct nu_arena *arena);

#endif
