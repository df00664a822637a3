/* The connections that this process makes to servers which its clients choose, by their two ends: a
 * connection that comes in with the very same ends is one of our own that a rule of this machine
 * led back to us, and going on would loop until descriptors run out.
 *
 * One table for all workers behind a lock, which only such connections take. */
#ifndef NU_L4_OWN_LEGS_H
#define NU_L4_OWN_LEGS_H

#include "core/addr.h"
#include "core/list.h"

#include <stdbool.h>

/* Part of its leg. Zeroed: not listed. */
struct nu_own_leg {
    struct nu_list link;
    struct nu_addr from, to;
    bool listed;
};

/* After connect(): asks the socket where it comes from. */
void nu_own_legs_add(struct nu_own_leg *leg, int fd, const struct nu_addr *to);
/* Not listed: nothing. */
void nu_own_legs_del(struct nu_own_leg *leg);
bool nu_own_legs_have(const struct nu_addr *from, const struct nu_addr *to);

/* Whether this machine itself has the address. No bytes are sent. */
bool nu_addr_is_ours(const struct nu_addr *addr);

#endif
