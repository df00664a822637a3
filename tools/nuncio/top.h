/* `nuncio top`: what the admin's page shows, in a terminal. top.c asks and listens to keys,
 * top_view.c has what two answers say together, top_draw.c the lines. One thread. */
#ifndef NU_TOOLS_NUNCIO_TOP_H
#define NU_TOOLS_NUNCIO_TOP_H

#include "tools/nuncio/json.h"

#include <stdio.h>

enum { TOP_P50, TOP_P95, TOP_P99, TOP_QUANTILES };

/* A cluster, or all of HTTP together. */
struct top_row {
    const struct nu_json *now;
    double rate;              /* a second: requests, else new connections */
    double errors;            /* share, 0 to 1; -1 = nothing happened */
    double ms[TOP_QUANTILES]; /* -1 = nothing was measured */
    int trouble;              /* the higher, the further up */
};

struct top_view {
    const struct nu_json *now;
    double seconds; /* between the two answers; 0 = there is but one */
    bool http;      /* `all` is of requests; else of connections */
    struct top_row all;
    struct top_row *clusters; /* trouble first, then by name */
    size_t cluster_count;
};

/* `before` is NULL for the first answer. All in the arena. */
void top_view_make(struct top_view *view, struct nu_arena *arena, const struct nu_json *now,
                   const struct nu_json *before);
/* New connections a second of a listener. */
double top_listener_rate(const struct top_view *view, const struct nu_json *before,
                         const struct nu_json *listener);

/* How and where it is drawn. */
struct top_screen {
    int rows, columns; /* rows 0: as many as it takes */
    bool color;
    size_t first;     /* cluster: scrolled to; brought into its bounds */
    const char *lost; /* a sentence why there is nothing newer, or NULL */
};
/* Lines that end in newlines, the last one without where rows are bounded. */
void top_draw(FILE *out, struct top_screen *screen, const struct top_view *view,
              const struct nu_json *before);
/* The text as a terminal may have it, cut or filled up to `width` columns; width 0: as long as it
 * is. */
void top_put_text(FILE *out, const char *text, size_t width);

#endif
