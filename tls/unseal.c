/* Connections as an onlooker reads them, the outermost part: what comes is read at once, or kept
 * until its turn; see unseal.h. Kept are bytes, gaps and ends of both directions in the order in
 * which they came, so that what was said first is told first also when keys come late. */
#include "core/assert.h"
#include "tls/unseal_priv.h"

#include <stdlib.h>
#include <string.h>

enum chunk_kind { CHUNK_BYTES, CHUNK_GAP, CHUNK_END };

struct unseal_chunk {
    struct nu_list node;
    enum chunk_kind kind;
    uint8_t dir;
    bool snapped;
    int64_t time_ns;
    uint64_t len; /* a gap has none behind it */
    size_t at;    /* bytes read of it */
    size_t size;  /* as it is counted */
};                /* its bytes behind it */

static uint8_t *bytes_of(struct unseal_chunk *c)
{
    return (uint8_t *)(c + 1);
}

struct nu_unseals *nu_unseals_new(struct nu_secrets *secrets, size_t sealed_max,
                                  size_t sealed_total_max)
{
    struct nu_unseals *all = calloc(1, sizeof *all);
    nu_assert(all != NULL);
    all->secrets = secrets;
    all->sealed_max = sealed_max;
    all->sealed_total_max = sealed_total_max;
    all->memory = sizeof *all;
    nu_list_init(&all->waiting);
    return all;
}

void nu_unseals_free(struct nu_unseals *all)
{
    if (!all)
        return;
    nu_assert(nu_list_empty(&all->waiting));
    unseal_algorithms_free(&all->algorithms);
    free(all);
}

size_t nu_unseals_memory(const struct nu_unseals *all)
{
    return all->memory;
}

uint8_t *unseal_resize(struct nu_unseal *u, uint8_t *old, uint32_t old_cap, uint32_t cap)
{
    u->all->memory = u->all->memory - old_cap + cap;
    if (cap == 0) {
        free(old);
        return NULL;
    }
    uint8_t *room = realloc(old, cap);
    nu_assert(room != NULL);
    return room;
}

void unseal_append(struct nu_unseal *u, uint8_t **at, uint32_t *len, uint32_t *cap,
                   const uint8_t *bytes, uint32_t more)
{
    if (*len + more > *cap) {
        uint32_t room = *cap ? *cap : 256;
        while (room < *len + more)
            room *= 2;
        *at = unseal_resize(u, *at, *cap, room);
        *cap = room;
    }
    if (more)
        memcpy(*at + *len, bytes, more);
    *len += more;
}

/* --- what waits --- */

static void drop_chunk(struct nu_unseal *u, struct unseal_chunk *c)
{
    u->half[c->dir].queued--;
    u->sealed -= c->size;
    u->all->sealed -= c->size;
    u->all->memory -= c->size;
    nu_list_del(&c->node);
    free(c);
}

static void stop_waiting(struct nu_unseal *u)
{
    nu_secrets_unwait(u->all->secrets, &u->wait);
    nu_secrets_unwait(u->all->secrets, &u->wait_rsa);
    if (nu_list_linked(&u->waiting))
        nu_list_del(&u->waiting);
}

static enum nu_unseal_reason gap_reason(const struct unseal_half *h)
{
    return h->gap_snapped ? NU_UNSEAL_SNAP_LENGTH : NU_UNSEAL_GAP;
}

/* What it is that those who are blocked wait for. */
static enum nu_unseal_reason why_blocked(const struct nu_unseal *u)
{
    for (int dir = 0; dir < 2; dir++)
        if (dir == UNSEAL_CLIENT ? !u->has_client : !u->has_server)
            return u->half[dir].astray ? gap_reason(&u->half[dir]) : NU_UNSEAL_MISSED_START;
    return NU_UNSEAL_NO_KEYS;
}

/* Ends are told also of what is closed. */
static void drop_queue(struct nu_unseal *u, int dir)
{
    /* NOLINTNEXTLINE: the analyzer forgets that what is freed was unlinked */
    nu_list_each (node, &u->queue) {
        struct unseal_chunk *c = nu_container(node, struct unseal_chunk, node);
        if (c->dir != dir)
            continue;
        int64_t time_ns = c->time_ns;
        bool end = c->kind == CHUNK_END;
        drop_chunk(u, c);
        if (end)
            u->handler->end(u->ctx, dir, time_ns);
    }
}

void unseal_close(struct nu_unseal *u, struct unseal_half *h, enum nu_unseal_reason reason)
{
    if (h->state == UNSEAL_CLOSED)
        return;
    h->state = UNSEAL_CLOSED;
    if (u->closed == NU_UNSEAL_OPEN)
        u->closed = reason;
    if (h->dir == UNSEAL_SERVER)
        u->has_encrypted = u->yield = true; /* the client need not wait for it */
    unseal_enter(u, h, EPOCH_CLEAR);
    u->handler->closed(u->ctx, h->dir, reason, h->time_ns);
}

void unseal_close_both(struct nu_unseal *u, enum nu_unseal_reason reason)
{
    unseal_close(u, &u->half[UNSEAL_CLIENT], reason);
    unseal_close(u, &u->half[UNSEAL_SERVER], reason);
}

/* What closed directions had gathered; not before the turn's end, since it may be what was read. */
static void sweep(struct nu_unseal *u)
{
    for (int dir = 0; dir < 2; dir++) {
        struct unseal_half *h = &u->half[dir];
        if (h->state != UNSEAL_CLOSED)
            continue;
        h->part = unseal_resize(u, h->part, h->part_cap, 0);
        h->message = unseal_resize(u, h->message, h->message_cap, 0);
        h->part_len = h->part_cap = h->message_len = h->message_cap = 0;
    }
}

static void close_queued(struct nu_unseal *u, int dir, enum nu_unseal_reason reason)
{
    if (!u->half[dir].queued)
        return;
    unseal_close(u, &u->half[dir], reason);
    drop_queue(u, dir);
}

static void pump(struct nu_unseal *u);

/* Nothing it waits for will come, or it may wait no longer. Who only waits for the other side's
 * turn is read then. */
static void give_up(struct nu_unseal *u, enum nu_unseal_reason reason)
{
    bool held[2] = {unseal_held(u, &u->half[0]), unseal_held(u, &u->half[1])};
    for (int dir = 0; dir < 2; dir++)
        if (!held[dir])
            close_queued(u, dir, reason);
    if (held[0] || held[1])
        pump(u);
    for (int dir = 0; dir < 2; dir++)
        close_queued(u, dir, reason);
    stop_waiting(u);
    sweep(u);
}

/* Those who wait longest make room; it may be this one. */
static void keep_bounds(struct nu_unseal *u)
{
    if (u->sealed > u->all->sealed_max)
        give_up(u, why_blocked(u));
    while (u->all->sealed > u->all->sealed_total_max && !nu_list_empty(&u->all->waiting))
        give_up(nu_container(u->all->waiting.next, struct nu_unseal, waiting), NU_UNSEAL_MEMORY);
}

static void keys_came(struct nu_unseal *u);

static void on_keys(struct nu_secrets_wait *wait)
{
    keys_came(nu_container(wait, struct nu_unseal, wait));
}

static void on_keys_rsa(struct nu_secrets_wait *wait)
{
    keys_came(nu_container(wait, struct nu_unseal, wait_rsa));
}

static void start_waiting(struct nu_unseal *u)
{
    if (!nu_list_linked(&u->waiting))
        nu_list_add_tail(&u->all->waiting, &u->waiting);
    if (u->has_client && !u->wait.entry) {
        u->wait.came = on_keys;
        nu_secrets_wait(u->all->secrets, u->client_random, &u->wait);
    }
    if (u->rsa && !u->wait_rsa.entry) {
        u->wait_rsa.came = on_keys_rsa;
        nu_secrets_wait(u->all->secrets, u->rsa_id, &u->wait_rsa);
    }
}

static void keep(struct nu_unseal *u, struct unseal_chunk chunk, const uint8_t *bytes)
{
    size_t held = chunk.kind == CHUNK_BYTES ? chunk.len : 0;
    struct unseal_chunk *c = malloc(sizeof *c + held);
    nu_assert(c != NULL);
    *c = chunk;
    c->at = 0;
    c->size = sizeof *c + held;
    if (held)
        memcpy(bytes_of(c), bytes, held);
    nu_list_add_tail(&u->queue, &c->node);
    u->half[c->dir].queued++;
    u->sealed += c->size;
    u->all->sealed += c->size;
    u->all->memory += c->size;
}

/* --- reading --- */

/* False: something of it is left. */
static bool read_chunk(struct nu_unseal *u, struct unseal_chunk *c, const uint8_t *bytes)
{
    struct unseal_half *h = &u->half[c->dir];
    h->time_ns = c->time_ns;
    if (c->kind == CHUNK_END) {
        if (h->state != UNSEAL_CLOSED && !unseal_read_last(u, h))
            return false;
        u->handler->end(u->ctx, c->dir, c->time_ns);
        return true;
    }
    if (h->state == UNSEAL_CLOSED)
        return true;
    if (c->kind == CHUNK_GAP) {
        h->gap_snapped = c->snapped;
        unseal_miss(u, h, c->len);
        return true;
    }
    c->at += unseal_read(u, h, bytes + c->at, c->len - c->at);
    return c->at == c->len || h->state == UNSEAL_CLOSED;
}

/* Reads of the queue what can be read, in order, as often as that gives hope to others. */
static void pump(struct nu_unseal *u)
{
    do {
        u->yield = false;
        u->half[0].blocked = u->half[1].blocked = false;
        nu_list_each (node, &u->queue) {
            struct unseal_chunk *c = nu_container(node, struct unseal_chunk, node);
            if (u->half[c->dir].blocked)
                continue;
            if (read_chunk(u, c, bytes_of(c)))
                drop_chunk(u, c);
            else if (!u->yield)
                u->half[c->dir].blocked = true;
            if (u->yield)
                break;
        }
    } while (u->yield);
}

/* What waits after a turn waits in the open. */
static void settle(struct nu_unseal *u)
{
    if (!nu_list_empty(&u->queue) && u->yield)
        pump(u);
    u->yield = false;
    sweep(u);
    if (nu_list_empty(&u->queue)) {
        stop_waiting(u);
        return;
    }
    start_waiting(u);
    keep_bounds(u);
}

static void keys_came(struct nu_unseal *u)
{
    u->yield = true;
    settle(u);
}

static void take(struct nu_unseal *u, struct unseal_chunk chunk, const uint8_t *bytes)
{
    struct unseal_half *h = &u->half[chunk.dir];
    h->blocked = false;
    if (h->queued || !read_chunk(u, &chunk, bytes)) {
        chunk.len -= chunk.at;
        keep(u, chunk, bytes + chunk.at);
        if (u->over)
            give_up(u, why_blocked(u));
    }
    settle(u);
}

void nu_unseal_feed(struct nu_unseal *u, int dir, const uint8_t *bytes, size_t len, int64_t time_ns)
{
    u->facts.wire[dir] += len;
    if (u->half[dir].state != UNSEAL_CLOSED && len)
        take(u, (struct unseal_chunk){.dir = (uint8_t)dir, .time_ns = time_ns, .len = len}, bytes);
}

void nu_unseal_gap(struct nu_unseal *u, int dir, uint64_t bytes, enum nu_unseal_reason why,
                   int64_t time_ns)
{
    u->facts.wire[dir] += bytes;
    if (u->half[dir].state != UNSEAL_CLOSED && bytes)
        take(u,
             (struct unseal_chunk){.kind = CHUNK_GAP,
                                   .dir = (uint8_t)dir,
                                   .time_ns = time_ns,
                                   .snapped = why == NU_UNSEAL_SNAP_LENGTH,
                                   .len = bytes},
             (const uint8_t *)"");
}

void nu_unseal_end(struct nu_unseal *u, int dir, int64_t time_ns)
{
    take(u, (struct unseal_chunk){.kind = CHUNK_END, .dir = (uint8_t)dir, .time_ns = time_ns},
         (const uint8_t *)"");
}

/* --- the object --- */

struct nu_unseal *nu_unseal_new(struct nu_unseals *all, const struct nu_unseal_handler *handler,
                                void *ctx)
{
    struct nu_unseal *u = calloc(1, sizeof *u);
    nu_assert(u != NULL);
    u->all = all;
    u->handler = handler;
    u->ctx = ctx;
    u->half[UNSEAL_SERVER].dir = UNSEAL_SERVER;
    nu_list_init(&u->queue);
    all->memory += sizeof *u;
    return u;
}

void nu_unseal_free(struct nu_unseal *u)
{
    if (!u)
        return;
    nu_list_each (node, &u->queue)
        drop_chunk(u, nu_container(node, struct unseal_chunk, node));
    stop_waiting(u);
    for (int dir = 0; dir < 2; dir++) {
        unseal_enter(u, &u->half[dir], EPOCH_CLEAR);
        unseal_resize(u, u->half[dir].part, u->half[dir].part_cap, 0);
        unseal_resize(u, u->half[dir].message, u->half[dir].message_cap, 0);
    }
    unseal_resize(u, u->hello, u->hello_len, 0);
    EVP_MD_CTX_free(u->transcript);
    nu_arena_free(u->arena);
    u->all->memory -= sizeof *u + u->arena_bytes;
    free(u);
}

bool nu_unseal_waits(const struct nu_unseal *u)
{
    return !nu_list_empty(&u->queue);
}

void nu_unseal_finish(struct nu_unseal *u)
{
    u->over = true;
    if (!nu_list_empty(&u->queue))
        give_up(u, why_blocked(u));
}

const struct nu_unseal_facts *nu_unseal_facts(struct nu_unseal *u)
{
    u->facts.reason = u->closed;
    if (u->closed == NU_UNSEAL_OPEN && nu_unseal_waits(u))
        u->facts.reason = why_blocked(u);
    else if (u->closed == NU_UNSEAL_OPEN && !u->facts.decrypted)
        u->facts.reason = NU_UNSEAL_NO_DATA;
    return &u->facts;
}

const uint8_t *nu_unseal_id(const struct nu_unseal *u, unsigned which)
{
    if (which == 0)
        return u->has_client ? u->client_random : NULL;
    return which == 1 && u->rsa ? u->rsa_id : NULL;
}
