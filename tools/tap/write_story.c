/* Lines of write_story.h. */
#include "tools/tap/write_story.h"

#include "core/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 300 /* bytes of one text of a peer */

static void put_id(struct tap_out *o, const struct tap_conn *conn, uint64_t number)
{
    tap_put_char(o, '#');
    tap_put_u64(o, conn->flow->number);
    if (number)
        tap_put_char(o, '.');
    if (number)
        tap_put_u64(o, number);
    tap_put_char(o, ' ');
}

static void put_addr(struct tap_out *o, const struct nu_addr *addr)
{
    char text[NU_ADDR_TEXT_MAX];
    tap_put(o, nu_addr_str(addr, text));
}

static void put_text(struct tap_out *o, struct nu_text text)
{
    if (text.len)
        tap_put_safe(o, text, TEXT_MAX);
}

/* --- a line each --- */

static void put_exchange(struct tap_out *o, const struct tap_exchange *x)
{
    bool path = x->target.len && *x->target.at == '/';
    int64_t ttfb = tap_ttfb_ns(x), total = tap_total_ns(x);
    put_id(o, x->conn, x->number);
    tap_put(o, tap_proto_str(x->proto));
    tap_put_char(o, ' ');
    put_text(o, x->method);
    tap_put(o, !path ? " " : x->tls ? " https://" : " http://");
    if (path)
        put_text(o, tap_masked_host(o, x->host));
    put_text(o, tap_masked_target(o, x->target));
    tap_put(o, " -> ");
    if (x->status)
        tap_put_u64(o, x->status);
    tap_put(o, x->status ? " " : "no response ");
    tap_put_size(o, x->message[1].body_wire);
    tap_put(o, ttfb >= 0 ? " ttfb " : "");
    if (ttfb >= 0)
        tap_put_duration(o, ttfb);
    tap_put(o, total >= 0 ? " total " : "");
    if (total >= 0)
        tap_put_duration(o, total);
    tap_put(o, *x->note.text ? "  !" : "");
    tap_put_safe(o, nu_text(x->note.text, strlen(x->note.text)), 0);
}

static void put_named(struct tap_out *o, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    tap_put(o, name);
    tap_put_safe(o, nu_text(value, strlen(value)), TEXT_MAX);
}

static void put_tls(struct tap_out *o, const struct tap_tls *tls)
{
    put_id(o, tls->conn, 0);
    tap_put(o, "tls");
    put_named(o, " sni=", tls->sni);
    put_named(o, " ", tls->version);
    put_named(o, " alpn=", tls->alpn_chosen);
    put_named(o, " ja4=", tls->ja4);
    put_named(o, " alert by the ", tls->alert);
    put_named(o, " not read: ", tls->decrypted ? NULL : tls->reason);
}

static void put_ws(struct tap_out *o, const struct tap_ws *m)
{
    put_id(o, m->conn, m->number);
    tap_put(o, m->dir ? "ws <- " : "ws -> ");
    tap_put_size(o, m->len);
    tap_put(o, *m->note.text ? "  !" : "");
    tap_put_safe(o, nu_text(m->note.text, strlen(m->note.text)), 0);
}

static void put_proxy(struct tap_out *o, const struct tap_proxy *p)
{
    put_id(o, p->conn, 0);
    tap_put(o, p->version == 2 ? "PROXY v2 " : "PROXY v1 ");
    if (p->local) {
        tap_put(o, "local");
        return;
    }
    put_addr(o, &p->source);
    tap_put(o, " -> ");
    put_addr(o, &p->destination);
}

/* --- the story --- */

static void end_with(struct tap_story *s, const struct tap_conn *conn, struct tap_out *o)
{
    const struct nu_flow *flow = conn->flow;
    bool reset = flow->ended[0] == NU_FLOW_RST || flow->ended[1] == NU_FLOW_RST;
    bool open = !flow->ended[0] || !flow->ended[1];
    nu_logbuf_reset(&o->buf);
    tap_put_size(o, conn->bytes[0]);
    tap_put(o, " up, ");
    tap_put_size(o, conn->bytes[1]);
    tap_put(o, " down");
    tap_put(o, reset ? ", reset" : open ? ", still open" : "");
    if (conn->missing[0] || conn->missing[1]) {
        tap_put(o, ", not captured: ");
        tap_put_size(o, conn->missing[0] + conn->missing[1]);
    }
    size_t len = o->buf.len < sizeof s->end - 1 ? o->buf.len : sizeof s->end - 1;
    memcpy(s->end, o->buf.data, len);
    s->end[len] = 0;
    s->over = true;
}

static void put_record(struct tap_out *o, const struct tap_record *r)
{
    if (r->exchange)
        put_exchange(o, r->exchange);
    else if (r->tls)
        put_tls(o, r->tls);
    else if (r->ws)
        put_ws(o, r->ws);
    else
        put_proxy(o, r->proxy);
}

/* Who talks with whom comes first. */
static void put_front(const struct tap_conn *conn, struct tap_out *o)
{
    put_id(o, conn, 0);
    put_addr(o, nu_flow_from(conn->flow, 0));
    tap_put(o, " -> ");
    put_addr(o, nu_flow_from(conn->flow, 1));
}

size_t tap_story_add(struct tap_story *s, const struct tap_record *r, struct tap_out *o)
{
    size_t before = s->len;
    nu_logbuf_reset(&o->buf);
    if (!s->lines)
        put_front(r->conn, o);
    if (!r->is_conn && s->lines < TAP_STORY_LINES) {
        tap_put(o, s->lines ? "" : "\n");
        put_record(o, r);
    } else if (!r->is_conn) {
        s->more++;
    }
    if (o->buf.len && s->len + o->buf.len < TAP_STORY_MAX) {
        s->text = realloc(s->text, s->len + o->buf.len + 1);
        nu_assert(s->text != NULL);
        memcpy(s->text + s->len, o->buf.data, o->buf.len);
        s->len += o->buf.len;
        s->text[s->len++] = '\n';
        s->lines++;
    } else if (o->buf.len) {
        s->more++;
    }
    if (r->is_conn)
        end_with(s, r->conn, o);
    return s->len - before;
}

void tap_story_compose(const struct tap_story *s, struct tap_out *o)
{
    nu_logbuf_reset(&o->buf);
    if (!s->len)
        return;
    tap_put(o, "");
    nu_logbuf_add(&o->buf, s->text, s->len - 1);
    if (s->more) {
        tap_put(o, "\nand more: ");
        tap_put_u64(o, s->more);
    }
    if (s->over)
        tap_put_char(o, '\n');
    tap_put(o, s->end);
}

void tap_story_free(struct tap_story *s)
{
    free(s->text);
    *s = (struct tap_story){0};
}
