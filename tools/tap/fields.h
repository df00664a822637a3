/* What --where asks of events: which fields they have (core/where.h is the language). */
#ifndef NU_TOOLS_TAP_FIELDS_H
#define NU_TOOLS_TAP_FIELDS_H

#include "core/where.h"
#include "tools/tap/event.h"

#include <stdio.h>

/* One of these, and its connection. */
struct tap_record {
    const struct tap_conn *conn;
    const struct tap_exchange *exchange;
    const struct tap_tls *tls;
    const struct tap_ws *ws;
    const struct tap_proxy *proxy;
    bool is_conn; /* the end of a connection */
};

/* Of a tap_record. */
extern const struct nu_where_fields tap_fields;
/* --fields */
void tap_fields_print(FILE *out);

#endif
