/* From a cluster and a connection to an endpoint; see pick.h. */
#include "l4/pick.h"

#include "core/assert.h"
#include "l4/dns_cache.h"
#include "l4/dynamic_forward.h"
#include "l4/found.h"
#include "l4/original_dst.h"
#include "l4/own_legs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* NEW -> WAITING -> TRYING -> DONE; where the answer is known, or the one address, without a wait.
 */
enum far_state { FAR_NEW, FAR_WAITING, FAR_TRYING, FAR_DONE };

/* What a pick needs where the client chooses the server. */
struct nu_pick_far {
    struct nu_filter *owner;
    nu_pick_ready_fn *ready;
    const char *host; /* dynamic_forward: once it is known to be allowed */
    uint16_t port;
    enum far_state state;
    struct nu_dns_ticket *ticket;
    struct nu_timer timer;
    struct nu_dns_answer *answer; /* a reference */
    size_t at;                    /* the turn of its next address */
    size_t first, start;          /* addresses of the first family; where its turns begin */
    enum nu_cause cause;
    const char *why;
};

const char *nu_pick_answer_str(enum nu_pick_answer answer)
{
    static const char *const names[] = {"found", "wait", "none"};
    nu_assert((unsigned)answer < sizeof names / sizeof *names);
    return names[answer];
}

static struct nu_chain *chain_of(const struct nu_pick *pick)
{
    return pick->far->owner->chain;
}

/* The last reason is the one that is told. */
static enum nu_pick_answer refuse(struct nu_pick *pick, enum nu_cause cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static enum nu_pick_answer refuse(struct nu_pick *pick, enum nu_cause cause, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pick->far->cause = cause;
    pick->far->why = nu_arena_strdup(nu_chain_arena(chain_of(pick)), text);
    return NU_PICK_NONE;
}

/* The socket's own ends, whoever a PROXY header says the client is. */
static const struct nu_addr *direct_client(const struct nu_facts *facts)
{
    bool proxied = facts->more && facts->more->direct.kind != NU_ADDR_NONE;
    return proxied ? &facts->more->direct : &facts->client;
}

/* Whether going there would lead back to us: it is the listener itself, or the connection that came
 * in is one that we made to that very place. */
static bool is_loop(struct nu_chain *chain, const struct nu_addr *to)
{
    const struct nu_facts *facts = nu_chain_facts(chain);
    struct nu_addr meant;
    bool redirected;
    if (to->port == facts->bound_port && nu_addr_is_ours(to))
        return true;
    return nu_original_dst_of(chain, &meant, &redirected) &&
           nu_own_legs_have(direct_client(facts), &meant);
}

/* An address that the client chose becomes the endpoint, if it may. */
static enum nu_pick_answer go_to(struct nu_pick *pick, const struct nu_reach *reach,
                                 const struct nu_addr *to, const char *host)
{
    char addr[NU_ADDR_TEXT_MAX];
    struct nu_loop *loop = nu_filter_loop(pick->far->owner);
    nu_addr_str(to, addr);
    const char *denied = nu_reach_denied(reach, to);
    if (denied)
        return refuse(pick, NU_CAUSE_DENIED, "%s%s%s may not be reached: %s", host ? host : "",
                      host ? " is " : "", addr, denied);
    if (is_loop(chain_of(pick), to))
        return refuse(pick, NU_CAUSE_LOOP, "%s leads back to this process", addr);
    pick->endpoint =
        nu_found_take(pick->cluster->found, to, host ? host : addr, loop->shard, loop->now_ms);
    if (!pick->endpoint)
        return refuse(pick, NU_CAUSE_OVERFLOW, "no room for %s among the destinations in use",
                      addr);
    return NU_PICK_FOUND;
}

/* --- original_dst --- */

static enum nu_pick_answer next_original(struct nu_pick *pick)
{
    const struct nu_original_dst *conf = pick->cluster->original_dst;
    struct nu_chain *chain = chain_of(pick);
    struct nu_addr to;
    const char *why;
    if (pick->far->state == FAR_DONE)
        return NU_PICK_NONE;
    pick->far->state = FAR_DONE;
    if (!nu_original_dst_find(conf, chain, &to, &why))
        return refuse(pick, NU_CAUSE_NO_DESTINATION, "%s", why);
    if (conf->source == NU_DST_SOCKET)
        nu_original_dst_note(chain, &to);
    return go_to(pick, conf->reach, &to, NULL);
}

/* --- dynamic_forward --- */

static void wake(struct nu_pick_far *far)
{
    nu_timer_disarm(&nu_filter_loop(far->owner)->timers, &far->timer);
    nu_call(far->owner, far->ready);
}

static void resolved(void *ctx, struct nu_dns_answer *answer)
{
    struct nu_pick_far *far = ctx;
    far->ticket = NULL;
    far->answer = answer;
    wake(far);
}

static void on_timeout(struct nu_timer *timer)
{
    struct nu_pick_far *far = nu_container(timer, struct nu_pick_far, timer);
    nu_dns_cancel(far->ticket);
    far->ticket = NULL;
    wake(far);
}

/* The name, once it is known to be one that may be asked for. */
static bool learn_host(struct nu_pick *pick)
{
    const struct nu_dynamic_forward *conf = pick->cluster->dynamic_forward;
    struct nu_pick_far *far = pick->far;
    struct nu_chain *chain = chain_of(pick);
    char name[NU_HOST_MAX + 1];
    const char *host = far->host ? far->host : nu_dynamic_forward_sni(chain);
    if (!host) {
        refuse(pick, NU_CAUSE_NO_DESTINATION,
               "the client named no server (SNI), or the chain's match asks for none");
        return false;
    }
    const char *refused = nu_dynamic_forward_refused(conf, host, name);
    if (refused) {
        refuse(pick, NU_CAUSE_DENIED, "%.*s: %s", NU_HOST_MAX, host, refused);
        return false;
    }
    far->host = nu_arena_strdup(nu_chain_arena(chain), name);
    far->port = far->port ? far->port : nu_dynamic_forward_port(conf, chain);
    nu_chain_facts_exchange(chain)->upstream_host = far->host;
    return true;
}

static enum nu_pick_answer ask(struct nu_pick *pick)
{
    const struct nu_dynamic_forward *conf = pick->cluster->dynamic_forward;
    struct nu_pick_far *far = pick->far;
    struct nu_loop *loop = nu_filter_loop(far->owner);
    if (!learn_host(pick))
        return NU_PICK_NONE;
    switch (nu_dns_ask(conf->cache, loop, far->host, resolved, far, &far->answer, &far->ticket)) {
    case NU_DNS_HIT:
        return NU_PICK_FOUND;
    case NU_DNS_WAIT:
        far->timer.fn = on_timeout;
        nu_timer_arm(&loop->timers, &far->timer, loop->now_ms + conf->dns_timeout_ms);
        return NU_PICK_WAIT;
    case NU_DNS_FULL:
        break;
    }
    return refuse(pick, NU_CAUSE_OVERFLOW, "no room for %s in the cache of names", far->host);
}

/* All addresses of the first family, beginning anywhere so that clients spread, then the others:
 * where a machine has no way to one family, it is the second. */
static void begin_trying(struct nu_pick_far *far)
{
    const struct nu_dns_answer *a = far->answer;
    size_t first = 0;
    while (first < a->count && a->addrs[first].kind == a->addrs[0].kind)
        first++;
    far->first = first;
    far->start = first ? nu_loop_random(nu_filter_loop(far->owner)) % first : 0;
    far->state = FAR_TRYING;
}

static struct nu_addr nth(const struct nu_pick_far *far, size_t i)
{
    size_t at = i < far->first ? (far->start + i) % far->first : i;
    struct nu_addr addr = far->answer->addrs[at];
    addr.port = far->port;
    return addr;
}

/* The next address that may be gone to: each is looked at when its turn has come. */
static enum nu_pick_answer next_address(struct nu_pick *pick)
{
    const struct nu_dynamic_forward *conf = pick->cluster->dynamic_forward;
    struct nu_pick_far *far = pick->far;
    while (far->at < far->answer->count) {
        struct nu_addr to = nth(far, far->at++);
        if (nu_dynamic_forward_family(conf, &to) &&
            go_to(pick, conf->reach, &to, far->host) == NU_PICK_FOUND) {
            far->cause = NU_CAUSE_NONE;
            return NU_PICK_FOUND;
        }
    }
    if (pick->tried_count > 0)
        far->cause = NU_CAUSE_NONE; /* what became of the connections says more */
    return NU_PICK_NONE;
}

/* The wait is over, or there was none. */
static enum nu_pick_answer take_answer(struct nu_pick *pick)
{
    struct nu_pick_far *far = pick->far;
    far->state = FAR_DONE;
    if (!far->answer)
        return refuse(pick, NU_CAUSE_DNS, "%s: no answer within %lld ms", far->host,
                      (long long)pick->cluster->dynamic_forward->dns_timeout_ms);
    if (far->answer->error)
        return refuse(pick, NU_CAUSE_DNS, "%s: %s", far->host, far->answer->error);
    refuse(pick, NU_CAUSE_DNS, "%s has no address of the family that is used", far->host);
    begin_trying(far);
    return next_address(pick);
}

static enum nu_pick_answer first_ask(struct nu_pick *pick)
{
    enum nu_pick_answer answer = ask(pick);
    pick->far->state = answer == NU_PICK_WAIT ? FAR_WAITING : FAR_DONE;
    return answer == NU_PICK_FOUND ? take_answer(pick) : answer;
}

static enum nu_pick_answer next_dynamic(struct nu_pick *pick)
{
    switch (pick->far->state) {
    case FAR_NEW:
        return first_ask(pick);
    case FAR_WAITING:
        return take_answer(pick);
    case FAR_TRYING:
        return next_address(pick);
    case FAR_DONE:
        break;
    }
    return NU_PICK_NONE;
}

/* --- all kinds --- */

static void remember(struct nu_pick *pick, struct nu_chain *chain)
{
    if (!pick->endpoint)
        return;
    if (!pick->tried)
        pick->tried = nu_arena_alloc(nu_chain_arena(chain),
                                     (size_t)pick->most * sizeof(struct nu_endpoint *));
    pick->tried[pick->tried_count++] = pick->endpoint;
    pick->endpoint = NULL;
}

void nu_pick_start(struct nu_pick *pick, struct nu_filter *owner, struct nu_cluster *cluster,
                   uint8_t most, nu_pick_ready_fn *ready)
{
    *pick = (struct nu_pick){.cluster = cluster, .most = most};
    if (!cluster->original_dst && !cluster->dynamic_forward)
        return;
    pick->far = nu_arena_alloc(nu_chain_arena(owner->chain), sizeof *pick->far);
    pick->far->owner = owner;
    pick->far->ready = ready;
}

void nu_pick_host(struct nu_pick *pick, const char *host, uint16_t port)
{
    if (!pick->far)
        return;
    nu_assert(pick->far->state == FAR_NEW);
    pick->far->host = host;
    pick->far->port = port;
}

enum nu_pick_answer nu_pick_next(struct nu_pick *pick, struct nu_filter *owner)
{
    struct nu_chain *chain = owner->chain;
    remember(pick, chain);
    if (pick->tried_count >= pick->most)
        return NU_PICK_NONE;
    if (pick->cluster->original_dst)
        return next_original(pick);
    if (pick->cluster->dynamic_forward)
        return next_dynamic(pick);
    pick->endpoint =
        nu_cluster_pick(pick->cluster, nu_chain_loop(chain)->shard, pick->tried, pick->tried_count);
    return pick->endpoint ? NU_PICK_FOUND : NU_PICK_NONE;
}

bool nu_pick_why(const struct nu_pick *pick, enum nu_cause *cause, const char **why)
{
    if (!pick->far || pick->far->cause == NU_CAUSE_NONE)
        return false;
    *cause = pick->far->cause;
    *why = pick->far->why;
    return true;
}

void nu_pick_end(struct nu_pick *pick)
{
    struct nu_pick_far *far = pick->far;
    if (far) {
        nu_dns_cancel(far->ticket);
        nu_timer_disarm(&nu_filter_loop(far->owner)->timers, &far->timer);
        nu_dns_answer_unref(far->answer);
    }
    for (unsigned i = 0; i < pick->tried_count; i++)
        nu_endpoint_unref(pick->tried[i]);
    nu_endpoint_unref(pick->endpoint);
    *pick = (struct nu_pick){0};
}
