/* The table of connections; see flow.h. */
#include "protocols/capture/flow.h"

#include "core/table/hash.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 1024u /* a power of two, doubled as flows come */
#define TUNNELS_MOST  4     /* one in the other */
#define PROTOCOL_TCP  6
#define LATE_BYTES    (1 << 24) /* that a segment which comes twice may lie back, at most */

struct nu_flows {
    const struct nu_flow_handler *handler;
    void *ctx;
    struct nu_ip_fragments *fragments;
    struct nu_flow **bucket;
    size_t buckets, count;
    size_t memory, memory_max;
    struct nu_list idle, over; /* each: silent longest first */
    struct nu_list gaps;       /* flows that keep segments */
    struct nu_flow_figures figures;
    uint64_t last; /* number of the packet's, 0 = of none */
};

struct nu_flows *nu_flows_new(const struct nu_flow_handler *handler, void *ctx, size_t memory_max)
{
    struct nu_flows *t = calloc(1, sizeof *t);
    nu_assert(t != NULL);
    t->handler = handler;
    t->ctx = ctx;
    t->memory_max = memory_max;
    t->fragments = nu_ip_fragments_new();
    t->buckets = BUCKETS_FIRST;
    t->bucket = calloc(t->buckets, sizeof *t->bucket);
    nu_assert(t->bucket != NULL);
    nu_list_init(&t->idle);
    nu_list_init(&t->over);
    nu_list_init(&t->gaps);
    return t;
}

/* --- the table --- */

/* The same for both directions. */
static uint64_t hash_of(const struct nu_addr *a, const struct nu_addr *b)
{
    return nu_hash_mix(nu_addr_hash(a) + nu_addr_hash(b));
}

static struct nu_flow **slot_of(struct nu_flows *t, uint64_t hash)
{
    return &t->bucket[hash & (t->buckets - 1)];
}

static void grow(struct nu_flows *t)
{
    struct nu_flow **old = t->bucket;
    size_t count = t->buckets;
    t->buckets *= 2;
    t->bucket = calloc(t->buckets, sizeof *t->bucket);
    nu_assert(t->bucket != NULL);
    for (size_t i = 0; i < count; i++)
        for (struct nu_flow *f = old[i], *next; f; f = next) {
            struct nu_flow **slot = slot_of(t, f->hash);
            next = f->next;
            f->next = *slot;
            *slot = f;
        }
    free(old);
}

/* *half: which of its two sends from `from`. */
static struct nu_flow *find(struct nu_flows *t, uint64_t hash, const struct nu_addr *from,
                            const struct nu_addr *to, int *half)
{
    for (struct nu_flow *f = *slot_of(t, hash); f; f = f->next) {
        if (f->hash != hash)
            continue;
        for (*half = 0; *half < 2; ++*half)
            if (nu_addr_equal(&f->end[*half], from) && nu_addr_equal(&f->end[!*half], to))
                return f;
    }
    *half = 0;
    return NULL;
}

static size_t kept_by(const struct nu_flow *f)
{
    return f->half[0].kept_bytes + f->half[1].kept_bytes;
}

/* --- what a direction tells --- */

struct teller {
    struct nu_flows *flows;
    struct nu_flow *flow;
    int half;
};

static int dir_of(const struct teller *who)
{
    return who->half ^ who->flow->turned;
}

static void on_data(void *ctx, struct nu_piece bytes, int64_t ns)
{
    const struct teller *who = ctx;
    const struct nu_flows *t = who->flows;
    t->handler->data(t->ctx, who->flow, dir_of(who), bytes, ns);
}

static void on_gap(void *ctx, uint64_t bytes, int64_t ns)
{
    const struct teller *who = ctx;
    const struct nu_flows *t = who->flows;
    t->handler->gap(t->ctx, who->flow, dir_of(who), bytes, ns);
}

static void on_end(void *ctx, bool reset, int64_t ns)
{
    const struct teller *who = ctx;
    const struct nu_flows *t = who->flows;
    enum nu_flow_end how = reset ? NU_FLOW_RST : NU_FLOW_FIN;
    who->flow->ended[who->half] = (uint8_t)how;
    t->handler->end(t->ctx, who->flow, dir_of(who), how, ns);
}

static const struct nu_tcp_handler telling = {on_data, on_gap, on_end};

static void give_up(struct nu_flows *t, struct nu_flow *f)
{
    t->memory -= kept_by(f);
    for (int half = 0; half < 2; half++) {
        struct teller who = {t, f, half};
        nu_tcp_give_up(&f->half[half], f->last_ns, &telling, &who);
    }
    t->memory += kept_by(f);
}

/* --- their lives --- */

static void close_flow(struct nu_flows *t, struct nu_flow *f)
{
    struct nu_flow **at = slot_of(t, f->hash);
    give_up(t, f);
    t->handler->close(t->ctx, f);
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    nu_list_del(&f->idle);
    if (nu_list_linked(&f->gaps))
        nu_list_del(&f->gaps);
    t->memory -= kept_by(f) + sizeof *f;
    t->count--;
    nu_tcp_drop(&f->half[0]);
    nu_tcp_drop(&f->half[1]);
    free(f);
}

/* Whoever is over goes first, then whoever was silent longest. */
static struct nu_flow *next_to_go(const struct nu_flows *t)
{
    const struct nu_list *list = nu_list_empty(&t->over) ? &t->idle : &t->over;
    return nu_list_empty(list) ? NULL : nu_container(list->next, struct nu_flow, idle);
}

static bool evict(struct nu_flows *t, const struct nu_flow *but)
{
    struct nu_flow *f = next_to_go(t);
    if (!f || f == but)
        return false;
    t->figures.evicted += !f->over;
    close_flow(t, f);
    return true;
}

static void expire(struct nu_flows *t, struct nu_list *list, int64_t now_ns, int64_t after_ns)
{
    while (!nu_list_empty(list)) {
        struct nu_flow *f = nu_container(list->next, struct nu_flow, idle);
        if (now_ns - f->last_ns < after_ns)
            return;
        close_flow(t, f);
    }
}

void nu_flows_tick(struct nu_flows *t, int64_t now_ns)
{
    expire(t, &t->over, now_ns, NU_FLOW_LINGER_NS);
    expire(t, &t->idle, now_ns, NU_FLOW_IDLE_NS);
}

static struct nu_flow *open_flow(struct nu_flows *t, uint64_t hash, const struct nu_ip *ip,
                                 const struct nu_tcp_segment *seg, int64_t ns)
{
    while (t->count >= NU_FLOWS_MAX)
        evict(t, NULL);
    if (t->count >= t->buckets)
        grow(t);
    struct nu_flow *f = calloc(1, sizeof *f), **slot = slot_of(t, hash);
    nu_assert(f != NULL);
    f->number = ++t->figures.flows;
    f->end[0] = ip->from;
    f->end[1] = ip->to;
    f->hash = hash;
    f->first_ns = f->last_ns = ns;
    f->sure = seg->flags & NU_TCP_SYN;
    f->turned = f->sure && seg->flags & NU_TCP_ACK;
    f->next = *slot;
    *slot = f;
    nu_list_add_tail(&t->idle, &f->idle);
    t->count++;
    t->memory += sizeof *f;
    t->handler->open(t->ctx, f);
    return f;
}

/* A SYN that is not the one we know, nor that of the data before it: the ports are used again. */
static bool is_new(const struct nu_flow *f, int half, const struct nu_tcp_segment *seg)
{
    const struct nu_tcp_half *h = &f->half[half];
    uint32_t isn = h->from_syn ? h->isn : h->next - (uint32_t)h->told - 1;
    return seg->flags & NU_TCP_SYN && h->started && isn != seg->seq;
}

/* Nobody sends behind his FIN: the ports are used again, and the SYN is not in the capture. */
static bool is_another(const struct nu_flow *f, int half, const struct nu_tcp_segment *seg)
{
    const struct nu_tcp_half *h = &f->half[half];
    int32_t begin = (int32_t)(seg->seq - h->next);
    bool fits = begin + (int64_t)seg->wire_len <= 0 && begin > -LATE_BYTES;
    return f->over && f->ended[half] == NU_FLOW_FIN && seg->wire_len && !fits;
}

/* As long as nothing was told of either direction. */
static void learn_client(struct nu_flow *f, int half, const struct nu_tcp_segment *seg)
{
    if (f->sure || f->half[0].told || f->half[1].told || !(seg->flags & NU_TCP_SYN))
        return;
    f->sure = true;
    f->turned = (seg->flags & NU_TCP_ACK ? 1 : 0) ^ half;
}

/* Into the lists that it belongs to. */
static void settle(struct nu_flows *t, struct nu_flow *f, int64_t ns)
{
    bool waits = nu_list_linked(&f->gaps);
    f->last_ns = ns > f->last_ns ? ns : f->last_ns;
    f->over = f->ended[0] && f->ended[1];
    nu_list_del(&f->idle);
    nu_list_add_tail(f->over ? &t->over : &t->idle, &f->idle);
    if (waits && !kept_by(f))
        nu_list_del(&f->gaps);
    else if (!waits && kept_by(f))
        nu_list_add_tail(&t->gaps, &f->gaps);
}

/* Holes that are open longest will hardly be filled: what lies behind them goes first, then whole
 * connections. */
static void make_room(struct nu_flows *t, const struct nu_flow *but)
{
    while (t->memory > t->memory_max && !nu_list_empty(&t->gaps)) {
        struct nu_flow *f = nu_container(t->gaps.next, struct nu_flow, gaps);
        t->figures.hurried++;
        give_up(t, f);
        settle(t, f, f->last_ns);
    }
    while (t->memory > t->memory_max && evict(t, but))
        continue;
}

static void reset_other(struct nu_flows *t, struct nu_flow *f, int half, int64_t ns)
{
    struct nu_tcp_segment rst = {.flags = NU_TCP_RST};
    struct teller who = {t, f, half};
    nu_tcp_segment(&f->half[half], &rst, ns, &telling, &who);
}

static void feed(struct nu_flows *t, struct nu_flow *f, int half, const struct nu_tcp_segment *seg,
                 int64_t ns)
{
    struct teller who = {t, f, half}, other = {t, f, !half};
    t->memory -= kept_by(f);
    f->packets++;
    learn_client(f, half, seg);
    bool was_shut = f->half[!half].shut;
    nu_tcp_heard(&f->half[!half], seg, ns, &telling, &other);
    f->zero_windows += !was_shut && f->half[!half].shut;
    nu_tcp_segment(&f->half[half], seg, ns, &telling, &who);
    if (f->ended[half] == NU_FLOW_RST && !f->ended[!half])
        reset_other(t, f, !half, ns);
    t->memory += kept_by(f);
}

static void tcp_packet(struct nu_flows *t, struct nu_ip *ip, int64_t ns)
{
    struct nu_tcp_segment seg;
    int half;
    if (nu_tcp_parse(ip->payload, ip->wire_len, &seg)) {
        t->figures.broken++;
        return;
    }
    ip->from.port = seg.from;
    ip->to.port = seg.to;
    uint64_t hash = hash_of(&ip->from, &ip->to);
    struct nu_flow *f = find(t, hash, &ip->from, &ip->to, &half);
    if (f && (is_new(f, half, &seg) || is_another(f, half, &seg))) {
        close_flow(t, f);
        f = NULL;
        half = 0;
    }
    if (!f && !seg.wire_len && !(seg.flags & NU_TCP_SYN))
        return; /* an end or an ACK of what is not known */
    if (!f)
        f = open_flow(t, hash, ip, &seg, ns);
    t->last = f->number;
    feed(t, f, half, &seg, ns);
    settle(t, f, ns);
    make_room(t, f);
    nu_flows_tick(t, ns);
}

/* --- packets --- */

static bool whole(struct nu_flows *t, struct nu_ip *ip, int64_t ns)
{
    if (!ip->fragment)
        return true;
    enum nu_err err = nu_ip_fragments_add(t->fragments, ip, ns);
    t->figures.broken += err && err != NU_MORE;
    return !err;
}

void nu_flows_packet(struct nu_flows *t, struct nu_piece packet, int64_t ns)
{
    struct nu_ip ip;
    t->last = 0;
    t->figures.packets++;
    for (int depth = 0; depth <= TUNNELS_MOST; depth++) {
        if (nu_ip_parse(packet, &ip)) {
            t->figures.broken++;
            return;
        }
        if (!whole(t, &ip, ns))
            return;
        if (ip.protocol == PROTOCOL_TCP) {
            tcp_packet(t, &ip, ns);
            return;
        }
        if (nu_link_tunnel(ip.protocol, ip.payload, &packet))
            break;
    }
    t->figures.not_tcp++;
}

void nu_flows_frame(struct nu_flows *t, uint32_t link, struct nu_piece frame, int64_t ns)
{
    struct nu_piece packet;
    enum nu_err err = nu_link_open(link, frame, &packet);
    t->last = 0;
    if (!err) {
        nu_flows_packet(t, packet, ns);
        return;
    }
    t->figures.packets++;
    *(err == NU_NOT_THIS ? &t->figures.not_ip : &t->figures.broken) += 1;
    if (!nu_link_is_read(link)) {
        t->figures.not_read++;
        t->figures.link_not_read = link;
    }
}

void nu_flows_finish(struct nu_flows *t)
{
    struct nu_flow *f;
    while ((f = next_to_go(t)))
        close_flow(t, f);
}

void nu_flows_free(struct nu_flows *t)
{
    if (!t)
        return;
    nu_flows_finish(t);
    nu_ip_fragments_free(t->fragments);
    free(t->bucket);
    free(t);
}

void nu_flow_turn(struct nu_flow *f)
{
    nu_assert(!f->sure);
    f->turned = !f->turned;
    f->sure = true;
}

const struct nu_addr *nu_flow_from(const struct nu_flow *f, int dir)
{
    return &f->end[dir ^ f->turned];
}

const struct nu_tcp_half *nu_flow_half(const struct nu_flow *f, int dir)
{
    return &f->half[dir ^ f->turned];
}

uint64_t nu_flows_last(const struct nu_flows *t)
{
    return t->last;
}

struct nu_flow_figures nu_flows_figures(const struct nu_flows *t)
{
    struct nu_flow_figures figures = t->figures;
    figures.fragments_lost = nu_ip_fragments_lost(t->fragments);
    return figures;
}

size_t nu_flows_memory(const struct nu_flows *t)
{
    return t->memory + t->buckets * sizeof *t->bucket + nu_ip_fragments_memory(t->fragments);
}
