/* Packets of an interface, into the tap; libpcap opens it, filters in the kernel and counts what
 * the kernel dropped. */
#ifndef NU_TOOLS_TAP_LIVE_H
#define NU_TOOLS_TAP_LIVE_H

#include "tools/tap/tap.h"

#include <signal.h>

#define TAP_LIVE_BUFFER                                                                            \
    (8 << 20)           /* bytes of the kernel's ring: a burst of that size is no drop             \
                         */
#define TAP_LIVE_MS 100 /* between two looks at signals and key logs, at most */

struct tap_live;

/* NULL: told on stderr, with what helps. */
struct tap_live *tap_live_open(const char *interface, const char *expression, unsigned snaplen);
struct tap_live_job {
    const volatile sig_atomic_t *stop;
    void (*idle)(void *ctx);
    void *idle_ctx;
};
/* Until `stop`. False: the interface is gone; told. */
bool tap_live_run(struct tap_live *live, const struct tap_live_job *job, struct tap *tap);

struct tap_live_figures {
    uint64_t dropped_kernel, dropped_interface;
};
struct tap_live_figures tap_live_figures(const struct tap_live *live);
void tap_live_free(struct tap_live *live);

#endif
