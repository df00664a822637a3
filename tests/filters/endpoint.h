/* Ends of a test chain that behave like sockets and truly sleep until told.
 *
 * `nu_source` stands at the left end, `nu_sink` at the right one; each sends one way and takes the
 * other. The sending half stops when the way is blocked and goes on only after flow(go): a lost
 * wake-up is a test that hangs. The taking half keeps bytes until its window lets it write them, in
 * the flush phase; it holds at high water and releases at half. The test's own struct is both its
 * conf and its report, and outlives the chain. */
#ifndef NU_TESTS_ENDPOINT_H
#define NU_TESTS_ENDPOINT_H

#include "core/chain.h"

struct nu_test_end {
    /* Sending. */
    uint64_t to_send;  /* bytes still to be sent */
    size_t chunk;      /* bytes a "read"; 0 = 1000 */
    enum nu_cause end; /* how it ends when all is sent; NONE = it does not */
    bool eager;        /* sends also when something comes, at once: within that frame */
    uint64_t sent, sent_hash;
    bool asleep, sent_end;
    /* Taking. */
    uint64_t window;   /* bytes it may still write */
    size_t high_water; /* bytes; 0 = 4000 */
    uint64_t waiting, most_waiting;
    uint64_t got, got_hash; /* written */
    uint64_t wrong;         /* bytes that do not belong where they came */
    unsigned writes;        /* flushes that wrote something */
    bool got_end, done;
    struct nu_result result; /* the END that came */
    /* Both. */
    struct nu_filter *self; /* NULL once closed */
    unsigned opened, closed;
};

extern const struct nu_filter_type nu_source, nu_sink;

/* An endpoint with an open window that sends nothing and never ends. */
struct nu_test_end nu_endpoint_idle(void);

/* From outside; each takes effect in the loop's next turn. More to send; an end behind it; more
 * window. */
void nu_endpoint_send(struct nu_test_end *ep, uint64_t bytes);
void nu_endpoint_finish(struct nu_test_end *ep, enum nu_cause cause);
void nu_endpoint_open(struct nu_test_end *ep, uint64_t window);

#endif
