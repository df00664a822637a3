/* The PROXY header, version 1 or 2, of an accepted connection. Internal: a listener's
 * `proxy_protocol` key puts it there.
 *
 * Faces: bytes. Sees: DATA and END from the client, until the header is read. Stores: the header's
 * bytes, at most NU_PROXY_MAX_BYTES, twice. END: without a header, `require` ends the connection,
 * `optional` hands it on. Holds: never, the reader's caps end it, and the timer of sniff_timeout.
 * `close` frees the reader. */
#include "l4/filters/proxy_protocol_in.h"

#include "core/assert.h"
#include "l4/listener.h"
#include "l4/pre.h"
#include "protocols/proxy_protocol.h"

#include <stdlib.h>

/* Exists until the header is read. */
struct reading {
    const struct nu_pre_conf *conf;
    struct nu_proxy_reader reader;
    struct nu_kept kept;
};

struct proxy_in {
    struct nu_filter filter;
    struct reading *now; /* NULL afterwards */
};

static struct reading *now_of(struct nu_filter *f)
{
    return ((struct proxy_in *)f)->now;
}

static void count(struct nu_filter *f, enum nu_listener_stat stat)
{
    nu_stat_add(now_of(f)->conf->stats, nu_filter_loop(f)->shard, stat, 1);
}

static void end_reading(struct reading *r)
{
    nu_proxy_reader_free(&r->reader);
    nu_kept_drop(&r->kept);
    free(r);
}

/* The next step is there, or the chain fails. What was kept goes on, and all that follows. */
static bool go_on(struct nu_filter *f)
{
    struct reading *r = now_of(f);
    nu_timer_stop(f, 0);
    if (!r->conf->next(f, NULL)) {
        count(f, NU_LISTENER_NO_FILTER_CHAIN_MATCH);
        nu_fail(f, NU_CAUSE_NO_CHAIN, NU_SIDE_LOCAL, "%s", "");
        return false;
    }
    ((struct proxy_in *)f)->now = NULL; /* its conf may be gone from here on */
    nu_kept_forward(&r->kept, f);
    end_reading(r);
    nu_bypass(f);
    return true;
}

/* The header's word replaces the socket's, which stays known as `direct`. LOCAL and UNKNOWN say
 * nothing (2.1, 2.2). */
static void learn(struct nu_filter *f, struct nu_proxy_header *header)
{
    struct nu_facts *facts = nu_chain_facts(f->chain);
    struct nu_facts_more *more = nu_chain_facts_more(f->chain);
    nu_proxy_keep(header, nu_chain_arena(f->chain));
    more->proxy_tlvs = header->tlvs.data;
    more->proxy_tlv_len = header->tlvs.len;
    if (header->src.kind == NU_ADDR_NONE)
        return;
    more->direct = facts->client;
    more->direct_local = facts->local;
    facts->client = header->src;
    facts->local = header->dst;
}

/* Whole: what it took is cut off; the rest of this chunk is the stream's. */
static void found(struct nu_filter *f, struct nu_ev *ev)
{
    struct reading *r = now_of(f);
    size_t before = nu_kept_len(&r->kept), here = r->reader.header.bytes - before;
    nu_assert(r->reader.header.bytes > before && here <= ev->u.data.len);
    count(f, NU_LISTENER_PROXY_FOUND);
    learn(f, &r->reader.header);
    nu_kept_drop(&r->kept);
    struct nu_slice header = nu_slice_split(&ev->u.data, here);
    bool on = go_on(f);
    nu_slice_drop(&header);
    if (on && ev->u.data.len)
        nu_forward(f, NU_FWD, ev);
    else
        nu_ev_free(ev);
}

/* No header came: true if the connection may go on without. */
static bool not_found(struct nu_filter *f, enum nu_cause cause, const char *why)
{
    count(f, NU_LISTENER_PROXY_NOT_FOUND);
    if (now_of(f)->conf->proxy == NU_PROXY_OPTIONAL)
        return go_on(f);
    nu_fail(f, cause, NU_SIDE_CLIENT, "%s", why);
    return false;
}

static void bad(struct nu_filter *f)
{
    count(f, NU_LISTENER_PROXY_BAD);
    nu_fail(f, NU_CAUSE_BAD_PROXY, NU_SIDE_CLIENT, "%s", now_of(f)->reader.header.reason);
}

static void on_data(struct nu_filter *f, struct nu_ev *ev)
{
    struct reading *r = now_of(f);
    enum nu_err answer = nu_proxy_reader_feed(&r->reader, ev->u.data.data, ev->u.data.len);
    if (answer == NU_OK) {
        found(f, ev);
        return;
    }
    if (answer == NU_NOT_THIS && not_found(f, NU_CAUSE_BAD_PROXY, "no PROXY header")) {
        nu_forward(f, NU_FWD, ev);
        return;
    }
    if (answer == NU_MORE)
        nu_kept_add(&r->kept, nu_filter_loop(f)->blocks, &ev->u.data);
    else if (answer != NU_NOT_THIS)
        bad(f);
    nu_ev_free(ev);
}

static void on_end(struct nu_filter *f, const struct nu_ev *ev)
{
    enum nu_cause cause = ev->u.end.cause ? ev->u.end.cause : NU_CAUSE_CLIENT_FIN;
    if (ev->u.end.how == NU_CLEAN && nu_kept_len(&now_of(f)->kept))
        cause = NU_CAUSE_BAD_PROXY; /* in the middle of a header */
    if (ev->u.end.how != NU_CLEAN)
        nu_fail(f, cause, ev->u.end.side, "%s", "");
    else if (not_found(f, cause, "closed before the PROXY header was whole"))
        nu_forward_end(f, NU_FWD, ev->u.end);
}

static void on_timeout(struct nu_filter *f)
{
    count(f, NU_LISTENER_PRE_CX_TIMEOUT);
    not_found(f, NU_CAUSE_PROXY_TIMEOUT, "");
}

static enum nu_open proxy_open(struct nu_filter *f, const void *conf)
{
    struct reading *r = calloc(1, sizeof *r);
    nu_assert(r != NULL);
    r->conf = conf;
    nu_proxy_reader_init(&r->reader);
    ((struct proxy_in *)f)->now = r;
    if (r->conf->timeout_ms)
        nu_timer_set(f, 0, r->conf->timeout_ms, on_timeout);
    return NU_OPEN;
}

static void proxy_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_END)
        on_end(f, ev);
    else
        on_data(f, ev);
}

static void proxy_close(struct nu_filter *f)
{
    if (now_of(f))
        end_reading(now_of(f));
}

const struct nu_filter_type nu_filter_proxy_in = {
    .name = "proxy_protocol",
    .doc = "Reads the PROXY header of an accepted connection.",
    .size = sizeof(struct proxy_in),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), 0},
    .open = proxy_open,
    .event = proxy_event,
    .close = proxy_close,
};
