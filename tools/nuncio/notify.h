/* What systemd is told, by the protocol of sd_notify(3): ready, reloading, stopping, a word on the
 * state, and a sign of life while the main loop and every worker answer. Without NOTIFY_SOCKET all
 * of it does nothing. Main thread. docs/internals/privileges.md has the unit. */
#ifndef NU_TOOLS_NUNCIO_NOTIFY_H
#define NU_TOOLS_NUNCIO_NOTIFY_H

#include <stdint.h>

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Before privileges are given up. */
void nu_notify_init(void);
/* Closes the socket. */
void nu_notify_free(void);
/* Begins the signs of life, if systemd wants them; the main loop exists. */
void nu_notify_watch(void);
/* No sign from here on; before the workers are gone. */
void nu_notify_unwatch(void);

/* Serves: after the start and after each reload, however that went. The words are for `systemctl
 * status`. */
void nu_notify_ready(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void nu_notify_reloading(void);
/* `most_ms`: how long the drain may take, so that it is not cut short by TimeoutStopSec. */
void nu_notify_stopping(int64_t most_ms);

#endif
