/* Sessions: their making, their end, and the filter at their chain's left end.
 *
 * That filter: faces datagrams to its right. Sees: what comes from the server's side. Stores
 * nothing: what the chain will not take now is dropped and counted, and so is what the socket will
 * not take (B7). END makes it flush nothing. Never holds; the session's own timer ends what is
 * quiet. `close` cancels nothing: the timer is the session's. */
#include "l4/udp/session.h"

#include "core/assert.h"
#include "l4/udp/sources.h"
#include "l4/udp/udp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define COARSE_MS      128  /* timers of many sessions fall together: one wake-up ends them all */
#define DRAIN_QUIET_MS 1000 /* so quiet, a session that drains is over */
#define END_GRACE_MS   1000 /* for END to reach both ends of its chain */
#define MUTE_MS        1000 /* a refused client's datagrams are not looked at again for so long */
#define MUTED_MOST     4096 /* refused ones remembered by a point: about 1 MiB */
#define STRANGER_MS                                                                                \
    10 /* who came just now is not evicted, even if all are new: a server nearby has answered by   \
          then */

/* Of the descriptors that this process may have, the part for sessions of all listeners together:
 * whoever forges senders leaves the others enough to work with. */
#define FDS_SHARE(fds) ((fds) / 4 * 3)

/* The same for sessions that were evicted in this turn: until it ends they have their sockets
 * beside the ones that took their place. */
#define FDS_LEAVING(fds) ((fds) / 8)

static _Atomic int64_t all_sessions, all_leaving;
static int64_t most_sessions = INT32_MAX, most_leaving = INT32_MAX; /* set before threads start */

struct front {
    struct nu_filter filter;
    struct nu_udp_session *session;
};

static struct nu_udp_session *session_of(const struct nu_filter *f)
{
    return ((const struct front *)f)->session;
}

static struct nu_loop *loop_of(const struct nu_udp_session *s)
{
    return s->point->loop;
}

/* --- the filter --- */

static enum nu_open front_open(struct nu_filter *f, const void *conf)
{
    struct nu_udp_session *s = (struct nu_udp_session *)conf;
    ((struct front *)f)->session = s;
    s->front = f;
    return NU_OPEN;
}

static void end(struct nu_filter *f, struct nu_result result)
{
    session_of(f)->ending = true;
    if (!nu_bit(f, NU_B_ENDED, NU_FWD))
        nu_forward_end(f, NU_FWD, result);
}

static void front_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_udp_session *s = session_of(f);
    if (ev->kind == NU_END) {
        nu_done(f, NU_REV);
        end(f, ev->u.end);
        return;
    }
    s->tx_datagrams++;
    s->tx_bytes += ev->u.data.len;
    nu_udp_point_send(s->point, &s->entry.key, ev->u.data);
    nu_chain_touch(f->chain);
}

static void arm(struct nu_udp_session *s, int64_t ms)
{
    int64_t due = loop_of(s)->now_ms + ms;
    nu_timer_arm(&loop_of(s)->timers, &s->timer, (due + COARSE_MS - 1) / COARSE_MS * COARSE_MS);
}

static int64_t quiet_limit_ms(const struct nu_udp_session *s)
{
    bool shorter = s->draining && (s->idle_ms == 0 || s->idle_ms > DRAIN_QUIET_MS);
    return shorter ? DRAIN_QUIET_MS : s->idle_ms;
}

static void watch_quiet(struct nu_udp_session *s)
{
    int64_t limit = quiet_limit_ms(s);
    int64_t quiet = loop_of(s)->now_ms - nu_chain_last_activity(s->chain);
    if (limit > 0)
        arm(s, limit > quiet ? limit - quiet : 0);
    else
        nu_timer_disarm(&loop_of(s)->timers, &s->timer);
}

static void front_signal(struct nu_filter *f, enum nu_signal signal)
{
    struct nu_udp_session *s = session_of(f);
    if (signal != NU_DRAIN)
        return;
    s->draining = true;
    watch_quiet(s);
}

static void front_close(struct nu_filter *f)
{
    session_of(f)->front = NULL;
}

const struct nu_filter_type nu_udp_front = {
    .name = "udp",
    .doc = "A client's session of datagrams: the left end of its chain.",
    .size = sizeof(struct front),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_DGRAM),
    .flags = NU_F_INTERNAL,
    .sees = {0, NU_SEES(NU_DGRAM) | NU_SEES(NU_END)},
    .open = front_open,
    .event = front_event,
    .signal = front_signal,
    .close = front_close,
};

/* --- its place among all --- */

void nu_udp_sessions_init(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max >= INT32_MAX)
        return;
    most_sessions = FDS_SHARE((int64_t)files.rlim_max);
    most_leaving = FDS_LEAVING((int64_t)files.rlim_max);
}

static void give(_Atomic int64_t *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

static bool take(_Atomic int64_t *count, int64_t most)
{
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < most)
        return true;
    give(count);
    return false;
}

/* False: the listener has no room for one more, or we have none. */
static bool take_room(struct listener *l)
{
    if (!take(&all_sessions, most_sessions))
        return false;
    if (nu_tally_take(l->tally, l->udp.max_sessions))
        return true;
    give(&all_sessions);
    return false;
}

/* --- the end --- */

static void unlink_session(struct nu_udp_session *s)
{
    if (nu_list_linked(&s->link))
        nu_list_del(&s->link);
}

static void forget(struct nu_udp_session *s)
{
    nu_timer_disarm(&loop_of(s)->timers, &s->timer);
    unlink_session(s);
    nu_udp_del(&s->point->table, &s->entry);
    if (s->muted)
        s->point->muted_count--;
    free(s);
}

void nu_udp_forget_muted(struct nu_udp_point *point)
{
    struct nu_list *node;
    while ((node = nu_list_pop(&point->muted)))
        forget(nu_container(node, struct nu_udp_session, link));
}

static void closed(struct nu_chain *chain, void *ctx)
{
    struct nu_udp_session *s = ctx;
    struct nu_facts_exchange *exchange = nu_chain_facts_exchange(chain);
    exchange->bytes_in = s->rx_bytes;
    exchange->bytes_out = s->tx_bytes;
    give(s->conn.uncounted ? &all_leaving : &all_sessions);
    nu_conn_closed(&s->conn, chain);
    nu_timer_disarm(&loop_of(s)->timers, &s->timer);
    unlink_session(s);
    nu_udp_source_give(s->source);
    s->chain = NULL;
}

/* A refused client is remembered for a moment: it costs a chain and a log line each time. */
static void gone(struct nu_loop *loop, void *ctx)
{
    struct nu_udp_session *s = ctx;
    struct nu_udp_point *point = s->point;
    nu_conn_gone(&s->conn, loop);
    if (s->muted && point->owner && s->entry.in) {
        nu_list_add_tail(&point->muted, &s->link);
        arm(s, MUTE_MS);
    } else {
        forget(s);
    }
    nu_udp_point_left(point);
}

static const struct nu_chain_owner owner = {.closed = closed, .gone = gone};

static void end_quiet(struct nu_filter *f)
{
    end(f, nu_result_of(NU_CAUSE_SESSION_IDLE));
}

static void on_timer(struct nu_timer *timer)
{
    struct nu_udp_session *s = nu_container(timer, struct nu_udp_session, timer);
    struct nu_chain *chain = s->chain;
    if (!chain) {
        forget(s);
    } else if (s->ending) {
        nu_chain_abort(chain, NU_CAUSE_SESSION_IDLE);
    } else if (loop_of(s)->now_ms - nu_chain_last_activity(chain) < quiet_limit_ms(s)) {
        watch_quiet(s);
    } else {
        arm(s, END_GRACE_MS);
        nu_call(s->front, end_quiet);
    }
}

void nu_udp_set_idle(struct nu_chain *chain, int64_t ms)
{
    if (nu_chain_owner(chain) != &owner)
        return;
    struct nu_udp_session *s = nu_chain_owner_ctx(chain);
    s->idle_ms = ms;
    if (s->chain) /* else it is being made: the timer comes last */
        watch_quiet(s);
}

bool nu_udp_datagrams(const struct nu_chain *chain, uint64_t *rx, uint64_t *tx)
{
    if (nu_chain_owner(chain) != &owner)
        return false;
    const struct nu_udp_session *s = nu_chain_owner_ctx(chain);
    *rx = s->rx_datagrams;
    *tx = s->tx_datagrams;
    return true;
}

/* --- the beginning --- */

/* A client that never sent again behind an answer may be a forged address: the one that was quiet
 * for longest makes room. */
static bool evict(struct nu_udp_point *point)
{
    struct nu_list *first = point->strangers.next;
    if (first == &point->strangers)
        return false;
    struct nu_udp_session *s = nu_container(first, struct nu_udp_session, link);
    if (point->loop->now_ms - nu_chain_last_activity(s->chain) < STRANGER_MS ||
        !take(&all_leaving, most_leaving))
        return false;
    unlink_session(s);
    nu_tally_give(nu_conn_tally(&s->conn));
    give(&all_sessions);
    s->conn.uncounted = true;
    nu_udp_point_count(point, NU_UDP_EVICTED, 1);
    nu_chain_abort(s->chain, NU_CAUSE_LIMIT);
    return true;
}

static bool take_place(struct nu_udp_point *point)
{
    struct listener *l = point->owner;
    if (take_room(l) || (evict(point) && take_room(l)))
        return true;
    nu_stat_add(l->tally->stats, point->loop->shard, NU_LISTENER_CX_OVERFLOW, 1);
    return false;
}

/* False: this source has its share. */
static bool take_source(const struct listener *l, const struct nu_addr *client,
                        struct nu_udp_source **out)
{
    *out = NULL;
    if (l->udp.max_per_source == 0)
        return true;
    *out = nu_udp_source_take(l->tally->sources, client, l->udp.max_per_source);
    return *out != NULL;
}

static struct nu_udp_session *session_new(struct nu_udp_point *point, const struct nu_udp_key *key,
                                          uint64_t hash)
{
    struct nu_udp_session *s = calloc(1, sizeof *s);
    nu_assert(s != NULL);
    s->point = point;
    s->entry.key = *key;
    s->entry.hash = hash;
    s->idle_ms = NU_UDP_IDLE_MS;
    s->timer.fn = on_timer;
    nu_list_add_tail(&point->strangers, &s->link);
    nu_udp_add(&point->table, &s->entry);
    point->sessions++;
    nu_conn_begin(&s->conn, point->owner, point->loop);
    return s;
}

static unsigned put_places(struct nu_place *place, struct nu_udp_session *s, struct nu_facts *facts)
{
    static const enum nu_cause no_chain = NU_CAUSE_NO_CHAIN;
    struct nu_loop *loop = loop_of(s);
    struct nu_chain_conf *conf = nu_listener_choose(s->conn.listener, facts, NULL);
    place[0] = (struct nu_place){&nu_udp_front, s};
    if (!conf) {
        nu_conn_count(&s->conn, loop, NU_LISTENER_NO_FILTER_CHAIN_MATCH, 1);
        place[1] = (struct nu_place){&nu_listener_refuse, &no_chain};
        return 2;
    }
    nu_conn_adopt(&s->conn, conf, facts, loop);
    memcpy(place + 1, conf->places, conf->place_count * sizeof *conf->places);
    return 1 + conf->place_count;
}

static void open_chain(struct nu_udp_session *s, const struct nu_udp_got *got)
{
    struct nu_loop *loop = loop_of(s);
    struct nu_addr local = s->point->bound;
    if (s->point->wildcard && got->local.kind != NU_ADDR_NONE) {
        local = got->local;
        local.port = s->point->bound.port;
    }
    struct nu_facts facts = nu_conn_facts(&s->conn, loop, &got->peer, &local);
    facts.bound_port = s->point->bound.port;
    struct nu_place place[1 + NU_CHAIN_MAX_FILTERS];
    unsigned count = put_places(place, s, &facts);
    s->chain = nu_chain_new(loop, place, count, &facts, &owner, s);
    nu_conn_list(s->chain);
    if (!nu_chain_ended(s->chain)) {
        watch_quiet(s);
    } else if (s->point->muted_count < MUTED_MOST) {
        s->muted = true;
        s->point->muted_count++;
    }
}

static struct nu_udp_session *begin(struct nu_udp_point *point, const struct nu_udp_got *got,
                                    const struct nu_udp_key *key, uint64_t hash)
{
    struct nu_udp_source *source;
    if (!point->owner || !take_source(point->owner, &key->client, &source))
        return NULL;
    if (!take_place(point)) {
        nu_udp_source_give(source);
        return NULL;
    }
    struct nu_udp_session *s = session_new(point, key, hash);
    s->source = source;
    open_chain(s, got);
    return s;
}

struct nu_udp_session *nu_udp_session_of(struct nu_udp_point *point, const struct nu_udp_got *got,
                                         bool may_begin)
{
    struct nu_udp_key key = {.client = got->peer};
    if (point->wildcard)
        key.local = got->local;
    uint64_t hash = nu_udp_hash(&key);
    struct nu_udp_entry *e = nu_udp_find(&point->table, &key, hash);
    struct nu_udp_session *s = e ? nu_container(e, struct nu_udp_session, entry) : NULL;
    if (s && !s->muted && nu_chain_ended(s->chain)) {
        nu_udp_del(&point->table, e); /* it is reaped at the turn's end */
        s = NULL;
    }
    return s || !may_begin ? s : begin(point, got, &key, hash);
}

/* --- what flows --- */

static void take_in(struct nu_filter *f)
{
    struct nu_udp_session *s = session_of(f);
    struct nu_ev ev = {.kind = NU_DGRAM, .u.data = s->incoming};
    nu_chain_touch(f->chain);
    nu_forward(f, NU_FWD, &ev);
}

/* Who sends again after an answer has heard it: the address is its own. */
static void get_to_know(struct nu_udp_session *s)
{
    if (!nu_list_linked(&s->link))
        return;
    nu_list_del(&s->link);
    if (s->tx_datagrams == 0)
        nu_list_add_tail(&s->point->strangers, &s->link);
}

bool nu_udp_session_deliver(struct nu_udp_session *s, struct nu_slice data)
{
    if (s->muted || s->ending || nu_blocked(s->front, NU_FWD)) {
        nu_slice_drop(&data);
        return false;
    }
    get_to_know(s);
    s->rx_datagrams++;
    s->rx_bytes += data.len;
    s->incoming = data;
    nu_call(s->front, take_in);
    return true;
}
