/* Who the process is, and what it may still do: the user of the key `user`, and as few
 * capabilities as reloads need. Main thread, before there is another one: capabilities are a
 * thread's own and inherited. docs/internals/privileges.md says when and why. */
#ifndef NU_TOOLS_NUNCIO_PRIVILEGE_H
#define NU_TOOLS_NUNCIO_PRIVILEGE_H

#include "core/conf/tree.h"

#include <stdbool.h>
#include <sys/types.h>

struct nu_identity {
    const char *user; /* as in the config; NULL: stay who we are */
    const char *name; /* its name among the system's users, for its groups; NULL: it has none */
    uid_t uid;
    gid_t gid;
};

/* Looks up the values of the keys `user` and `group` (names or numbers, NULL = absent); `root` is
 * the map that has them. Strings are borrowed, or from the arena. NU_ERR_CONFIG: told. */
enum nu_err nu_identity_find(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *root, const char *user, const char *group,
                             struct nu_identity *out);

/* Becomes that user and gives up all capabilities but those that binding may need; from here on no
 * program that it could start gains any. `dumpable`: may leave core dumps. NU_ERR_CONFIG: told in
 * conf. */
enum nu_err nu_privilege_become(const struct nu_identity *identity, bool dumpable,
                                struct nu_conf *conf, const struct nu_node *root);
/* After binding: keeps CAP_NET_BIND_SERVICE alone, for addresses that a reload adds; with
 * `net_admin` also CAP_NET_ADMIN and CAP_NET_RAW. */
void nu_privilege_settle(bool net_admin);

#endif
