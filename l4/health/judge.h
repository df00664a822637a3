/* From verdicts of single checks to what an endpoint is taken for: the first one decides at once,
 * later ones when enough of them agree in a row. Knows neither clock nor network. Main thread. */
#ifndef NU_L4_HEALTH_JUDGE_H
#define NU_L4_HEALTH_JUDGE_H

#include "l4/endpoint.h"

#include <stdint.h>

#define NU_HEALTH_ROW_MAX 1000 /* thresholds: more in a row would take hours */

struct nu_health_thresholds {
    int64_t healthy, unhealthy; /* verdicts in a row; 1 to NU_HEALTH_ROW_MAX */
};

enum nu_health_turn {
    NU_HEALTH_SAME,   /* as before, and nothing points elsewhere */
    NU_HEALTH_COMING, /* as before, but the row that may change it has begun */
    NU_HEALTH_UP,     /* healthy from now on, or found so by the first check */
    NU_HEALTH_DOWN,
};
const char *nu_health_turn_str(enum nu_health_turn turn);

/* Takes a verdict into account: changes `checks` and the bits of `health`. */
enum nu_health_turn nu_health_judge(struct nu_endpoint *endpoint,
                                    const struct nu_health_thresholds *thresholds, bool passed);
/* As if it was never checked: `usable` or not until the first verdict. */
void nu_health_begin(struct nu_endpoint *endpoint, bool usable);
/* Nobody checks it any more: it may be used. */
void nu_health_forget(struct nu_endpoint *endpoint);

#endif
