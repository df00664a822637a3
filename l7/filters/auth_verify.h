/* bcrypt apart from the workers: one thread for the process takes comparisons one after another. So
 * guesses at passwords cost a core at most, and no other connection's time. */
#ifndef NU_L7_FILTERS_AUTH_VERIFY_H
#define NU_L7_FILTERS_AUTH_VERIFY_H

#include "protocols/http/head.h"

struct nu_loop;
struct nu_verify; /* a ticket (T7) */

/* The thread runs as long as somebody wants it. Putting waits for the comparison in progress. Main
 * thread. */
void nu_verifier_get(void);
void nu_verifier_put(void);

/* Has a password compared with a bcrypt hash; both are copied. done(ctx, same) is called once, on
 * the loop's worker, from outside any chain. NULL: `max` comparisons wait already. */
struct nu_verify *nu_verify_start(struct nu_loop *loop, const char *hash, struct nu_text password,
                                  unsigned max, void (*done)(void *ctx, bool same), void *ctx);
/* No call after this. Before `done` only; on the same worker. NULL is fine. */
void nu_verify_cancel(struct nu_verify *verify);

#endif
