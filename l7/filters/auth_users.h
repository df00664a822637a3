/* The users that a basic_auth filter knows: from its config or from a file, which is watched and
 * swapped on all workers when it has another content; one that is wrong changes nothing. And the
 * passwords that were right lately, each worker's own, so that bcrypt is not asked each time.
 *
 * Made and freed on main; looked into by each worker through a view of its own. */
#ifndef NU_L7_FILTERS_AUTH_USERS_H
#define NU_L7_FILTERS_AUTH_USERS_H

#include "core/stats.h"
#include "protocols/http/htpasswd.h"

struct nu_auth_users;

/* Which counters of a set tell of a changed file; `stats` outlives the users. */
struct nu_auth_figures {
    struct nu_stats *stats;
    unsigned success, rejected;
};

/* `text` in the form of a file, or NULL: the file at `path`, an absolute one. NULL, and the fault
 * is set, if it is wrong. Main thread. */
struct nu_auth_users *nu_auth_users_new(const char *text, const char *path,
                                        const struct nu_auth_figures *figures,
                                        struct nu_htpasswd_fault *fault);
/* No worker may look into it any more. Main thread. */
void nu_auth_users_free(struct nu_auth_users *users);

/* As that shard has them; valid until its callback returns. */
const struct nu_htpasswd *nu_auth_users_view(const struct nu_auth_users *users, unsigned shard);
/* Whether that password was right for that hash lately; to remember that it was. */
bool nu_auth_remembers(const struct nu_auth_users *users, unsigned shard, const char *hash,
                       struct nu_text password);
void nu_auth_remember(struct nu_auth_users *users, unsigned shard, const char *hash,
                      struct nu_text password);

#endif
