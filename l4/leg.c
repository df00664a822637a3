/* Legs: the joint filter at their left end, and how they are opened; see leg.h.
 *
 * Faces: whatever flows. Sees: END of FWD, to bound how long a cut stream's rest may take to leave;
 * of REV what comes first, for a server may have answered, and even ended, before flow(go) could be
 * told. All else crosses the joint untouched. Stores nothing. It holds nothing itself: the socket
 * holds until it is connected, handshakes until they are done; the connect timer here bounds both.
 * `close` parts the joint, so that the owner learns by END(result), and gives back endpoint and
 * cluster. */
#include "l4/leg.h"

#include "l4/upstream.h"

nu_leg_connect_fn *nu_leg_connect;

#define CUT_GRACE_MS 1000 /* a cut stream's last bytes have this long to leave */

enum { TIMER_CONNECT, TIMER_CUT };

struct leg {
    struct nu_filter filter;
    struct nu_joint joint;
    struct nu_upstream up;
    nu_leg_ready_fn *ready;
};

struct leg_conf {
    struct nu_cluster *cluster;
    struct nu_endpoint *endpoint;
    nu_leg_ready_fn *ready;
};

static void on_connect_timeout(struct nu_filter *f)
{
    nu_upstream_timed_out(&((struct leg *)f)->up, f);
}

static struct nu_chain *owner_of(const struct leg *leg)
{
    return leg->joint.peer ? nu_joint_peer(&leg->joint)->chain : NULL;
}

static enum nu_open leg_open(struct nu_filter *f, const void *conf)
{
    const struct leg_conf *c = conf;
    struct leg *leg = (struct leg *)f;
    nu_upstream_begin(&leg->up, f, c->cluster, c->endpoint);
    leg->ready = c->ready;
    if (c->cluster->connect_timeout_ms > 0)
        nu_timer_set(f, TIMER_CONNECT, c->cluster->connect_timeout_ms, on_connect_timeout);
    return NU_OPEN;
}

static void become_ready(struct leg *leg)
{
    nu_narrow(&leg->filter, NU_REV, 0);
    nu_timer_stop(&leg->filter, TIMER_CONNECT);
    nu_upstream_ready(&leg->up, &leg->filter, owner_of(leg));
}

/* Nothing ahead holds any more, for the first time. */
static void become_ready_and_tell(struct leg *leg)
{
    become_ready(leg);
    if (leg->joint.peer)
        nu_call(nu_joint_peer(&leg->joint), leg->ready);
}

static void leg_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct leg *leg = (struct leg *)f;
    if (dir == NU_FWD && go && !leg->up.ready)
        become_ready_and_tell(leg);
}

static void on_cut_grace(struct nu_filter *f)
{
    struct nu_result result = nu_chain_result(f->chain);
    nu_fail(f, result.cause, result.side, "%s", "");
}

/* FWD: after a clean END the owner's timers watch the rest; after a cut it may be gone. REV: the
 * owner takes what a leg says that is not ready for a failure, and tries the next endpoint. */
static void leg_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct leg *leg = (struct leg *)f;
    if (dir == NU_REV && !leg->up.ready && !nu_blocked(f, NU_FWD))
        become_ready_and_tell(leg);
    if (dir == NU_FWD && ev->u.end.how != NU_CLEAN)
        nu_timer_set(f, TIMER_CUT, CUT_GRACE_MS, on_cut_grace);
    nu_forward(f, dir, ev);
}

static void leg_close(struct nu_filter *f)
{
    struct leg *leg = (struct leg *)f;
    nu_upstream_end(&leg->up, f, owner_of(leg));
    nu_part(&leg->joint, nu_chain_result(f->chain));
}

static const struct nu_filter_type leg_type = {
    .name = "leg",
    .doc = "The near end of a connection to a server.",
    .size = sizeof(struct leg),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL,
    .joint = offsetof(struct leg, joint),
    .sees = {NU_SEES(NU_END), NU_SEES_ALL},
    .open = leg_open,
    .event = leg_event,
    .flow = leg_flow,
    .close = leg_close,
};

bool nu_leg_open(struct nu_filter *owner, struct nu_cluster *cluster, struct nu_endpoint *endpoint,
                 nu_leg_ready_fn *ready)
{
    struct leg_conf conf = {cluster, endpoint, ready};
    struct nu_place first = {&leg_type, &conf};
    struct nu_chain *chain = nu_upstream_open(owner, cluster, endpoint, &first);
    if (!chain)
        return false;
    struct leg *leg = (struct leg *)nu_chain_end(chain, NU_REV);
    if (cluster->found) /* the client chose where: it may be here */
        nu_upstream_list_own(&leg->up, chain);
    nu_join(owner, &leg->filter);
    if (!nu_chain_ended(chain) && !leg->up.ready && !nu_blocked(&leg->filter, NU_FWD)) {
        become_ready(leg); /* connected at once: owner's own callback is on the stack */
        ready(owner);
    }
    return true;
}
