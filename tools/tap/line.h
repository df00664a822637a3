/* The default output: a line for each exchange, closed TLS connection, WebSocket message, PROXY
 * header and connection that nobody understands; with -v fields, with -vv bodies below it. */
#ifndef NU_TOOLS_TAP_LINE_H
#define NU_TOOLS_TAP_LINE_H

#include "tools/tap/event.h"
#include "tools/tap/text.h"

#define TAP_BODY_SHOWN (64u * 1024) /* bytes of a body with -vv; who wants more follows it */

struct tap_lines {
    struct tap_out out;
    int verbose;        /* 0, 1 fields, 2 bodies */
    struct tap_id only; /* flow 0 = all; else what does not understand it is shown, too */
};

/* Its context is a struct tap_lines. */
extern const struct tap_sink tap_line_sink;

#endif
