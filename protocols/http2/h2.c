/* Sessions and streams of HTTP/2; see h2.h. */
#include "protocols/http2/h2_priv.h"

#include "core/arena.h"
#include "core/assert.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CONTINUATION_READS_MAX                                                                     \
    100                   /* nghttp2 counts reads of their heads, not frames: h2_read.c does */
#define SETTINGS_MAX 32   /* entries of one frame */
#define ACKS_MAX     1000 /* of PING and SETTINGS that wait to be sent */

static nghttp2_session_callbacks *callbacks;
static nghttp2_option *options;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Never changed again: all sessions of all threads are made of them. */
static void make_templates(void)
{
    nu_assert(nghttp2_session_callbacks_new(&callbacks) == 0);
    nu_assert(nghttp2_option_new(&options) == 0);
    h2_read_callbacks(callbacks);
    h2_write_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_no_http_messaging(options, 1);
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_max_settings(options, SETTINGS_MAX);
    nghttp2_option_set_max_outbound_ack(options, ACKS_MAX);
    nghttp2_option_set_max_continuations(options, CONTINUATION_READS_MAX);
    nghttp2_option_set_max_reserved_remote_streams(options, 0);
    nghttp2_option_set_builtin_recv_extension_type(options, NGHTTP2_PRIORITY_UPDATE);
    for (unsigned type = NGHTTP2_ALTSVC; type <= UINT8_MAX; type++) /* so that they are counted */
        if (type != NGHTTP2_PRIORITY_UPDATE)
            nghttp2_option_set_user_recv_extension_type(options, (uint8_t)type);
    nghttp2_option_set_stream_reset_rate_limit(options, UINT32_MAX, UINT32_MAX); /* flood.h */
}

enum nu_err nu_h2_is_preface(const void *bytes, size_t len)
{
    size_t most = len < NU_H2_PREFACE_LEN ? len : NU_H2_PREFACE_LEN;
    if (memcmp(bytes, NU_H2_PREFACE, most) != 0)
        return NU_NOT_THIS;
    return len < NU_H2_PREFACE_LEN ? NU_MORE : NU_OK;
}

/* The last of them is a server's to say. */
static void say_settings(struct nu_h2 *h2, nghttp2_settings_entry of_role)
{
    const struct nu_h2_conf *conf = h2->conf;
    const nghttp2_settings_entry entries[] = {
        of_role,
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,     conf->stream_window    },
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,    conf->limits.head_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES,   1                      },
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1                      },
    };
    size_t count = sizeof entries / sizeof *entries - h2->client;
    nu_assert(nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, entries, count) == 0);
    nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                          (int32_t)conf->conn_window);
}

static struct nu_h2 *new_codec(const struct nu_h2_conf *conf, const struct nu_h2_handler *handler,
                               void *ctx, struct nu_block_pool *pool)
{
    struct nu_h2 *h2 = calloc(1, sizeof *h2);
    nu_assert(h2 != NULL);
    pthread_once(&once, make_templates);
    h2->conf = conf;
    h2->handler = handler;
    h2->ctx = ctx;
    h2->pool = pool;
    nu_list_init(&h2->all);
    nu_list_init(&h2->dirty);
    nu_list_init(&h2->news);
    nu_list_init(&h2->rests);
    return h2;
}

struct nu_h2 *nu_h2_server_new(const struct nu_h2_conf *conf, const struct nu_h2_handler *handler,
                               void *ctx, struct nu_block_pool *pool)
{
    struct nu_h2 *h2 = new_codec(conf, handler, ctx, pool);
    nu_assert(nghttp2_session_server_new2(&h2->session, callbacks, h2, options) == 0);
    say_settings(h2,
                 (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, conf->streams});
    return h2;
}

struct nu_h2 *nu_h2_client_new(const struct nu_h2_conf *conf, const struct nu_h2_handler *handler,
                               void *ctx, struct nu_block_pool *pool, bool secure)
{
    struct nu_h2 *h2 = new_codec(conf, handler, ctx, pool);
    h2->client = true;
    h2->secure = secure;
    nu_assert(nghttp2_session_client_new2(&h2->session, callbacks, h2, options) == 0);
    say_settings(h2, (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
    return h2;
}

void nu_h2_gather(struct nu_h2 *h2)
{
    h2->gather = true;
}

void nu_h2_free(struct nu_h2 *h2)
{
    nghttp2_session_del(h2->session);
    nu_list_each (node, &h2->all) {
        struct nu_h2_stream *st = nu_container(node, struct nu_h2_stream, all);
        st->open = false;
        h2_stream_release(st);
    }
    nu_assert(!h2->out);
    free(h2);
}

void h2_count(struct nu_h2 *h2, enum nu_h2_count what)
{
    h2->handler->count(h2->ctx, what);
}

bool h2_allowed(struct nu_h2 *h2, enum nu_h2_flood what)
{
    if (nu_h2_flood_take(&h2->buckets, what, h2->now_ms))
        return true;
    if (!h2->calm)
        h2_count(h2, (enum nu_h2_count)(NU_H2_COUNT_FLOOD + what));
    h2->calm = true;
    return false;
}

bool nu_h2_is_alive(const struct nu_h2 *h2)
{
    return !h2->broken &&
           (nghttp2_session_want_read(h2->session) || nghttp2_session_want_write(h2->session));
}

uint32_t nu_h2_goaway_code(const struct nu_h2 *h2)
{
    return h2->goaway_code;
}

bool nu_h2_in_head(const struct nu_h2 *h2)
{
    return h2->reading != NULL;
}

unsigned nu_h2_active(const struct nu_h2 *h2)
{
    return h2->active;
}

unsigned nu_h2_room(const struct nu_h2 *h2)
{
    uint32_t most =
        nghttp2_session_get_remote_settings(h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    most = most < h2->conf->streams ? most : h2->conf->streams;
    if (h2->dead || h2->calm || h2->draining || !nghttp2_session_check_request_allowed(h2->session))
        return 0;
    return h2->active < most ? most - h2->active : 0;
}

enum nu_err nu_h2_may_upgrade(const struct nu_h2 *h2)
{
    bool offered =
        nghttp2_session_get_remote_settings(h2->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL);
    return offered ? NU_OK : h2->settled ? NU_NOT_THIS : NU_MORE;
}

void nu_h2_ping(struct nu_h2 *h2)
{
    nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
}

int64_t nu_h2_due(const struct nu_h2 *h2)
{
    if (nu_list_empty(&h2->rests))
        return 0;
    return nu_container(h2->rests.next, struct nu_h2_stream, rest)->said_ms + NU_H2_REST_MS;
}

void nu_h2_expire(struct nu_h2 *h2, int64_t now_ms)
{
    while (!nu_list_empty(&h2->rests) && nu_h2_due(h2) <= now_ms)
        nu_h2_say_reset(nu_container(nu_list_pop(&h2->rests), struct nu_h2_stream, rest),
                        NU_H2_CODE_NO_ERROR);
}

void nu_h2_drain(struct nu_h2 *h2)
{
    if (h2->draining)
        return;
    h2->draining = 1;
    nghttp2_submit_shutdown_notice(h2->session);
}

void nu_h2_drain_now(struct nu_h2 *h2)
{
    if (h2->draining == 2)
        return;
    h2->draining = 2;
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
}

void nu_h2_terminate(struct nu_h2 *h2, enum nu_h2_code code)
{
    h2->draining = 2;
    nghttp2_session_terminate_session(h2->session, code);
}

/* --- streams --- */

struct nu_h2_stream *h2_stream_new(struct nu_h2 *h2, int32_t id, struct nu_arena *arena)
{
    struct nu_h2_stream *st = nu_arena_alloc(arena, sizeof *st);
    st->h2 = h2;
    st->id = id;
    st->arena = arena;
    st->window = h2->conf->stream_window;
    st->moved_ms = h2->now_ms;
    st->open = st->held = true;
    nu_list_add_tail(&h2->all, &st->all);
    h2->active++;
    return st;
}

struct nu_h2_stream *nu_h2_ask(struct nu_h2 *h2, struct nu_arena *arena,
                               const struct nu_http_head *request, void *user)
{
    struct nu_h2_stream *st = h2_stream_new(h2, 0, arena);
    st->method_id = request->method_id;
    st->asks = nu_h2_asks_tunnel(request);
    st->user = user;
    st->taken_by_user = true;
    nu_h2_say_head(st, request);
    return st;
}

static void free_if_alone(struct nu_h2_stream *st)
{
    if (st->held || st->taken_by_user)
        return;
    h2_out_clear(st);
    nu_arena_free(st->arena);
}

/* nghttp2 knows it no more, or the codec itself is over. */
void h2_stream_release(struct nu_h2_stream *st)
{
    nu_assert(!st->open);
    if (!st->held)
        return;
    nu_list_del(&st->all);
    if (nu_list_linked(&st->dirty))
        nu_list_del(&st->dirty);
    if (nu_list_linked(&st->news_link))
        nu_list_del(&st->news_link);
    if (nu_list_linked(&st->rest))
        nu_list_del(&st->rest);
    st->h2->active--;
    st->h2->begun -= st->h2->client && st->submitted;
    h2_window_forget(st);
    st->h2 = NULL;
    st->held = false;
    free_if_alone(st);
}

void nu_h2_let_go(struct nu_h2_stream *st)
{
    if (st->open && !h2_is_whole(st) && !st->to_reset)
        nu_h2_say_reset(st, NU_H2_CODE_INTERNAL_ERROR);
    st->user = NULL;
    st->taken_by_user = false;
    free_if_alone(st);
}

void h2_stream_tell(struct nu_h2_stream *st, uint8_t news)
{
    st->news |= news;
    if (!nu_list_linked(&st->news_link))
        nu_list_add_tail(&st->h2->news, &st->news_link);
}

static void tell(const struct nu_h2 *h2, struct nu_h2_stream *st)
{
    const struct nu_h2_handler *handler = h2->handler;
    void *ctx = h2->ctx;
    uint8_t news = st->news;
    st->news = 0;
    if (news & H2_NEWS_SENT && st->user)
        handler->sent(ctx, st);
    if (news & H2_NEWS_CUT && st->user)
        handler->cut(ctx, st);
    if (news & H2_NEWS_ROOM && st->user)
        handler->room(ctx, st);
    if (!st->open)
        h2_stream_release(st);
}

void h2_tell_news(struct nu_h2 *h2)
{
    struct nu_list *node;
    while ((node = nu_list_pop(&h2->news)))
        tell(h2, nu_container(node, struct nu_h2_stream, news_link));
}
