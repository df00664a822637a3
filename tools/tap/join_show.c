/* What lines show of tied exchanges; see line_priv.h. */
#include "tools/tap/line_priv.h"

#include <string.h>
#include <strings.h>

static bool same(struct nu_text a, struct nu_text b)
{
    return a.len == b.len && (!a.len || memcmp(a.at, b.at, a.len) == 0);
}

static const struct tap_exchange *back_of(const struct tap_exchange *x)
{
    return x->tie ? x->tie->back : NULL;
}

/* "  => #2.2 h1 10.0.0.2:8080 http://origin/api/x  ttfb 2.0ms total 2.1ms  proxy 0.3ms" */
static void put_back(struct tap_out *out, const struct tap_exchange *x,
                     const struct tap_exchange *back)
{
    int64_t proxy = tap_proxy_ns(x, back);
    tap_put(out, "  => #");
    tap_put_u64(out, back->conn->flow->number);
    tap_put_char(out, '.');
    tap_put_u64(out, back->number);
    tap_put_char(out, ' ');
    tap_put(out, tap_proto_str(back->proto));
    tap_put_char(out, ' ');
    nu_logbuf_addr(&out->buf, nu_flow_from(back->conn->flow, 1), true);
    if (x->tls != back->tls || !same(x->host, back->host) || !same(x->target, back->target)) {
        tap_put_char(out, ' ');
        line_put_url(out, back);
    }
    if (x->status != back->status) {
        tap_put(out, " -> ");
        line_put_status(out, back);
    }
    line_put_times(out, back);
    line_put_note(out, &back->note);
    if (proxy < 0)
        return;
    tap_put(out, "  proxy ");
    tap_put_color(out, TAP_BOLD);
    tap_put_duration(out, proxy);
    tap_put_color(out, TAP_PLAIN);
}

void line_put_backs(struct tap_out *out, const struct tap_exchange *x)
{
    for (const struct tap_exchange *back; (back = back_of(x)); x = back)
        put_back(out, x, back);
}

/* --- what was changed --- */

static bool is_name(struct nu_text name, const struct nu_http_field *f)
{
    return name.len == f->name_len && strncasecmp(name.at, f->name, name.len) == 0;
}

/* In HTTP/2 the host is no field. */
static bool has_field(const struct nu_http_head *head, const struct nu_http_field *what)
{
    const struct nu_http_field *f = NULL;
    struct nu_text name = nu_text(what->name, what->name_len), value = nu_http_field_value(what);
    if (what->id == NU_HDR_HOST && same(head->authority, value))
        return true;
    while ((f = nu_http_each(head, f)))
        if (is_name(name, f) && same(nu_http_field_value(f), value))
            return true;
    return false;
}

/* Those that `than` has not. */
static void put_more(struct tap_out *out, const char *margin, const struct nu_http_head *head,
                     const struct nu_http_head *than)
{
    const struct nu_http_field *f = NULL;
    while ((f = nu_http_each(head, f))) {
        struct nu_text name = nu_text(f->name, f->name_len);
        if (has_field(than, f))
            continue;
        tap_put(out, margin);
        tap_put_safe(out, name, 0);
        tap_put(out, ": ");
        tap_put_value(out, name, nu_http_field_value(f));
        tap_put_char(out, '\n');
    }
}

static void put_changes(struct tap_out *out, enum tap_color color, const char *margin,
                        const struct nu_http_head *head, const struct nu_http_head *than)
{
    if (!head || !than)
        return;
    tap_put_color(out, color);
    put_more(out, margin, head, than);
    tap_put_color(out, TAP_PLAIN);
}

/* The request on its way there, then the response on its way back. */
void line_put_changes(struct tap_out *out, const struct tap_exchange *x)
{
    for (const struct tap_exchange *back; (back = back_of(x)); x = back) {
        const struct tap_message *f = x->message, *b = back->message;
        put_changes(out, TAP_BAD, "    -> ", f[0].head, b[0].head);
        put_changes(out, TAP_GOOD, "    +> ", b[0].head, f[0].head);
        put_changes(out, TAP_BAD, "    -< ", b[1].head, f[1].head);
        put_changes(out, TAP_GOOD, "    +< ", f[1].head, b[1].head);
    }
}
