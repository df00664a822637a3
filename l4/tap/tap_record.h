/* What a condition of the tap is asked of: a connection at its first plain byte, a request at its
 * head. The fields that it has are of the layer above (l7/tap_fields.h), which alone looks into the
 * stream. On the connection's worker. */
#ifndef NU_L4_TAP_TAP_RECORD_H
#define NU_L4_TAP_TAP_RECORD_H

#include "core/facts.h"
#include "core/where.h"

struct nu_tap_record {
    const struct nu_facts *facts;
    const struct nu_stream *stream; /* NULL = bytes, or no request yet */
};

/* Stages of fields: when they are known. */
enum { NU_TAP_AT_CONNECTION = 1, NU_TAP_AT_REQUEST = 2 };

/* Whether it has to be asked at each request; else the connection's begin decides. */
static inline bool nu_tap_asks_requests(const struct nu_where *where)
{
    return (nu_where_stages(where) & NU_TAP_AT_REQUEST) != 0;
}

/* What a connection's begin says of all that is in it: NU_WHERE_LATER = each request decides. */
static inline enum nu_where_answer nu_tap_asks_early(const struct nu_where *where,
                                                     const struct nu_facts *facts)
{
    const struct nu_tap_record record = {.facts = facts};
    return nu_where_early(where, NU_TAP_AT_CONNECTION, &record);
}

#endif
