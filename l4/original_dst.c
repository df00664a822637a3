/* Where a redirected connection was going; see original_dst.h. */
#include "l4/original_dst.h"

#include "core/assert.h"
#include "core/chain.h"
#include "l4/sock.h"
#include "l4/sockopt.h"

static const char *const sources[] = {"socket", "proxy_protocol", NULL};

const char *nu_dst_source_str(enum nu_dst_source source)
{
    nu_assert((unsigned)source < sizeof sources / sizeof *sources - 1);
    return sources[source];
}

#define AT(member) .offset = offsetof(struct nu_original_dst, member)
static const struct nu_field fields[] = {
    {.key = "enabled",
     .type = NU_BOOL,
     AT(enabled),
     .fallback = "true",
     .doc = "`original_dst: true` says this alone."},
    {.key = "source",
     .type = NU_ENUM,
     AT(source),
     .fallback = "socket",
     .choices = sources,
     .doc =
         "Who says where a client was going: `socket`, the kernel, for REDIRECT, DNAT and TPROXY "
         "rules of this machine; `proxy_protocol`, the destination in the PROXY header that the "
         "listener read."},
    NU_REACH_FIELDS(struct nu_original_dst, reach_conf, NULL),
    {.key = "max_endpoints",
     .type = NU_INT,
     AT(max_endpoints),
     .fallback = "4096",
     .min = 1,
     .max = 1000000,
     .doc = "Destinations known at once; an unused one makes room for a new one. Where all have "
            "connections, new ones are refused."},
    {.key = "keep",
     .type = NU_DURATION,
     AT(keep_ms),
     .fallback = "1m",
     .min = 1000,
     .doc = "How long an unused destination stays in `ctl clusters` and the figures."},
    {0                                    }
};
#undef AT

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    struct nu_original_dst *self = out;
    self->reach = nu_reach_new(arena, &self->reach_conf);
    return NU_OK;
}

const struct nu_schema nu_original_dst_schema = {
    .name = "original_dst",
    .doc = "Connects each client to where it was going before a rule of this machine brought it "
           "here. A connection that was meant for this listener itself, or that is one of our own, "
           "is refused: it would go round for ever.",
    .size = sizeof(struct nu_original_dst),
    .fields = fields,
    .scalar = "enabled",
    .check = check,
};

bool nu_original_dst_of(struct nu_chain *chain, struct nu_addr *out, bool *redirected)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    struct nu_addr local;
    int fd = nu_sock_fd(chain, NU_REV);
    const struct nu_facts *facts = nu_chain_facts(chain);
    *out = facts->local; /* of datagrams: as the listener learned it */
    *redirected = out->port != facts->bound_port;
    if (fd < 0)
        return out->kind == NU_ADDR_IP4 || out->kind == NU_ADDR_IP6;
    if (getsockname(fd, (struct sockaddr *)&ss, &len))
        return false;
    nu_addr_from_sockaddr(&local, &ss, len);
    if (local.kind != NU_ADDR_IP4 && local.kind != NU_ADDR_IP6)
        return false;
    *redirected = nu_sockopt_original_dst(fd, &local, out);
    if (*redirected)
        return true;
    *out = local; /* TPROXY: the socket has the address that was meant */
    *redirected = facts->bound_port != 0 && local.port != facts->bound_port;
    return true;
}

/* A header that named a client put the socket's own addresses aside. */
static bool from_header(struct nu_chain *chain, struct nu_addr *out, const char **why)
{
    const struct nu_facts *facts = nu_chain_facts(chain);
    *out = facts->local;
    *why = "no PROXY header says where the client was going";
    return facts->more && facts->more->direct.kind != NU_ADDR_NONE &&
           (out->kind == NU_ADDR_IP4 || out->kind == NU_ADDR_IP6);
}

bool nu_original_dst_find(const struct nu_original_dst *conf, struct nu_chain *chain,
                          struct nu_addr *out, const char **why)
{
    bool redirected;
    if (conf->source == NU_DST_PROXY_HEADER)
        return from_header(chain, out, why);
    *why = "the client came by no IP address";
    return nu_original_dst_of(chain, out, &redirected);
}

void nu_original_dst_note(struct nu_chain *chain, const struct nu_addr *dst)
{
    struct nu_facts *facts = nu_chain_facts(chain);
    bool proxied = facts->more && facts->more->direct.kind != NU_ADDR_NONE;
    if (proxied || nu_addr_equal(&facts->local, dst))
        return; /* what a PROXY header says of the client stays */
    struct nu_facts_more *more = nu_chain_facts_more(chain);
    if (more->direct_local.kind == NU_ADDR_NONE)
        more->direct_local = facts->local;
    facts->local = *dst;
}
