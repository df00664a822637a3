/* The config file as a whole: what stands at its left margin. Listeners and clusters are read by
 * l4. Main thread. */
#ifndef NU_TOOLS_NUNCIO_ROOT_H
#define NU_TOOLS_NUNCIO_ROOT_H

#include "core/conf/schema.h"
#include "tools/nuncio/privilege.h"

#define NU_MAX_WORKERS 256 /* threads: more than CPUs only cost */

struct nu_root {
    int64_t workers; /* 0 = one per CPU */
    int64_t drain_timeout_ms, drain_delay_ms;
    const char *admin; /* address, its path absolute; NULL = none */
    const char *user, *group;
    bool seccomp, core_dumps;
    struct nu_identity identity; /* of user and group */
    struct nu_vec sinks;         /* struct nu_sink_conf */
    const struct nu_node *listeners, *clusters;
};

extern const struct nu_schema nu_root_schema;

/* An admin address as nu_addr_parse reads it: NU_ERR_SYNTAX it is none, NU_ERR_LIMIT others could
 * reach it (neither loopback nor a UNIX socket). The path of a UNIX socket is borrowed. */
enum nu_err nu_admin_address(const char *text, struct nu_addr *out);
/* The value of the key `admin`, for ctl, which wants nothing else: "" when there is none. */
enum nu_err nu_root_admin(struct nu_conf *conf, struct nu_arena *arena, const char **out);
/* The whole config normalized, as a tree of its own in the arena, and printed: the root's keys, and
 * those of all that l4 reads. From the arena. */
struct nu_node *nu_root_normalize(struct nu_conf *conf, struct nu_arena *arena);
char *nu_root_print(struct nu_conf *conf, struct nu_arena *arena);

#endif
