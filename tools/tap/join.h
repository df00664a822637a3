/* --join: between the tap and an output. Exchanges wait until it is known which other one is their
 * way on behind a proxy; then the output is told of both, with their tie (event.h). All else goes
 * through at once. What waits is bounded in time, number and bytes. One thread. */
#ifndef NU_TOOLS_TAP_JOIN_H
#define NU_TOOLS_TAP_JOIN_H

#include "tools/tap/event.h"

#define TAP_JOIN_LEGS_MAX 4096 /* exchanges that wait: 100,000 a second are joined */
#define TAP_JOIN_OPEN_MAX 1024 /* that go on meanwhile; with more of them nothing is decided */
/* By the capture's clock: packets come in disorder, but not by more; and so long an exchange waits
 * for one that may be in front of it, and goes on. */
#define TAP_JOIN_SETTLE_NS (20 * INT64_C(1000000))
#define TAP_JOIN_WINDOW_NS (60 * INT64_C(1000000000))

struct tap_join;

struct tap_join_conf {
    const struct tap_sink *sink; /* lines or JSON */
    void *ctx;
    size_t memory_max;     /* bytes of what waits */
    const struct tap *tap; /* whose exchanges they are; it outlives the join's last call */
};

/* Never NULL. */
struct tap_join *tap_join_new(const struct tap_join_conf *conf);
/* Its context is the join. */
extern const struct tap_sink tap_join_sink;
/* Exchanges that were told before their other side could be known, for want of room. */
uint64_t tap_join_hurried(const struct tap_join *join);
/* NULL is fine. */
void tap_join_free(struct tap_join *join);

#endif
