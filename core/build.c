/* Building: places to a chain (S0, S1), insertion beside a filter (S2, S4), the check of faces, and
 * the chain's small accessors. */
#include "core/build.h"

#include "core/chain_priv.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Filters are aligned to a pointer, no more: a chain has several of them. */
#define round_up(n) (((n) + alignof(void *) - 1) & ~(alignof(void *) - 1))

static nu_expand_fn *expand;

void nu_chain_set_expander(nu_expand_fn *fn)
{
    expand = fn;
}

const char *nu_face_str(enum nu_face face)
{
    static const char *const names[] = {"nothing",   "bytes",     "HTTP",
                                        "WebSocket", "datagrams", "any"};
    nu_assert((unsigned)face < sizeof names / sizeof *names);
    return names[face];
}

static void init_filter(struct nu_filter *f, struct nu_chain *chain,
                        const struct nu_filter_type *type)
{
    f->type = type;
    f->chain = chain;
    f->busy = 1; /* until it has started: what comes earlier waits */
    f->sees[NU_FWD] = (uint8_t)type->sees[NU_FWD];
    f->sees[NU_REV] = (uint8_t)type->sees[NU_REV];
    nu_assert(!type->joint || type->joint == sizeof *f);
}

static void open_one(struct nu_filter *f, const void *conf)
{
    f->opened = 1;
    enum nu_open answer = f->type->open ? f->type->open(f, conf) : NU_OPEN;
    f->opened = 2;
    switch (answer) {
    case NU_OPEN:
        return;
    case NU_PASS:
        nu_bypass(f);
        return;
    case NU_REFUSE:
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "%s", "");
        return;
    }
}

/* Filters first..last are linked and new: open all, then start all. */
static void open_all(struct nu_filter *first, const struct nu_place *places, unsigned count)
{
    const struct nu_chain *chain = first->chain;
    struct nu_filter *f = first;
    for (unsigned i = 0; i < count && chain->state <= NU_CHAIN_LIVE; i++, f = f->next[NU_FWD])
        open_one(f, places[i].conf);
}

static void start_all(struct nu_filter *first, unsigned count)
{
    struct nu_filter *f = first, *right;
    for (unsigned i = 0; i < count; i++, f = right) {
        right = f->next[NU_FWD]; /* f may insert beside itself; those start themselves */
        if (f->type->start && !f->bypassed && nu_chain_live(f->chain))
            f->type->start(f);
        nu_unbusy(f);
    }
}

static void link_pair(struct nu_filter *left, struct nu_filter *right)
{
    left->next[NU_FWD] = right;
    right->next[NU_REV] = left;
}

/* The bytes of what stands beside a chain's filters in its allocation. */
struct room {
    size_t filters, facts, exchange, ctx;
};

static struct room measure(const struct nu_place *places, unsigned count,
                           const struct nu_facts *facts, const struct nu_chain_owner *owner)
{
    struct room room = {.ctx = owner ? round_up(owner->ctx_bytes) : 0};
    for (unsigned i = 0; i < count; i++)
        room.filters += round_up(places[i].type->size);
    if (!facts)
        return room;
    room.facts = round_up(sizeof *facts);
    if (facts->exchange || places[count - 1].type->flags & NU_F_ASKS)
        room.exchange = round_up(sizeof *facts->exchange);
    return room;
}

static void put_filters(struct nu_chain *chain, char *at, const struct nu_place *places,
                        unsigned count)
{
    struct nu_filter *left = NULL;
    for (unsigned i = 0; i < count; i++) {
        struct nu_filter *f = (struct nu_filter *)at;
        at += round_up(places[i].type->size);
        init_filter(f, chain, places[i].type);
        if (left)
            link_pair(left, f);
        else
            chain->end[NU_REV] = f;
        left = f;
    }
    chain->end[NU_FWD] = left;
}

static void put_facts(struct nu_chain *chain, char *at, const struct nu_facts *facts,
                      const struct room *room)
{
    chain->facts = memcpy(at, facts, sizeof *facts);
    if (room->exchange)
        chain->facts->exchange = (struct nu_facts_exchange *)(at + room->facts);
    if (facts->exchange)
        *chain->facts->exchange = *facts->exchange;
}

/* Chain, filters, facts and the owner's context in one allocation. */
static struct nu_chain *allocate(const struct nu_place *places, unsigned count,
                                 const struct nu_facts *facts, const struct nu_chain_owner *owner,
                                 void *ctx)
{
    struct room room = measure(places, count, facts, owner);
    size_t bytes =
        round_up(sizeof(struct nu_chain)) + room.filters + room.facts + room.exchange + room.ctx;
    struct nu_chain *chain = malloc(bytes); /* calloc passes by the thread's cache */
    nu_assert(chain != NULL);
    *chain = (struct nu_chain){0}; /* not together with the rest: that would be made a calloc */
    memset(chain + 1, 0, bytes - sizeof *chain);
    char *at = (char *)chain + round_up(sizeof *chain);
    put_filters(chain, at, places, count);
    at += room.filters;
    if (facts)
        put_facts(chain, at, facts, &room);
    at += room.facts + room.exchange;
    chain->owner = owner;
    chain->owner_ctx = room.ctx ? memcpy(at, ctx, owner->ctx_bytes) : ctx;
    return chain;
}

struct nu_chain *nu_chain_new(struct nu_loop *loop, const struct nu_place *places, unsigned count,
                              const struct nu_facts *facts, const struct nu_chain_owner *owner,
                              void *owner_ctx)
{
    struct nu_place more[NU_CHAIN_MAX_FILTERS];
    if (expand) {
        count = expand(places, count, more);
        places = more;
    }
    nu_assert(count > 0 && count <= NU_CHAIN_MAX_FILTERS);
    struct nu_chain *chain = allocate(places, count, facts, owner, owner_ctx);
    chain->loop = loop;
    chain->last_activity = loop->now_ms;
    nu_list_add_tail(&loop->chains, &chain->link);
    loop->chain_count++;
    nu_chain_enter(chain);
    open_all(chain->end[NU_REV], places, count);
    if (chain->state == NU_CHAIN_BUILDING)
        nu_chain_set_state(chain, NU_CHAIN_LIVE);
    start_all(chain->end[NU_REV], count);
    nu_chain_leave(chain);
    return chain;
}

void nu_become(struct nu_filter *f, const struct nu_filter_type *type)
{
    const struct nu_joint *joint = nu_joint_of(f);
    nu_assert(f->busy && f->opened == 2 && type->size <= f->type->size && !type->joint);
    nu_assert((!joint || !joint->peer) && memcmp(type->face, f->type->face, 2) == 0);
    for (unsigned slot = 0; slot < 8; slot++)
        nu_timer_stop(f, slot);
    memset(f + 1, 0, type->size - sizeof *f);
    f->type = type;
    f->sees[NU_FWD] = (uint8_t)type->sees[NU_FWD];
    f->sees[NU_REV] = (uint8_t)type->sees[NU_REV];
}

/* END that has left `before` is past the newcomer, though the next one may still have it queued. */
static void inherit(struct nu_filter *newcomer, const struct nu_filter *before, enum nu_dir dir)
{
    if (before && nu_bit(before, NU_B_ENDED, dir)) {
        nu_bit_set(newcomer, NU_B_ARRIVED, dir, true);
        nu_bit_set(newcomer, NU_B_ENDED, dir, true);
    }
}

static struct nu_filter *make_apart(struct nu_filter *left, struct nu_filter *right,
                                    const struct nu_filter_type *type)
{
    struct nu_filter *n = calloc(1, type->size);
    nu_assert(n != NULL);
    init_filter(n, left ? left->chain : right->chain, type);
    n->apart = 1;
    inherit(n, left, NU_FWD);
    inherit(n, right, NU_REV);
    return n;
}

void nu_insert(struct nu_filter *f, enum nu_dir side, const struct nu_place *places, unsigned count)
{
    struct nu_chain *chain = f->chain;
    struct nu_place more[NU_CHAIN_MAX_FILTERS];
    nu_assert(f->opened == 2);
    if (!nu_chain_live(chain) || count == 0)
        return;
    if (expand) {
        count = expand(places, count, more);
        places = more;
    }
    if (side == NU_REV && f->queue[NU_FWD]) { /* S4 */
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_CLIENT, "bytes behind the request to switch");
        return;
    }
    nu_assert(f->busy && (f->next[side] || !nu_joint_of(f)));
    struct nu_filter *left = side == NU_FWD ? f : f->next[NU_REV];
    struct nu_filter *right = side == NU_FWD ? f->next[NU_FWD] : f;
    struct nu_filter *first = NULL, *last = left;
    for (unsigned i = 0; i < count; i++) {
        struct nu_filter *n = make_apart(left, right, places[i].type);
        if (last)
            link_pair(last, n);
        first = first ? first : n;
        last = n;
    }
    if (right)
        link_pair(last, right);
    else
        chain->end[NU_FWD] = last;
    if (!left)
        chain->end[NU_REV] = first;
    chain->dirty = 1;
    nu_assert(first != NULL);
    open_all(first, places, count);
    start_all(first, count);
}

/* What comes out on the right of a filter that is given `in` on its left. */
static enum nu_face right_face(const struct nu_filter_type *type, enum nu_face in)
{
    return type->face[1] == NU_SAME ? in : (enum nu_face)type->face[1];
}

int nu_chain_check(const struct nu_place *places, unsigned count, enum nu_face left,
                   struct nu_arena *arena, const char **why)
{
    enum nu_face now = left;
    *why = NULL;
    for (unsigned i = 0; i < count; i++) {
        const struct nu_filter_type *type = places[i].type;
        if (now == NU_FACE_NONE && i > 0) {
            *why = nu_arena_printf(arena, "nothing can stand behind %s, which ends the chain",
                                   places[i - 1].type->name);
            return (int)i;
        }
        if (type->face[0] != NU_SAME && type->face[0] != now) {
            *why = nu_arena_printf(arena, "%s takes %s, but it gets %s here", type->name,
                                   nu_face_str(type->face[0]), nu_face_str(now));
            return (int)i;
        }
        now = right_face(type, now);
    }
    if (now == NU_FACE_NONE && count > 0)
        return -1;
    *why = "the chain has no filter that ends it (tcp_proxy, echo)";
    return count ? (int)count - 1 : 0;
}

_Static_assert(offsetof(struct nu_chain, loop) == 0, "nu_chain_loop looks there");

struct nu_chain_rare *nu_chain_rare(struct nu_chain *chain)
{
    if (!chain->rare) {
        struct nu_arena *arena = nu_arena_new(256);
        chain->rare = nu_arena_alloc(arena, sizeof *chain->rare);
        chain->rare->arena = arena;
    }
    return chain->rare;
}

struct nu_arena *nu_chain_arena(struct nu_chain *chain)
{
    return nu_chain_rare(chain)->arena;
}

struct nu_facts *nu_chain_facts(struct nu_chain *chain)
{
    if (!chain->facts)
        chain->facts = nu_arena_alloc(nu_chain_arena(chain), sizeof *chain->facts);
    return chain->facts;
}

struct nu_facts_more *nu_chain_facts_more(struct nu_chain *chain)
{
    struct nu_facts *facts = nu_chain_facts(chain);
    if (!facts->more)
        facts->more = nu_arena_alloc(nu_chain_arena(chain), sizeof *facts->more);
    return facts->more;
}

struct nu_facts_exchange *nu_chain_facts_exchange(struct nu_chain *chain)
{
    struct nu_facts *facts = nu_chain_facts(chain);
    if (!facts->exchange)
        facts->exchange = nu_arena_alloc(nu_chain_arena(chain), sizeof *facts->exchange);
    return facts->exchange;
}

struct nu_result nu_chain_result(const struct nu_chain *chain)
{
    return chain->result;
}

const char *nu_chain_details(const struct nu_chain *chain)
{
    return chain->rare && chain->rare->details ? chain->rare->details : "";
}

const char *nu_chain_blamed(const struct nu_chain *chain)
{
    return chain->rare && chain->rare->blamed ? chain->rare->blamed : "";
}

bool nu_chain_ended(const struct nu_chain *chain)
{
    return chain->state > NU_CHAIN_LIVE;
}

bool nu_chain_done(const struct nu_chain *chain, enum nu_dir dir)
{
    return chain->done >> dir & 1;
}

void *nu_chain_owner_ctx(const struct nu_chain *chain)
{
    return chain->owner_ctx;
}

const struct nu_chain_owner *nu_chain_owner(const struct nu_chain *chain)
{
    return chain->owner;
}

void nu_chain_touch(struct nu_chain *chain)
{
    chain->last_activity = chain->loop->now_ms;
    for (enum nu_dir dir = NU_FWD; dir <= NU_REV; dir++) {
        const struct nu_joint *joint = nu_joint_of(chain->end[dir]);
        if (joint && joint->peer)
            nu_joint_peer(joint)->chain->last_activity = chain->last_activity;
    }
}

int64_t nu_chain_last_activity(const struct nu_chain *chain)
{
    return chain->last_activity;
}

void nu_chain_list(struct nu_chain *chain, struct nu_list *list)
{
    if (nu_chain_ended(chain))
        return;
    nu_list_del(&chain->link);
    nu_list_add_tail(list, &chain->link);
}

struct nu_chain *nu_chain_listed(struct nu_list *node)
{
    return nu_container(node, struct nu_chain, link);
}

struct nu_filter *nu_chain_end(const struct nu_chain *chain, enum nu_dir dir)
{
    return chain->end[dir];
}
