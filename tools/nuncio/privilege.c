/* Users and capabilities; see privilege.h. The kernel's own calls: what libcap would add is a
 * dependency for two structs. */
#include "tools/nuncio/privilege.h"

#include "core/assert.h"
#include "core/log.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(cap)  ((uint64_t)1 << (cap))
#define ID_MOST   4294967294u /* the one above means "unchanged" to setresuid */
#define FOR_BIND  BIT(CAP_NET_BIND_SERVICE)
#define FOR_SPOOF (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW)) /* addresses that are not ours, marks */
#define FOR_FILES (BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH))

/* --- who --- */

static bool parse_id(const char *text, unsigned *out)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *out = (unsigned)n;
    return !errno && *text >= '0' && *text <= '9' && !*end && n <= ID_MOST;
}

static enum nu_err unknown(struct nu_conf *conf, const struct nu_node *root, const char *key,
                           const char *value)
{
    nu_conf_error(conf, nu_node_get(root, key), "no %s \"%.60s\" on this system", key, value);
    return NU_ERR_CONFIG;
}

/* A number need not be anybody's. */
static enum nu_err find_user(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *root, struct nu_identity *id, bool group_given)
{
    unsigned number;
    bool is_number = parse_id(id->user, &number);
    const struct passwd *row = is_number ? getpwuid(number) : getpwnam(id->user);
    if (!row && !is_number)
        return unknown(conf, root, "user", id->user);
    if (!row && !group_given) {
        nu_conf_error(conf, nu_node_get(root, "user"),
                      "user %u has no name on this system, hence no group: say `group`, too",
                      number);
        return NU_ERR_CONFIG;
    }
    id->name = row ? nu_arena_strdup(arena, row->pw_name) : NULL;
    id->uid = row ? row->pw_uid : number;
    id->gid = row ? row->pw_gid : 0;
    return NU_OK;
}

static enum nu_err find_group(struct nu_conf *conf, const struct nu_node *root, const char *group,
                              gid_t *out)
{
    unsigned number;
    if (parse_id(group, &number)) {
        *out = number;
        return NU_OK;
    }
    const struct group *row = getgrnam(group);
    if (!row)
        return unknown(conf, root, "group", group);
    *out = row->gr_gid;
    return NU_OK;
}

enum nu_err nu_identity_find(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *root, const char *user, const char *group,
                             struct nu_identity *out)
{
    *out = (struct nu_identity){.user = user};
    if (group && !user) {
        nu_conf_error(conf, nu_node_get(root, "group"), "a group without `user`");
        return NU_ERR_CONFIG;
    }
    if (!user)
        return NU_OK;
    enum nu_err err = find_user(conf, arena, root, out, group != NULL);
    if (group && find_group(conf, root, group, &out->gid) != NU_OK)
        err = NU_ERR_CONFIG;
    return err;
}

/* --- capabilities --- */

static uint64_t permitted(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    nu_assert(syscall(SYS_capget, &head, data) == 0);
    return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* Of `keep` those that we have; they become effective, the others are gone for good. 0, or -1 with
 * errno: somebody forbids even to have less (a seccomp filter around us). */
static int keep_only(uint64_t keep)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    keep &= permitted();
    for (int i = 0; i < 2; i++) {
        data[i].permitted = (uint32_t)(keep >> 32 * i);
        data[i].effective = data[i].permitted;
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return (int)syscall(SYS_capset, &head, data);
}

/* What nobody who takes over this process can ever have again; only root may say so. */
static void lower_ceiling(uint64_t keep)
{
    for (unsigned long cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (!(keep & BIT(cap)))
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

/* --- giving up --- */

static bool is_already(const struct nu_identity *id)
{
    return !id->user || (getuid() == id->uid && geteuid() == id->uid && getgid() == id->gid);
}

static int set_groups(const struct nu_identity *id)
{
    return id->name ? initgroups(id->name, id->gid) : setgroups(0, NULL);
}

/* 0, or -1 with errno. Capabilities come along, to be thinned out next. */
static int switch_user(const struct nu_identity *id)
{
    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    int failed = set_groups(id) || setresgid(id->gid, id->gid, id->gid) ||
                 setresuid(id->uid, id->uid, id->uid);
    int error = errno;
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    errno = error;
    return failed ? -1 : 0;
}

/* Root without `user` is still root to files: a reload reads what the start could read. */
static uint64_t wanted(void)
{
    return FOR_BIND | FOR_SPOOF | (geteuid() == 0 ? FOR_FILES : 0);
}

enum nu_err nu_privilege_become(const struct nu_identity *id, bool dumpable, struct nu_conf *conf,
                                const struct nu_node *root)
{
    lower_ceiling(FOR_BIND | FOR_SPOOF | (id->user && id->uid ? 0 : FOR_FILES));
    if (!is_already(id) && switch_user(id)) {
        nu_conf_error(conf, nu_node_get(root, "user"), "cannot become %s: %s%s", id->user,
                      strerror(errno),
                      geteuid() ? ". Only who is started as root can become somebody else" : "");
        return NU_ERR_CONFIG;
    }
    if (keep_only(wanted())) {
        nu_conf_error(conf, NULL, "cannot give up capabilities: %s", strerror(errno));
        return NU_ERR_CONFIG;
    }
    nu_assert(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    nu_assert(prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0) == 0);
    nu_assert(!id->user || id->uid == 0 || setresuid(0, 0, 0) != 0);
    if (!id->user && geteuid() == 0)
        nu_log(NU_LOG_WARN, "server",
               "runs as root, with capabilities for binding and files; the "
               "config's key \"user\" names somebody with fewer rights");
    return NU_OK;
}

void nu_privilege_settle(bool net_admin)
{
    nu_assert(
        keep_only(FOR_BIND | (net_admin ? FOR_SPOOF : 0) | (geteuid() == 0 ? FOR_FILES : 0)) == 0);
}
