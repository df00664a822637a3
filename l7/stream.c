/* Streams: how they are made, their left end, and what is counted and logged when they are over;
 * see stream.h. */
#include "l7/stream.h"

#include "core/assert.h"
#include "core/counted.h"
#include "core/recent.h"
#include "l4/access_log.h"
#include "l4/listener.h"
#include "l7/grpc.h"
#include "l7/http.h"
#include "l7/route/route.h"
#include "l7/stream_in.h"
#include "l7/tunnel.h"

#include <string.h>

const char *nu_stream_flag_str(enum nu_stream_flag flag)
{
#define LETTERS(id, letters, doc) letters,
    static const char *const names[] = {NU_STREAM_FLAGS(LETTERS)};
#undef LETTERS
    nu_assert((unsigned)flag < NU_FLAG_COUNT);
    return names[flag];
}

/* --- the left end ---
 *
 * Faces: a joint to the codec on the left, HTTP on the right. Sees nothing: all passes. Stores
 * nothing, holds nothing. */

struct stream_in {
    struct nu_filter filter;
    struct nu_joint joint;
};

const struct nu_filter_type nu_stream_in = {
    .name = "stream",
    .doc = "The left end of a request's chain.",
    .size = sizeof(struct stream_in),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_HTTP),
    .flags = NU_F_INTERNAL,
    .joint = offsetof(struct stream_in, joint),
};

/* --- what streams of a connection share --- */

struct nu_note {
    struct nu_note *next;
    const char *key;
    size_t size;
    void *memory;
};

static struct nu_note *find_note(struct nu_note *note, const char *key, size_t size)
{
    while (note && (note->size != size || strcmp(note->key, key) != 0))
        note = note->next;
    return note;
}

void *nu_stream_note(const struct nu_stream *s, const char *key, size_t size)
{
    const struct stream_in *in = (struct stream_in *)nu_chain_end(s->chain, NU_REV);
    if (!in->joint.peer)
        return NULL;
    struct nu_chain *connection = nu_joint_peer(&in->joint)->chain;
    struct nu_facts_more *facts = nu_chain_facts_more(connection);
    struct nu_note *note = find_note(facts->notes, key, size);
    if (note)
        return note->memory;
    struct nu_arena *arena = nu_chain_arena(connection);
    note = nu_arena_alloc(arena, sizeof *note);
    *note = (struct nu_note){facts->notes, nu_arena_strdup(arena, key), size,
                             nu_arena_alloc(arena, size)};
    facts->notes = note;
    return note->memory;
}

/* --- the end --- */

static void count(const struct nu_stream *s, enum nu_http_stat stat, int64_t n)
{
    nu_stat_add(s->conf->stats, nu_chain_loop(s->chain)->shard, stat, n);
}

static void count_end(const struct nu_stream *s)
{
    const struct nu_loop *loop = nu_chain_loop(s->chain);
    count(s, NU_HTTP_RQ_ACTIVE, -1);
    if (s->response) {
        count(s, NU_HTTP_RQ_COMPLETED, 1);
        count(s, (enum nu_http_stat)(NU_HTTP_RQ_1XX + s->status / 100 - 1), 1);
    }
    nu_stat_record(s->conf->stats, loop->shard, NU_HTTP_RQ_TIME_MS,
                   (uint64_t)(loop->now_ms - s->start_ms));
    nu_grpc_count(s, loop->shard);
}

/* A stream that ended before its response did: who is to blame stands in the chain's result. */
static void blame(struct nu_stream *s, struct nu_result result)
{
    if (s->response_ms)
        return;
    if (result.cause == NU_CAUSE_CLIENT_PROTOCOL) {
        nu_stream_flag(s, NU_FLAG_CLIENT_ERROR);
        s->details = nu_cause_str(NU_CAUSE_CLIENT_PROTOCOL);
    } else if (result.side == NU_SIDE_CLIENT) {
        count(s, NU_HTTP_RQ_RX_RESET, 1);
        nu_stream_flag(s, NU_FLAG_CLIENT_GONE);
        s->details = "downstream_remote_disconnect";
    } else {
        count(s, NU_HTTP_RQ_TX_RESET, 1);
        if (result.cause == NU_CAUSE_DRAIN)
            nu_stream_flag(s, NU_FLAG_DRAIN);
    }
}

static void closed(struct nu_chain *chain, void *ctx)
{
    struct nu_stream *s = ctx;
    if (chain != s->chain) /* a filter refused it: another answers */
        return;
    struct nu_facts_exchange *exchange = nu_chain_facts_exchange(chain);
    const struct stream_in *in = (struct stream_in *)nu_chain_end(chain, NU_REV);
    blame(s, nu_chain_result(chain));
    if (s->count && in->joint.peer)
        s->count(nu_joint_peer(&in->joint));
    exchange->bytes_in = s->request_bytes;
    exchange->bytes_out = s->response_bytes;
    count_end(s);
    if ((s->flags || s->status >= 500) && s->pinned) /* the admin's own are not pinned */
        nu_recent_add(NU_RECENT_REQUEST, nu_chain_loop(chain)->shard, chain);
    nu_access_log_write(s->conf->log, chain);
}

static void gone(struct nu_loop *loop, void *ctx)
{
    struct nu_stream *s = ctx;
    if (--s->chains > 0)
        return;
    if (s->pinned)
        nu_unpin(&s->pinned->counted, loop->shard);
    nu_http_head_drop(s->request);
    nu_arena_free(s->of_connection);
    nu_arena_free(s->arena);
}

static const struct nu_chain_owner owner = {.closed = closed, .gone = gone};

/* --- the beginning --- */

static struct nu_stream *allocate(const struct nu_filter *codec, const struct nu_http_conf *conf,
                                  struct nu_http_head *head, struct nu_arena *arena)
{
    struct nu_stream *s = nu_arena_alloc(arena, sizeof *s);
    s->arena = arena;
    s->conf = conf;
    s->request = head;
    s->grpc = nu_grpc_is(head);
    s->start_ms = nu_filter_loop(codec)->now_ms;
    return s;
}

static void refuse(struct nu_stream *s, unsigned status, const char *details,
                   enum nu_stream_flag flag)
{
    s->status = (uint16_t)status;
    s->details = details;
    nu_stream_flag(s, flag);
}

/* One form for the path, so that what routes match on is what the server acts on. */
static void normalize(struct nu_stream *s)
{
    struct nu_http_head *head = s->request;
    enum nu_path_error error = nu_path_normalize(s->conf->path, head->path, s->arena, &head->path);
    if (error)
        refuse(s, 400, nu_path_error_str(error), NU_FLAG_NONE);
    else if (head->expect_other)
        refuse(s, 417, "expectation_failed", NU_FLAG_NONE);
}

/* What facts point to is the connection's, which may be gone before the stream is. What becomes of
 * this request's server is not for the next one to see. */
static void keep_facts(const struct nu_filter *codec, struct nu_stream *s, struct nu_facts *facts)
{
    if (!facts->more && !facts->tls)
        return;
    s->of_connection = nu_arena_share(nu_chain_arena(codec->chain));
    if (!facts->more)
        return;
    struct nu_facts_more *own = nu_arena_alloc(s->arena, sizeof *own);
    *own = *facts->more;
    facts->more = own;
}

/* The facts of the connection, with the request's own beginning. */
static struct nu_facts facts_of(const struct nu_filter *codec, struct nu_stream *s)
{
    struct nu_facts facts = *nu_chain_facts(codec->chain);
    keep_facts(codec, s, &facts);
    facts.start_us += (s->start_ms - facts.start_ms) * 1000;
    facts.start_ms = s->start_ms;
    return facts;
}

/* The config must stay until the stream is gone, which may be later than the connection. */
static void pin(struct nu_stream *s, const struct nu_filter *codec)
{
    s->pinned = nu_listener_chain_conf(codec->chain);
    if (s->pinned)
        nu_pin(&s->pinned->counted, nu_filter_loop(codec)->shard);
}

/* Those that have something to do; `left` goes in the place of the first. */
static unsigned choose_places(const struct nu_place *places, unsigned count,
                              const struct nu_place *left, const struct nu_facts *facts,
                              struct nu_place *out)
{
    unsigned n = 0;
    out[n++] = left ? *left : places[0];
    for (unsigned i = 1; i < count; i++)
        if (!places[i].type->spare || !places[i].type->spare(places[i].conf, facts))
            out[n++] = places[i];
    return n;
}

/* Of the route's places, or of none; `left` goes in the place of the joint. */
static void make_chain(struct nu_stream *s, struct nu_loop *loop, const struct nu_place *left,
                       const struct nu_route *route, const struct nu_facts *facts)
{
    const struct nu_place *places = route ? route->places : s->conf->places;
    unsigned place_count = route ? route->place_count : s->conf->place_count;
    struct nu_place own[NU_CHAIN_MAX_FILTERS];
    if (left || place_count > 2) {
        place_count = choose_places(places, place_count, left, facts, own);
        places = own;
    }
    s->chains++;
    s->chain = nu_chain_new(loop, places, place_count, facts, &owner, s);
}

/* A byte filter that refuses closes connections; a request gets an answer, by a chain without
 * filters. */
static void answer_refusal(struct nu_stream *s, struct nu_loop *loop, const struct nu_place *left,
                           const struct nu_facts *facts)
{
    enum nu_cause cause = (enum nu_cause)nu_chain_result(s->chain).cause;
    bool limit = cause == NU_CAUSE_LIMIT || cause == NU_CAUSE_RATE;
    s->status = cause == NU_CAUSE_FILTER ? 403 : limit ? 429 : 503;
    s->details =
        nu_arena_printf(s->arena, "%s{%s}", nu_cause_str(cause), nu_chain_details(s->chain));
    if (cause == NU_CAUSE_FILTER || limit)
        nu_stream_flag(s, limit ? NU_FLAG_RATE_LIMITED : NU_FLAG_DENIED);
    make_chain(s, loop, left, NULL, facts);
}

static struct nu_stream *start(struct nu_filter *codec, const struct nu_place *left,
                               struct nu_stream *s, struct nu_facts *facts)
{
    struct nu_facts_exchange exchange = {.stream = s};
    pin(s, codec);
    facts->exchange = &exchange; // cppcheck-suppress autoVariables ; the caller's facts end with it
    make_chain(s, nu_filter_loop(codec), left, s->route, facts);
    if (nu_chain_ended(s->chain))
        answer_refusal(s, nu_filter_loop(codec), left, facts);
    s->router = nu_chain_end(s->chain, NU_FWD);
    if (!left)
        nu_join(codec, nu_chain_end(s->chain, NU_REV));
    count(s, NU_HTTP_RQ_TOTAL, 1);
    count(s, NU_HTTP_RQ_ACTIVE, 1);
    return s;
}

struct nu_stream *nu_stream_new(struct nu_filter *codec, const struct nu_place *left,
                                const struct nu_http_conf *conf, struct nu_http_head *head,
                                struct nu_arena *arena)
{
    struct nu_stream *s = allocate(codec, conf, head, arena);
    struct nu_facts facts = facts_of(codec, s);
    nu_forwarded_request(&conf->forwarded, s, &facts);
    normalize(s);
    if (!s->status && conf->routes)
        s->route = nu_routes_find(conf->routes, head);
    nu_tunnel_decide(s);
    return start(codec, left, s, &facts);
}

struct nu_stream *nu_stream_refused(struct nu_filter *codec, const struct nu_place *left,
                                    const struct nu_http_conf *conf, struct nu_http_head *head,
                                    struct nu_arena *arena, unsigned status, const char *details,
                                    enum nu_stream_flag flag)
{
    if (!head) {
        head = nu_http_head_new(arena);
        head->version = NU_HTTP_1_1;
    }
    struct nu_stream *s = allocate(codec, conf, head, arena);
    struct nu_facts facts = facts_of(codec, s);
    refuse(s, status, details, flag);
    return start(codec, left, s, &facts);
}

struct nu_filter *nu_stream_codec(const struct nu_stream *s)
{
    const struct stream_in *in = (struct stream_in *)nu_chain_end(s->chain, NU_REV);
    return in->filter.type == &nu_stream_in ? nu_joint_peer(&in->joint) : NULL;
}

void nu_stream_put_away(struct nu_stream *s)
{
    struct nu_chain *chain = s->chain;
    s->chain = NULL; /* so `closed` takes it for one that was replaced */
    nu_chain_abort(chain, NU_CAUSE_NONE);
}

struct nu_stream *nu_stream_again(struct nu_filter *codec, const struct nu_http_conf *conf,
                                  struct nu_http_head *head, const struct nu_addr *client,
                                  int64_t start_ms)
{
    struct nu_stream *s = allocate(codec, conf, head, head->arena);
    s->start_ms = start_ms;
    struct nu_facts facts = facts_of(codec, s);
    struct nu_facts_exchange exchange = {.stream = s};
    if (client)
        nu_forwarded_client(&facts, s->arena, client);
    facts.exchange = &exchange;
    pin(s, codec);
    make_chain(s, nu_filter_loop(codec), NULL, NULL, &facts);
    s->router = nu_chain_end(s->chain, NU_FWD);
    return s;
}

void nu_stream_answer(struct nu_stream *s, unsigned status, const char *details,
                      enum nu_stream_flag flag)
{
    refuse(s, s->response ? s->status : status, details, flag);
    nu_call(s->router, s->answer);
}

void nu_stream_deadline(struct nu_stream *s, int64_t at_ms)
{
    struct nu_filter *left = nu_chain_end(s->chain, NU_REV);
    const struct nu_joint *joint = &((struct stream_in *)left)->joint;
    s->deadline_ms = at_ms;
    if (left->type != &nu_stream_in)
        s->watch(left);
    else if (joint->peer)
        s->watch(nu_joint_peer(joint));
}

void nu_stream_respond(struct nu_stream *s, struct nu_http_head *head)
{
    s->response = head;
    s->status = head->status;
    if (!s->details)
        s->details = "via_upstream";
    nu_forwarded_response(&s->conf->forwarded, s, head);
}
