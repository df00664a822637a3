/* What a replay gathers, and what it says in the end; see replay.h. */
#include "tools/tap/replay.h"

#include "core/assert.h"
#include "tools/tap/replay_parts.h"
#include "tools/tap/text.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S      INT64_C(1000000000)
#define URL_HOST_MAX  256
#define LANES         4096 /* buckets of connections whose last request is known */
#define SHOWN_MAX     200  /* bytes of a URL */
#define ARENA_FIRST   1024
#define ITEMS_FIRST   256
#define PACE_MOST     1e6
#define TRY_SECONDS   5 /* that one of them may take to accept a connection */
#define ADDRESSES_MAX 8 /* that are tried of a host */

struct tap_replay {
    struct tap_replay_conf conf;
    struct replay_target target;
    char host[URL_HOST_MAX]; /* as the URL has it, for requests without one */
    struct replay_item **items;
    size_t count, room;
    size_t memory;
    struct replay_item *lane[LANES];
    uint64_t skipped[SKIPS];
    uint64_t answered, failed, same, status_differs, body_differs, not_compared;
};

const char *replay_skip_str(enum replay_skip why)
{
    static const char *const text[] = {"",
                                       "not captured whole",
                                       "CONNECT or an upgrade",
                                       "gRPC",
                                       "a long body",
                                       "no room for it (--max-memory)",
                                       "cannot be said in HTTP/1.1"};
    return (unsigned)why < SKIPS ? text[why] : "?";
}

bool tap_pace_read(const char *text, struct tap_pace *out)
{
    char *end = NULL;
    *out = (struct tap_pace){0};
    if (strcmp(text, "max") == 0)
        return true;
    double n = *text >= '0' && *text <= '9' ? strtod(text, &end) : 0;
    if (!end || !(n > 0) || n > PACE_MOST)
        return false;
    if (strcmp(end, "x") == 0)
        out->times = n;
    else if (strcmp(end, "/s") == 0)
        out->per_ns = n / (double)NS_PER_S;
    else
        return false;
    return true;
}

/* --- where to --- */

static bool complain(const char *url, const char *why)
{
    fprintf(stderr, "nuncio-tap: %s: %s\n", url, why);
    return false;
}

/* "http://HOST[:PORT]" and an empty path. */
static bool split(struct tap_replay *r, char name[static URL_HOST_MAX], char port[static 8])
{
    static const char scheme[] = "http://";
    const char *url = r->conf.url, *at = url + sizeof scheme - 1;
    if (strncmp(url, "https:", 6) == 0)
        return complain(url, "only http:// is spoken here; for https, replay to nuncio:\n"
                             "nuncio run --from 127.0.0.1:8080 --to https://...");
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return complain(url, "is no http://HOST[:PORT]");
    size_t len = strcspn(at, "/");
    const char *colon = memrchr(at, ':', len), *bracket = memrchr(at, ']', len);
    colon = colon && bracket && colon < bracket ? NULL : colon;
    size_t host = colon ? (size_t)(colon - at) : len, digits = colon ? len - host - 1 : 0;
    bool fine = host && len < URL_HOST_MAX && (at[len] == 0 || at[len + 1] == 0) && digits < 6 &&
                (!colon || (digits && strspn(colon + 1, "0123456789") >= digits)) &&
                !memchr(at, '@', len);
    if (!fine)
        return complain(url, "is no http://HOST[:PORT]");
    snprintf(r->host, sizeof r->host, "%.*s", (int)len, at);
    snprintf(port, 8, "%.*s", digits ? (int)digits : 2, digits ? colon + 1 : "80");
    if (*at == '[' && at[host - 1] == ']')
        snprintf(name, URL_HOST_MAX, "%.*s", (int)host - 2, at + 1);
    else
        snprintf(name, URL_HOST_MAX, "%.*s", (int)host, at);
    return true;
}

/* One that listens: what is wrong is told before a long capture is read. */
static bool try_one(struct tap_replay *r, const struct addrinfo *info)
{
    static const struct timeval patience = {.tv_sec = TRY_SECONDS};
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    bool fine = fd >= 0 && connect(fd, info->ai_addr, info->ai_addrlen) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    memcpy(&r->target.addr, info->ai_addr, info->ai_addrlen);
    r->target.addr_len = info->ai_addrlen;
    return fine;
}

static bool find_target(struct tap_replay *r)
{
    char name[URL_HOST_MAX], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (!split(r, name, port))
        return false;
    int code = getaddrinfo(name, port, &hints, &list);
    if (code)
        return complain(r->conf.url, gai_strerror(code));
    bool fine = false;
    unsigned tried = 0;
    for (const struct addrinfo *i = list; i && !fine && tried < ADDRESSES_MAX; i = i->ai_next)
        fine = ++tried && try_one(r, i);
    int error = errno == EINPROGRESS ? ETIMEDOUT : errno;
    freeaddrinfo(list);
    return fine || complain(r->conf.url, strerror(error));
}

struct tap_replay *replay_new(const struct tap_replay_conf *conf)
{
    struct tap_replay *r = calloc(1, sizeof *r);
    nu_assert(r != NULL);
    r->conf = *conf;
    return r;
}

const struct replay_item *replay_item_at(const struct tap_replay *r, size_t i)
{
    return i < r->count ? r->items[i] : NULL;
}

struct tap_replay *tap_replay_open(const struct tap_replay_conf *conf)
{
    struct tap_replay *r = replay_new(conf);
    if (find_target(r))
        return r;
    tap_replay_free(r);
    return NULL;
}

static void free_item(struct replay_item *item)
{
    nu_arena_free(item->arena);
    free(item->body);
    free(item->answer);
    free(item);
}

void tap_replay_free(struct tap_replay *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        free_item(r->items[i]);
    free(r->items);
    free(r);
}

/* --- gathering --- */

static struct nu_text keep_text(struct replay_item *item, struct nu_text text)
{
    const char *copy = text.len ? nu_arena_strndup(item->arena, text.at, text.len) : "";
    return nu_text(copy, text.len);
}

/* Those for one connection are dropped; the body is sent decoded, and with its length. */
static bool is_dropped(const struct nu_http_field *f, bool decoded)
{
    bool framing = (nu_hdr_flags(f->id) & (NU_HDR_HOP | NU_HDR_FRAMING)) != 0;
    return framing || f->flags & NU_HTTP_FIELD_HOP || f->id == NU_HDR_HOST ||
           f->id == NU_HDR_EXPECT || (decoded && f->id == NU_HDR_CONTENT_ENCODING);
}

/* HTTP/2 has a cookie a field, HTTP/1 all in one (RFC 9113 8.2.3). */
static bool add_cookies(struct replay_item *item, const struct nu_http_head *from)
{
    const struct nu_http_field *f = nu_http_get(from, NU_HDR_COOKIE);
    struct nu_text all = f ? nu_http_field_value(f) : nu_text("", 0);
    if (!f)
        return true;
    while ((f = nu_http_next(from, f))) {
        const char *both = nu_arena_printf(item->arena, "%.*s; %.*s", (int)all.len, all.at,
                                           (int)f->value_len, f->value);
        all = nu_text(both, strlen(both));
    }
    return nu_http_add_known(item->head, NU_HDR_COOKIE, all) == NU_OK;
}

static bool copy_fields(struct replay_item *item, const struct nu_http_head *from, bool decoded)
{
    const struct nu_http_field *f = NULL;
    while ((f = nu_http_each(from, f))) {
        if (is_dropped(f, decoded) || f->id == NU_HDR_COOKIE)
            continue;
        if (nu_http_add(item->head, nu_text(f->name, f->name_len), nu_http_field_value(f)))
            return false;
    }
    return add_cookies(item, from);
}

static bool copy_head(struct tap_replay *r, struct replay_item *item, const struct tap_exchange *x)
{
    const struct tap_message *m = &x->message[0];
    const struct nu_http_head *from = m->head;
    item->arena = nu_arena_new(ARENA_FIRST);
    struct nu_http_head *head = item->head = nu_http_head_new(item->arena);
    head->method = keep_text(item, from->method);
    head->method_id = (uint8_t)nu_method_find(head->method.at, head->method.len);
    head->path = keep_text(item, from->path);
    head->target = head->path;
    head->authority = keep_text(item, from->authority);
    if (!head->authority.len)
        head->authority = nu_text(r->host, strlen(r->host));
    head->version = NU_HTTP_1_1;
    head->has_length = from->has_length || m->kept_len;
    head->content_length = m->kept_len;
    head->body = m->kept_len ? NU_BODY_LENGTH : NU_BODY_NONE;
    return copy_fields(item, from, m->coding.len && m->body != m->body_wire);
}

static enum replay_skip why_not(const struct tap_exchange *x)
{
    const struct tap_message *m = &x->message[0];
    const struct nu_http_head *head = m->head;
    if (!head)
        return SKIP_CUT;
    if (nu_text_is(head->method, "CONNECT") || head->upgrade.len || head->protocol.len)
        return SKIP_TUNNEL;
    if (x->proto == TAP_GRPC)
        return SKIP_GRPC;
    if (!m->complete || m->unknown)
        return SKIP_CUT;
    return m->kept_len < m->body ? SKIP_LONG : SKIP_NONE;
}

static uint8_t *keep_bytes(const uint8_t *at, size_t len)
{
    uint8_t *copy = len ? malloc(len) : NULL;
    nu_assert(copy || !len);
    if (len)
        memcpy(copy, at, len);
    return copy;
}

static void keep_answer(struct replay_item *item, const struct tap_exchange *x)
{
    const struct tap_message *m = &x->message[1];
    item->status = x->status;
    item->whole = m->complete;
    item->size = m->body;
    item->answer = keep_bytes(m->kept, m->kept_len);
    item->answer_len = m->kept_len;
    item->total_ns = tap_total_ns(x);
}

static void add(struct tap_replay *r, struct replay_item *item)
{
    if (r->count == r->room) {
        r->room = r->room ? 2 * r->room : ITEMS_FIRST;
        r->items = realloc(r->items, r->room * sizeof(struct replay_item *));
        nu_assert(r->items != NULL);
    }
    r->items[r->count++] = item;
}

static enum replay_skip gather(struct tap_replay *r, const struct tap_exchange *x)
{
    const struct tap_message *m = x->message;
    enum replay_skip why = why_not(x);
    if (why)
        return why;
    if (r->memory + m[0].kept_len + m[1].kept_len > r->conf.memory_max)
        return SKIP_MEMORY;
    struct replay_item *item = calloc(1, sizeof *item);
    nu_assert(item != NULL);
    item->id = (struct tap_id){x->conn->flow->number, x->number};
    item->at_ns = m[0].first_ns;
    item->tls = x->tls;
    if (!copy_head(r, item, x)) {
        free_item(item);
        return SKIP_INVALID;
    }
    item->body = keep_bytes(m[0].kept, m[0].kept_len);
    item->body_len = m[0].kept_len;
    keep_answer(item, x);
    if (x->proto == TAP_H1) { /* its requests wait for answers, HTTP/2's do not */
        struct replay_item **lane = &r->lane[item->id.flow % LANES];
        item->before = *lane && (*lane)->id.flow == item->id.flow ? *lane : NULL;
        *lane = item;
    }
    r->memory += sizeof *item + nu_arena_bytes(item->arena) + item->body_len + item->answer_len;
    add(r, item);
    return SKIP_NONE;
}

static void replay_exchange(void *ctx, const struct tap_exchange *x)
{
    struct tap_replay *r = ctx;
    r->skipped[gather(r, x)]++;
}

const struct tap_sink tap_replay_sink = {.exchange = replay_exchange};

/* --- what came of it --- */

static bool differs(const struct replay_item *item)
{
    return item->now_status != item->status || (item->whole && !item->same_body);
}

static void put_item(struct tap_out *o, const struct replay_item *item)
{
    const struct nu_http_head *head = item->head;
    char id[48];
    snprintf(id, sizeof id, "#%" PRIu64 ".%" PRIu64 " ", item->id.flow, item->id.number);
    tap_put(o, id);
    tap_put_safe(o, head->method, SHOWN_MAX);
    tap_put(o, item->tls ? " https://" : " http://");
    tap_put_safe(o, tap_masked_host(o, head->authority), SHOWN_MAX);
    tap_put_safe(o, tap_masked_target(o, head->path), SHOWN_MAX);
}

static void put_answer(struct tap_out *o, unsigned status, uint64_t size, int64_t ns)
{
    if (!status) {
        tap_put(o, "no answer");
        return;
    }
    tap_put_u64(o, status);
    tap_put_char(o, ' ');
    tap_put_size(o, size);
    if (ns >= 0) {
        tap_put(o, " in ");
        tap_put_duration(o, ns);
    }
}

/* Some of a body from where it differs, made safe. */
static void put_excerpt(struct tap_out *o, const uint8_t *body, size_t len, uint64_t at)
{
    size_t from = at < len ? (size_t)at : len,
           n = len - from < REPLAY_EXCERPT ? len - from : REPLAY_EXCERPT;
    tap_put(o, " \"");
    if (n)
        tap_put_safe(o, nu_text((const char *)body + from, n), 0);
    tap_put_char(o, '"');
}

static void put_difference(struct tap_out *o, const struct replay_item *item)
{
    char text[64];
    if (item->now_status != item->status)
        tap_put(o, "  !another status");
    if (!item->whole || item->same_body)
        return;
    tap_put(o, "  !another body, from byte ");
    snprintf(text, sizeof text, "%" PRIu64 " on: was", item->differs_at);
    tap_put(o, text);
    put_excerpt(o, item->answer, item->answer_len, item->differs_at);
    tap_put(o, ", now");
    put_excerpt(o, item->now, item->now_len, 0);
}

static void tell(void *ctx, struct replay_item *item)
{
    struct tap_replay *r = ctx;
    struct tap_out *o = r->conf.out;
    bool compared = item->status && !item->error, other = compared && differs(item);
    r->answered += !item->error;
    r->failed += item->error != NULL;
    r->not_compared += !item->error && !item->status;
    r->same += compared && !other;
    r->status_differs += other && item->now_status != item->status;
    r->body_differs += other && item->whole && !item->same_body;
    if (r->conf.diff && !other && !item->error)
        return;
    put_item(o, item);
    tap_put(o, "  was ");
    put_answer(o, item->status, item->size, item->total_ns);
    tap_put(o, ", now ");
    put_answer(o, item->error ? 0 : item->now_status, item->now_size, item->now_ns);
    if (item->error) {
        tap_put(o, "  !");
        tap_put_safe(o, nu_text(item->error, strlen(item->error)), 0);
    } else if (other) {
        put_difference(o, item);
    }
    tap_put_char(o, '\n');
    tap_out_flush(o);
}

static void put_count(struct tap_out *o, const char *before, uint64_t n, const char *what)
{
    tap_put(o, before);
    tap_put_u64(o, n);
    tap_put(o, what);
}

static void put_skipped(const struct tap_replay *r, struct tap_out *o)
{
    const char *before = "; not sent: ";
    for (unsigned why = SKIP_NONE + 1; why < SKIPS; why++) {
        if (!r->skipped[why])
            continue;
        put_count(o, before, r->skipped[why], " (");
        tap_put(o, replay_skip_str((enum replay_skip)why));
        tap_put_char(o, ')');
        before = ", ";
    }
}

static void put_summary(struct tap_replay *r, int64_t ns)
{
    struct tap_out *o = r->conf.out;
    put_count(o, "", r->count, r->count == 1 ? " request" : " requests");
    tap_put(o, " to ");
    tap_put_safe(o, nu_text(r->conf.url, strlen(r->conf.url)), 0);
    tap_put(o, " in ");
    tap_put_duration(o, ns);
    put_count(o, ": ", r->answered, " answered");
    put_count(o, ", ", r->same, " as recorded");
    if (r->status_differs)
        put_count(o, ", ", r->status_differs, " with another status");
    if (r->body_differs)
        put_count(o, ", ", r->body_differs, " with another body");
    if (r->not_compared)
        put_count(o, ", ", r->not_compared, " without an answer in the capture");
    if (r->count > r->answered)
        put_count(o, ", ", r->count - r->answered, " not answered");
    put_skipped(r, o);
    tap_put_char(o, '\n');
    tap_out_flush(o);
}

static int by_time(const void *left, const void *right)
{
    const struct replay_item *a = *(struct replay_item *const *)left;
    const struct replay_item *b = *(struct replay_item *const *)right;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    if (a->id.flow != b->id.flow)
        return a->id.flow < b->id.flow ? -1 : 1;
    return a->id.number < b->id.number ? -1 : a->id.number > b->id.number;
}

bool tap_replay_run(struct tap_replay *r, struct tap *tap, const volatile sig_atomic_t *stop)
{
    int64_t begun = replay_now_ns();
    struct replay_conns *conns = replay_conns_new(&r->target, tap);
    if (r->count)
        qsort(r->items, r->count, sizeof(struct replay_item *), by_time);
    replay_run(r->items, r->count, &r->conf.pace, conns, stop, tell, r);
    replay_conns_free(conns);
    put_summary(r, replay_now_ns() - begun);
    bool all = r->answered == r->count;
    return all && (!r->conf.diff || !(r->status_differs + r->body_differs));
}
