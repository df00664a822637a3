/* --replay URL: recorded requests are sent again, to a server of one's choice, and its answers
 * compared with those of the capture. Requests are gathered while the capture is read (replay.c),
 * then sent in their order, at the pace they came in or another (replay_run.c), over connections
 * as many as there were then (replay_conn.c). HTTP/1.1 only, whatever the capture has. One thread.
 */
#ifndef NU_TOOLS_TAP_REPLAY_H
#define NU_TOOLS_TAP_REPLAY_H

#include "tools/tap/tap.h"

#include <signal.h>

#define TAP_REPLAY_BODY  (4u << 20) /* bytes of each body, sent or compared */
#define TAP_REPLAY_CONNS 256        /* at once; what was recorded with more waits for one */
#define TAP_REPLAY_MS    30000      /* that an answer may take, from the connection's begin on */

struct tap_pace {
    double times;  /* as fast as it was, 2 = in half the time; 0 = not by the capture's clock */
    double per_ns; /* requests, without `times`; 0 = as fast as they are answered */
};
/* "1x", "0.5x", "100/s", "max". */
bool tap_pace_read(const char *text, struct tap_pace *out);

struct tap_out;
struct tap_replay;

struct tap_replay_conf {
    const char *url; /* http://HOST[:PORT] */
    struct tap_pace pace;
    bool diff;           /* only what differs is shown, and fails */
    size_t memory_max;   /* bytes of requests and answers that are kept */
    struct tap_out *out; /* borrowed */
};

/* Looks the host up and tries a connection, while the program may. NULL: told on stderr. */
struct tap_replay *tap_replay_open(const struct tap_replay_conf *conf);
/* Its context is the replay. */
extern const struct tap_sink tap_replay_sink;
/* Sends all that was gathered; `tap` has been finished. False: something was not answered, or with
 * `diff` was not the same. */
bool tap_replay_run(struct tap_replay *replay, struct tap *tap, const volatile sig_atomic_t *stop);
/* NULL is fine. */
void tap_replay_free(struct tap_replay *replay);

#endif
