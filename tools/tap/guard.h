/* What the program may still do once its sources are open: it reads what strangers sent, so it has
 * no rights left and few system calls. */
#ifndef NU_TOOLS_TAP_GUARD_H
#define NU_TOOLS_TAP_GUARD_H

#include <stdbool.h>
#include <sys/types.h>

/* Gives up root (to who called sudo, else to nobody) and all capabilities, then all system calls
 * but those that reading, writing and memory take. Told on stderr where the system refuses; only
 * root that could not be given up is an error: -1. `connects`: it may still make connections. */
int tap_guard(bool connects);
/* Who owns what is written: by root, whoever called sudo. False: it stays whose it is. */
bool tap_guard_owner(uid_t *uid, gid_t *gid);

#endif
