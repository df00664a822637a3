/* Sockets that the service manager opened for us and passed on at the start (systemd's socket
 * activation: LISTEN_FDS and its kin). A listener whose bind address is a passed socket's takes
 * that one instead of opening its own. Main thread. */
#ifndef NU_L4_INHERITED_H
#define NU_L4_INHERITED_H

#include "core/addr.h"

#define NU_INHERITED_MAX 1024 /* sockets: far more than a unit has; bounds what is looked at */

/* Takes stock of what was passed to this very process, and takes the variables out of the
 * environment. Once, before any config is loaded and before descriptors are opened. */
void nu_inherited_init(void);
/* Closes what was passed. */
void nu_inherited_free(void);

/* A descriptor of the passed socket that is bound to `addr`, of `type` SOCK_STREAM (then it
 * listens) or SOCK_DGRAM: non-blocking, close-on-exec, the caller's to close. -1: there is none,
 * or no descriptor is left (errno). May be asked again for the same address: a reload may bring a
 * listener back. */
int nu_inherited_take(const struct nu_addr *addr, int type);

/* Tells of each passed descriptor that nobody has taken so far: its name as the manager calls it,
 * and its address, or NULL where it is no socket that we could use. */
void nu_inherited_unused(void (*fn)(const char *name, const struct nu_addr *addr, void *ctx),
                         void *ctx);

#endif
