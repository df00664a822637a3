/* TLS: the layer around tls/unseal.h. What it opens goes to a layer within; what stays closed is
 * told with its facts and the reason. */
#include "tools/tap/event.h"

#include "core/assert.h"
#include "tls/unseal.h"
#include "tools/tap/hello_v2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FATAL        2
#define TLS13        0x0304
#define DRAFT        0x7f /* before the number of one of 1.3's */
#define VERSION_MAX  24   /* bytes of its text */
#define CANCELED     90
#define HANDSHAKE    22
#define CLIENT_HELLO 1
#define SERVER_HELLO 2
#define RECORD_HEAD  5

struct tls {
    struct tap_layer layer;
    struct tap_late late; /* linked: both ends have come, keys may */
    struct nu_unseal *unseal;
    struct tap_layer *inner; /* since the first plain byte */
    int64_t first_ns;
    enum nu_flow_end how[2];
    bool ended[2];         /* as the capture has it */
    bool inner_ended[2];   /* as the layer within was told */
    const char *unread[2]; /* why a direction closed; NULL: it did not */
    bool told;
    bool begun;    /* by the client */
    bool old;      /* its hello is in SSL 2's format */
    uint8_t ids;   /* of its secrets, that were told */
    uint8_t *part; /* of such a hello; malloced, of TAP_HELLO_V2_MAX bytes */
    size_t part_len;
};

/* --- facts --- */

/* Its side gave up. From TLS 1.3 on the level says nothing (RFC 8446 6). */
static bool is_fatal(const struct nu_unseal_facts *f, uint16_t alert)
{
    return alert >> 8 == FATAL || (f->version == TLS13 && alert && (alert & 0xff) != CANCELED);
}

/* What the connection's other events are told with, since it may come after its own. */
static void learn(struct tls *t)
{
    struct tap_conn *conn = t->layer.conn;
    const struct nu_unseal_facts *f = nu_unseal_facts(t->unseal);
    for (int dir = 0; dir < 2; dir++) {
        if (!conn->alert && is_fatal(f, f->alert[dir])) {
            conn->alert = (uint8_t)f->alert[dir];
            conn->alert_by = (uint8_t)dir;
            conn->alert_late = t->told;
        }
        if (t->inner)
            conn->unread[dir] = t->unread[dir];
    }
}

/* Why nothing of it is read; of a handshake that was read there was nothing else. */
static const char *reason(const struct nu_unseal_facts *f)
{
    return nu_unseal_reason_str(f->reason == NU_UNSEAL_OPEN ? NU_UNSEAL_NO_DATA : f->reason);
}

/* "TLSv1.3"; drafts and experiments have names and numbers. NULL: none was chosen. */
static const char *version_str(uint16_t version, char text[static VERSION_MAX])
{
    if (version >> 8 == DRAFT)
        snprintf(text, VERSION_MAX, "TLSv1.3-draft%u", version & 0xffu);
    else if (version < 0x0300 || version > TLS13)
        snprintf(text, VERSION_MAX, "0x%04x", (unsigned)version);
    else
        snprintf(text, VERSION_MAX, "%s", nu_tls_version_str(version));
    return version ? text : NULL;
}

static void tell(struct tls *t)
{
    char alert[TAP_ALERT_MAX], version[VERSION_MAX];
    const struct nu_unseal_facts *f = nu_unseal_facts(t->unseal);
    if (t->told)
        return;
    learn(t);
    t->told = true;
    struct tap_tls tls = {
        .conn = t->layer.conn,
        .time_ns = t->first_ns,
        .sni = f->sni,
        .alpn_chosen = f->alpn_chosen,
        .version = version_str(f->version, version),
        .cipher = f->cipher_name,
        .ja3 = t->old ? NULL : f->ja3, /* of TLS's format only */
        .ja4 = t->old ? NULL : f->ja4,
        .subject = f->server_subject,
        .alert = tap_alert_str(t->layer.conn, alert),
        .resumed = f->resumed,
        .decrypted = t->inner != NULL,
        .reason = t->inner ? NULL : reason(f),
    };
    for (; tls.alpns < f->alpn_count && tls.alpns < TAP_ALPN_MAX; tls.alpns++)
        tls.alpn[tls.alpns] = f->alpn[tls.alpns];
    tap_tell_tls(&tls);
}

/* --- what it opens --- */

static struct tap_layer *inner_of(struct tls *t)
{
    if (!t->inner) {
        t->inner = tap_guess_new(t->layer.conn, t->layer.depth + 1,
                                 nu_unseal_facts(t->unseal)->alpn_chosen);
        tell(t);
    }
    return t->inner;
}

static void on_plain(void *ctx, int dir, const uint8_t *bytes, size_t len, int64_t ns)
{
    struct tls *t = ctx;
    if (!t->inner_ended[dir] && len)
        tap_feed(inner_of(t), dir, (struct nu_piece){bytes, len}, ns);
}

static void on_gap(void *ctx, int dir, uint64_t bytes, bool exact, int64_t ns)
{
    struct tls *t = ctx;
    if (!t->inner_ended[dir] && bytes)
        tap_gap(inner_of(t), dir, bytes, ns);
}

static void end_inner(struct tls *t, int dir, enum nu_flow_end how, int64_t ns)
{
    if (t->inner_ended[dir])
        return;
    t->inner_ended[dir] = true;
    if (t->inner)
        tap_end(t->inner, dir, how, ns);
}

static void on_end(void *ctx, int dir, int64_t ns)
{
    struct tls *t = ctx;
    learn(t);
    end_inner(t, dir, t->how[dir], ns);
}

static void on_closed(void *ctx, int dir, enum nu_unseal_reason reason, int64_t ns)
{
    struct tls *t = ctx;
    t->unread[dir] = nu_unseal_reason_str(reason);
    learn(t);
    end_inner(t, dir, NU_FLOW_UNREAD, ns);
}

static const struct nu_unseal_handler handler = {on_plain, on_gap, on_end, on_closed};

/* --- the layer --- */

static void tell_ids(struct tls *t)
{
    for (const uint8_t *id; (id = nu_unseal_id(t->unseal, t->ids)); t->ids++)
        tap_tell_secret_id(t->layer.conn, id);
}

static void drop_part(struct tls *t)
{
    if (t->part)
        tap_hold(t->layer.conn, -TAP_HELLO_V2_MAX);
    free(t->part);
    t->part = NULL;
    t->part_len = 0;
}

/* Gathers a hello of SSL 2, and takes what is its off the front; in `unseal` it is one of TLS. */
static void take_old(struct tls *t, struct nu_piece *bytes, int64_t ns)
{
    struct tap_hello_v2 hello;
    size_t room = TAP_HELLO_V2_MAX - t->part_len, n = bytes->len < room ? bytes->len : room;
    if (!t->part) {
        t->part = malloc(TAP_HELLO_V2_MAX);
        nu_assert(t->part != NULL);
        tap_hold(t->layer.conn, TAP_HELLO_V2_MAX);
    }
    memcpy(t->part + t->part_len, bytes->data, n);
    enum nu_err err = tap_hello_v2((struct nu_piece){t->part, t->part_len + n}, &hello);
    if (err == NU_OK) {
        nu_unseal_feed(t->unseal, 0, hello.record, hello.len, ns);
        n = hello.used - t->part_len;
        t->begun = true;
        drop_part(t);
    } else {
        t->part_len += n;
        t->begun = err != NU_MORE;
    }
    *bytes = (struct nu_piece){bytes->data + n, bytes->len - n};
}

static void tls_feed(struct tap_layer *layer, int dir, struct nu_piece bytes, int64_t ns)
{
    struct tls *t = (struct tls *)layer;
    t->first_ns = t->first_ns ? t->first_ns : ns;
    if (dir == 0 && !t->begun) {
        t->old = t->old || (bytes.len && bytes.data[0] & 0x80);
        if (t->old)
            take_old(t, &bytes, ns);
        else
            t->begun = true;
    }
    nu_unseal_feed(t->unseal, dir, bytes.data, bytes.len, ns);
    tell_ids(t);
}

static void tls_gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
    struct tls *t = (struct tls *)layer;
    enum nu_unseal_reason why = tap_is_cut(layer->conn) ? NU_UNSEAL_SNAP_LENGTH : NU_UNSEAL_GAP;
    t->first_ns = t->first_ns ? t->first_ns : ns;
    t->begun = t->begun || dir == 0;
    nu_unseal_gap(t->unseal, dir, bytes, why, ns);
}

static void be_done(struct tls *t, int64_t ns)
{
    nu_unseal_finish(t->unseal);
    for (int dir = 0; dir < 2; dir++)
        end_inner(t, dir, t->how[dir], ns);
    tell(t);
}

static void on_over(struct tap_late *late, int64_t ns)
{
    be_done(nu_container(late, struct tls, late), ns);
}

/* Keys may still come for a little while, where more of them may come at all. */
static void tls_end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
    struct tls *t = (struct tls *)layer;
    t->how[dir] = how;
    t->ended[dir] = true;
    nu_unseal_end(t->unseal, dir, ns);
    if (!t->ended[!dir])
        return;
    if (nu_unseal_waits(t->unseal) && tap_secrets_may_come(layer->conn))
        nu_list_add_tail(&layer->conn->late, &t->late.node);
    else
        be_done(t, ns);
}

static void tls_shrink(struct tap_layer *layer)
{
    struct tls *t = (struct tls *)layer;
    nu_unseal_finish(t->unseal);
    tap_shrink(t->inner);
}

static void tls_free(struct tap_layer *layer)
{
    struct tls *t = (struct tls *)layer;
    if (nu_list_linked(&t->late.node))
        nu_list_del(&t->late.node);
    nu_unseal_free(t->unseal);
    tap_layer_free(t->inner);
    drop_part(t);
    tap_hold(layer->conn, -(int64_t)sizeof *t);
    free(t);
}

static const struct tap_layer_type tls_type = {
    .name = "tls",
    .feed = tls_feed,
    .gap = tls_gap,
    .end = tls_end,
    .shrink = tls_shrink,
    .free = tls_free,
};

static struct tap_layer *tls_open(struct tap_conn *conn, unsigned depth)
{
    struct tls *t = calloc(1, sizeof *t);
    nu_assert(t != NULL);
    t->layer = (struct tap_layer){.type = &tls_type, .conn = conn, .depth = depth};
    t->late.over = on_over;
    t->unseal = nu_unseal_new(tap_unseals(conn), &handler, t);
    conn->tls = true;
    tap_hold(conn, sizeof *t);
    return &t->layer;
}

/* --- recognition --- */

static enum tap_found found_of(enum nu_err err)
{
    return err == NU_OK ? TAP_YES : err == NU_MORE ? TAP_MORE : TAP_NO;
}

/* A hello of that side. */
static bool is_hello(struct nu_piece first, uint8_t type)
{
    return first.len > RECORD_HEAD && first.data[0] == HANDSHAKE && first.data[RECORD_HEAD] == type;
}

/* By the first side that has spoken: a client as a rule, in the middle of a connection either. */
static enum tap_found tls_find(const struct tap_start *start)
{
    const struct nu_piece *first = start->first;
    int dir = first[0].len ? 0 : 1;
    enum nu_err looks = nu_unseal_looks(first[dir].data, first[dir].len);
    struct tap_hello_v2 old;
    if (looks == NU_NOT_THIS && dir == 0 && start->whole[0])
        looks = tap_hello_v2(first[0], &old);
    enum tap_found found = found_of(looks);
    bool turned = is_hello(first[0], SERVER_HELLO) || is_hello(first[1], CLIENT_HELLO);
    return found == TAP_YES && turned && start->may_turn ? TAP_TURNED : found;
}

const struct tap_recognizer tap_is_tls = {tls_find, tls_open};
