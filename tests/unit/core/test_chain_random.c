/* Random chains of the test filters, single and joined, with random traffic, holds, failures,
 * insertions, partings and legs, on the virtual clock. One seed each: NU_SEED is the first,
 * NU_SEEDS how many. */
#include "core/chain_priv.h"
#include "tests/filters/endpoint.h"
#include "tests/filters/filters.h"
#include "tests/filters/probe.h"
#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define FILTERS_MOST 6    /* random ones in a row */
#define CHUNK_MOST   2000 /* bytes */
#define LEGS_MOST    4
#define PATIENCE_MS  100000 /* far beyond what the slowest chain needs: then it hangs */

struct world {
    struct seeded r;
    uint64_t seed;
    struct nu_loop loop;
    struct nu_arena *arena;
    struct nu_test_end left, rights[LEGS_MOST], *right; /* one for each leg; the last */
    struct nu_probe owner, leg;
    struct nu_chain *session; /* NULL once closed */
    unsigned legs, filters, closed;
    bool ready;
    bool bulk;               /* much traffic, and nobody who makes a thousand events of one */
    struct nu_result result; /* of the session */
};

/* Callbacks of filters have no other way to it. */
static struct world w;

static unsigned below(unsigned n)
{
    return seeded_below(&w.r, n);
}

/* Each chain that lives: its state, what blocks it, and each filter's bits and queues. */
static void describe(void)
{
    nu_list_each (node, &w.loop.chains) {
        struct nu_chain *chain = nu_container(node, struct nu_chain, link);
        print_error("%s done=%d blocks=%d/%d:", nu_chain_state_str(chain->state), chain->done,
                    chain->blocks[NU_FWD], chain->blocks[NU_REV]);
        for (struct nu_filter *f = chain->end[NU_REV]; f; f = f->next[NU_FWD])
            print_error(" %s(%04x%s%s)", f->type->name, f->bits, f->queue[NU_FWD] ? " q>" : "",
                        f->queue[NU_REV] ? " q<" : "");
        print_error("\n");
    }
}

static void check(bool ok, const char *what)
{
    if (!ok)
        describe();
    if (!ok)
        fail_msg("%s: NU_SEED=%llu NU_SEEDS=1", what, (unsigned long long)w.seed);
}

static void pedant_fault(const struct nu_filter *f, const char *what)
{
    check(false, what);
}

static void *keep(size_t bytes)
{
    return nu_arena_alloc(w.arena, bytes);
}

static unsigned random_places(struct nu_place *out, unsigned most, int depth);

static struct nu_place mischief(int depth)
{
    struct nu_mischief_conf *conf = keep(sizeof *conf);
    struct nu_place *places = keep(2 * sizeof *places);
    *conf = (struct nu_mischief_conf){
        .what = (enum nu_mischief)below(NU_MISCHIEFS),
        .at = below(12),
        .times = 1 + below(5),
        .ms = below(4),
        .side = (enum nu_dir)below(2),
        .places = places,
    };
    if (conf->what > NU_MISCHIEF_BYPASS && below(3))
        conf->what = NU_MISCHIEF_HOLD; /* let most chains live */
    if (conf->what == NU_MISCHIEF_INSERT)
        conf->count = depth < 2 ? random_places(places, 2, depth + 1) : 0;
    return (struct nu_place){&nu_mischief, conf};
}

static struct nu_place one_filter(int depth)
{
    struct nu_glue_conf *glue = keep(sizeof *glue);
    struct nu_slow_conf *slow = keep(sizeof *slow);
    struct nu_late_conf *late = keep(sizeof *late);
    *glue = (struct nu_glue_conf){1 + below(CHUNK_MOST), below(3)};
    *slow = (struct nu_slow_conf){200 + below(2000), below(3)};
    *late = (struct nu_late_conf){below(10)};
    switch (w.bulk ? 2 + below(7) : below(9)) {
    case 0:
        return (struct nu_place){&nu_shred, NULL};
    case 1:
        return (struct nu_place){&nu_slow, slow};
    case 2:
        return (struct nu_place){&nu_glue, glue};
    case 3:
        return (struct nu_place){&nu_late, late};
    case 4:
        return (struct nu_place){&nu_deaf, NULL};
    case 5:
        return (struct nu_place){&nu_check, keep(sizeof(struct nu_check_report))};
    default:
        return mischief(depth);
    }
}

static unsigned random_places(struct nu_place *out, unsigned most, int depth)
{
    unsigned count = below(most + 1);
    for (unsigned i = 0; i < count; i++)
        out[i] = below(4) ? one_filter(depth) : (struct nu_place){&nu_pedant, NULL};
    w.filters += count;
    return count;
}

static void session_closed(struct nu_chain *chain, void *ctx)
{
    w.result = nu_chain_result(chain);
    w.session = NULL;
    w.closed++;
}

static const struct nu_chain_owner session_owner = {.closed = session_closed};

/* first | pedant | random ones | pedant | last */
static struct nu_chain *build(struct nu_place first, struct nu_place last,
                              const struct nu_chain_owner *owner)
{
    struct nu_place places[FILTERS_MOST + 4] = {
        first, {&nu_pedant, NULL}
    };
    unsigned n = 2 + random_places(places + 2, FILTERS_MOST, 0);
    places[n++] = (struct nu_place){&nu_pedant, NULL};
    places[n++] = last;
    return nu_chain_new(&w.loop, places, n, NULL, owner, NULL);
}

/* Sends nothing before the leg is ready, so that a failed one has cost nothing. */
static void next_right(void)
{
    w.right = &w.rights[w.legs++];
    *w.right = nu_endpoint_idle();
    w.right->chunk = 1 + below(CHUNK_MOST);
    w.right->high_water = 1 + below(6000);
    w.right->eager = below(2);
}

static void decide_leg(struct nu_filter *f);

static void open_leg(struct nu_filter *owner)
{
    next_right();
    struct nu_chain *leg = build((struct nu_place){&nu_probe_joint, &w.leg},
                                 (struct nu_place){&nu_sink, w.right}, NULL);
    nu_join(owner, nu_chain_end(leg, NU_REV));
    nu_timer_set(owner, 0, below(5), decide_leg);
}

/* Some time after a leg was opened: it refuses, or is ready and gets what waits. */
static void decide_leg(struct nu_filter *f)
{
    struct nu_joint *joint = nu_probe_joint_of(f);
    if (joint->peer && w.legs < LEGS_MOST && below(3) == 0) {
        nu_chain_abort(nu_joint_peer(joint)->chain, NU_CAUSE_REFUSED);
        return;
    }
    w.ready = true;
    nu_release(f, NU_FWD);
    nu_release(f, NU_REV);
}

static enum nu_open owner_opens(struct nu_filter *f)
{
    nu_hold(f, NU_FWD);
    return NU_OPEN;
}

/* Before it is ready a leg is silent, and its END is not the session's; unless it cannot go on. */
static void owner_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (!w.ready && dir == NU_REV && ev->kind == NU_END && ev->u.end.cause == NU_CAUSE_REFUSED &&
        w.legs < LEGS_MOST) {
        open_leg(f);
        return;
    }
    w.ready = true;
    nu_release(f, NU_FWD);
    nu_forward(f, dir, ev);
}

static void set_left(void)
{
    w.left = nu_endpoint_idle();
    w.left.to_send = below(w.bulk ? 400000 : 8000);
    w.left.eager = below(2);
    w.left.chunk = 1 + below(CHUNK_MOST);
    w.left.high_water = 1 + below(6000);
    w.left.window = below(2) ? UINT64_MAX : below(5000);
}

static void build_world(bool joined)
{
    set_left();
    w.owner = (struct nu_probe){.name = "owner", .open = owner_opens, .start = open_leg};
    w.owner.event = owner_event;
    w.leg = (struct nu_probe){.name = "leg"};
    if (joined) {
        w.session = build((struct nu_place){&nu_source, &w.left},
                          (struct nu_place){&nu_probe_joint, &w.owner}, &session_owner);
    } else {
        w.ready = true;
        next_right();
        w.session = build((struct nu_place){&nu_source, &w.left},
                          (struct nu_place){&nu_sink, w.right}, &session_owner);
    }
}

/* Who parts in mid-life hears nothing of it itself: it ends what came from there. */
static void part_owner(struct nu_filter *f)
{
    nu_part(nu_probe_joint_of(f), nu_result_of(NU_CAUSE_LIMIT));
    if (!nu_bit(f, NU_B_ENDED, NU_REV))
        nu_forward_end(f, NU_REV, nu_result_of(NU_CAUSE_LIMIT));
    nu_drop(f, NU_REV);
}

static void see_nothing(struct nu_chain *chain, struct nu_filter *from, enum nu_dir dir,
                        const struct nu_ev *ev, void *ctx)
{
    check(dir == NU_FWD || dir == NU_REV, "an event has a direction");
}

/* One thing from outside. */
static void disturb(void)
{
    struct nu_test_end *ep = below(2) ? &w.left : w.right;
    switch (below(12)) {
    case 0:
        if (w.ready)
            nu_endpoint_send(ep, below(w.bulk ? 300000 : 3000));
        return;
    case 1:
    case 2:
        nu_endpoint_open(ep, below(4) ? below(3000) : 0);
        return;
    case 3:
        nu_endpoint_open(ep, UINT64_MAX);
        return;
    case 4:
        if (w.ready && below(4) == 0)
            nu_endpoint_finish(ep, below(3) ? NU_CAUSE_CLIENT_FIN : NU_CAUSE_CLIENT_RST);
        return;
    case 5:
        if (w.session)
            nu_watch(w.session, below(2) ? see_nothing : NULL, NULL);
        return;
    case 6:
        if (w.session)
            nu_chain_signal(w.session, NU_RELOAD);
        return;
    case 7:
        if (w.ready && w.owner.self && below(10) == 0)
            nu_call(w.owner.self, part_owner);
        return;
    case 8:
        if (w.session && below(20) == 0)
            nu_chain_abort(w.session, NU_CAUSE_DRAIN);
        return;
    default:
        nu_loop_advance(&w.loop, below(20));
    }
}

/* What arrived is what was sent up to there; all of it, if the end says so. */
static void check_delivery(const struct nu_test_end *from, const struct nu_test_end *to)
{
    check(to->wrong == 0, "a byte out of its place");
    check(to->got <= from->sent, "more bytes than were sent");
    if (to->got_end && to->result.how == NU_CLEAN && to->done) {
        check(to->got == from->sent, "a clean end that misses bytes");
        check(to->got_hash == from->sent_hash, "a clean end with other bytes");
    }
}

/* B: high water and one read at the sink, and at each filter what it may have in hand and queued,
 * both ways, of the largest event there is. */
static void check_bound(void)
{
    size_t bound = w.left.high_water + w.right->high_water;
    bound += (size_t)(2 * w.filters + 16) * 2 * CHUNK_MOST;
    check(nu_block_pool_lent(w.loop.blocks) <= bound, "more bytes pinned than the bound");
    check(w.left.most_waiting <= w.left.high_water + CHUNK_MOST, "left sink overrun");
    check(w.right->most_waiting <= w.right->high_water + CHUNK_MOST, "right sink overrun");
}

/* Whatever still lives may end now: windows open, ends clean; then nothing may hang. */
static void finish_world(void)
{
    w.ready = true;
    for (int64_t ms = 0; ms < PATIENCE_MS && w.loop.chain_count; ms += 5) {
        nu_endpoint_open(&w.left, UINT64_MAX);
        nu_endpoint_open(w.right, UINT64_MAX);
        if (w.left.self)
            nu_endpoint_finish(&w.left, NU_CAUSE_CLIENT_FIN);
        if (w.right->self)
            nu_endpoint_finish(w.right, NU_CAUSE_UPSTREAM_FIN);
        nu_loop_advance(&w.loop, 5);
        check_bound();
    }
    check(w.loop.chain_count == 0, "a chain that never ends");
}

static void run_seed(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.r.state = seed * 2 + 1;
    w.arena = nu_arena_new(4096);
    nu_loop_init(&w.loop, 0);
    w.bulk = below(8) == 0;
    build_world(below(2));
    for (unsigned step = below(60); step > 0; step--) {
        disturb();
        check_bound();
    }
    finish_world();
    check(w.closed == 1 && w.loop.depth == 0, "closed once, all frames left");
    if (w.result.how == NU_CLEAN)
        check(w.left.got_end && w.right->got_end, "a clean result without both ends");
    check(w.left.opened == w.left.closed, "opened, not closed");
    for (unsigned i = 0; i < w.legs; i++)
        check(w.rights[i].opened == w.rights[i].closed, "opened, not closed");
    check(w.loop.timers.count == 0, "a timer left");
    check(nu_block_pool_lent(w.loop.blocks) == 0, "bytes left");
    check_delivery(&w.left, w.right);
    check_delivery(w.right, &w.left);
    nu_loop_fini(&w.loop);
    nu_arena_free(w.arena);
}

static void test_random_chains(void **state)
{
    const char *given = getenv("NU_SEEDS");
    unsigned long count = given ? strtoul(given, NULL, 10) : 1500;
    uint64_t seed = seeded_start("random chains").state / 2;
    nu_pedant_fault = pedant_fault;
    for (unsigned long i = 0; i < count; i++)
        run_seed(seed + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
