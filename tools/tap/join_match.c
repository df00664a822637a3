/* Pairs and their evidence; see join_match.h. Why each of them: docs/internals/tap-join.md. */
#include "tools/tap/join_match.h"

#include <string.h>
#include <strings.h>

static bool same(struct nu_text a, struct nu_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static struct nu_text value_of(const struct join_face *f, int dir, enum nu_hdr id)
{
    const struct nu_http_head *head = f->x->message[dir].head;
    return head ? nu_http_value(head, id) : nu_text("", 0);
}

/* --- what must agree --- */

/* The proxy asks no sooner than it was asked, and answers no sooner than it was answered. */
static bool is_within(const struct join_face *front, const struct join_face *back)
{
    const struct tap_message *f = front->x->message, *b = back->x->message;
    if (!f[0].first_ns || !b[0].first_ns || b[0].first_ns < f[0].first_ns)
        return false;
    if (f[1].first_ns && (b[0].first_ns > f[1].first_ns || b[1].first_ns > f[1].first_ns))
        return false;
    if (!front->open && b[0].first_ns > front->end_ns)
        return false;
    bool whole = !front->open && f[1].complete && b[1].complete;
    return !whole || b[1].last_ns <= f[1].last_ns;
}

/* One that was not answered may have been given up, and the client told something else. */
static bool agrees_status(const struct join_face *front, const struct join_face *back, bool *loose)
{
    unsigned f = front->x->status, b = back->x->status;
    *loose = !front->open && (!f || !b);
    if (f == b || *loose || (front->open && !f))
        return true;
    return front->ws && back->ws && (f == 101 || f == 200) && (b == 101 || b == 200);
}

static bool agrees_bodies(const struct join_face *front, const struct join_face *back)
{
    const struct tap_message *f = front->x->message, *b = back->x->message;
    if (front->open)
        return true;
    if (f[1].complete && b[1].head && !b[1].complete)
        return false;
    for (int dir = 0; dir < 2; dir++)
        if (f[dir].complete && b[dir].complete && f[dir].body != b[dir].body)
            return false;
    return true;
}

static bool agrees_method(const struct join_face *front, const struct join_face *back)
{
    struct nu_text f = front->x->method, b = back->x->method;
    return f.len && b.len && (same(f, b) || (front->ws && back->ws));
}

/* As it came, or with another beginning. */
static bool agrees_path(const struct join_face *front, const struct join_face *back)
{
    struct nu_text f = front->path, b = back->path;
    if (!f.len || !b.len || !same(front->query, back->query))
        return false;
    if (same(front->last, back->last) && front->last.len)
        return true;
    bool root = (f.len == 1 && b.at[b.len - 1] == '/') || (b.len == 1 && f.at[f.len - 1] == '/');
    return root && *f.at == '/' && *b.at == '/';
}

/* --- the way that a request has come --- */

struct hops {
    struct nu_text hop[JOIN_HOPS_MAX];
    unsigned count;
    bool many;
};

static void read_hops(struct hops *h, const struct join_face *f, int dir, enum nu_hdr id)
{
    const struct nu_http_head *head = f->x->message[dir].head;
    const struct nu_http_field *field = head ? nu_http_get(head, id) : NULL;
    *h = (struct hops){.count = 0};
    for (; field; field = nu_http_next(head, field)) {
        struct nu_text rest = nu_http_field_value(field), one;
        while (nu_http_list_next(&rest, &one) && !h->many) {
            h->many = h->count == JOIN_HOPS_MAX;
            if (!h->many)
                h->hop[h->count++] = one;
        }
    }
}

static bool is_address(struct nu_text text, const struct nu_addr *addr)
{
    char copy[NU_ADDR_TEXT_MAX];
    struct nu_addr read;
    if (text.len >= sizeof copy || addr->kind == NU_ADDR_NONE)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = 0;
    return !nu_addr_parse_cidr(&read, copy) && nu_addr_in(addr, &read) &&
           read.prefix == (addr->kind == NU_ADDR_IP4 ? 32 : 128);
}

static bool is_client(struct nu_text hop, const struct join_face *front)
{
    return is_address(hop, front->client) || is_address(hop, &front->x->conn->source);
}

/* X-Forwarded-For as it came, with the client behind it, or with nobody but the client. */
static bool agrees_forwarded(const struct hops *f, const struct hops *b,
                             const struct join_face *front, bool *added)
{
    *added = b->count > 0 && is_client(b->hop[b->count - 1], front) &&
             (b->count == 1 || b->count == f->count + 1);
    if (f->many || b->many || (!*added && b->count != f->count))
        return false;
    unsigned kept = *added ? b->count - 1 : b->count;
    for (unsigned i = 0; i < kept; i++)
        if (!same(f->hop[i], b->hop[i])) /* kept <= f->count */
            return false;
    return true;
}

/* As many hops as before or one more; *added: it is one more. */
static bool agrees_via(const struct join_face *less, const struct join_face *more, int dir,
                       bool *added)
{
    struct hops few, many;
    read_hops(&few, less, dir, NU_HDR_VIA);
    read_hops(&many, more, dir, NU_HDR_VIA);
    *added = many.count == few.count + 1;
    return !few.many && !many.many && (*added || many.count == few.count);
}

static bool is_new(const struct join_face *front, const struct join_face *back, enum nu_hdr id)
{
    return value_of(back, 0, id).len && !value_of(front, 0, id).len;
}

struct way {
    bool client; /* the client was added to X-Forwarded-For */
    bool any;    /* something that only proxies add was */
};

static bool agrees_way(const struct join_face *front, const struct join_face *back, struct way *way)
{
    struct hops f, b;
    bool via[2];
    read_hops(&f, front, 0, NU_HDR_XFF);
    read_hops(&b, back, 0, NU_HDR_XFF);
    if (!agrees_forwarded(&f, &b, front, &way->client) || !agrees_via(front, back, 0, &via[0]))
        return false;
    via[1] = false;
    if (!front->open && front->x->message[1].head && !agrees_via(back, front, 1, &via[1]))
        return false;
    way->any = way->client || via[0] || via[1] || is_new(front, back, NU_HDR_XFP) ||
               is_new(front, back, NU_HDR_XFH) || is_new(front, back, NU_HDR_FORWARDED);
    return true;
}

/* --- addresses --- */

static bool same_ip(const struct nu_addr *a, const struct nu_addr *b)
{
    struct nu_addr x = *a, y = *b;
    x.port = y.port = 0;
    return nu_addr_equal(&x, &y);
}

/* The one asks from the machine that the other is asked on, */
static bool is_near(const struct join_face *front, const struct join_face *back)
{
    return same_ip(back->client, front->server);
}

/* and the client is on another: on one machine this says nothing. */
static bool is_apart(const struct join_face *front, const struct join_face *back)
{
    return is_near(front, back) && !same_ip(front->client, back->client);
}

/* Whom the PROXY header names. */
static bool names_client(const struct join_face *front, const struct join_face *back)
{
    const struct nu_addr *named = &back->x->conn->source, *source = &front->x->conn->source;
    return nu_addr_equal(named, front->client) ||
           (source->kind != NU_ADDR_NONE && nu_addr_equal(named, source));
}

/* The host names the very port that was connected to. */
static bool names_server(const struct join_face *f)
{
    struct nu_text host = f->x->host;
    unsigned port = 0, times = 1;
    size_t at = host.len;
    for (; at && host.at[at - 1] >= '0' && host.at[at - 1] <= '9' && times < 100000; times *= 10)
        port += (unsigned)(host.at[--at] - '0') * times;
    bool has = at && at < host.len && host.at[at - 1] == ':';
    return (has ? port : f->x->tls ? 443u : 80u) == f->server->port;
}

/* --- marks --- */

bool join_has_mark(const struct join_face *f, const struct join_mark *m)
{
    for (unsigned i = 0; i < f->marks; i++) {
        const struct join_mark *x = &f->mark[i];
        if (x->kind == m->kind && x->dir == m->dir && same(x->value, m->value) &&
            x->name.len == m->name.len && !strncasecmp(x->name.at, m->name.at, m->name.len))
            return true;
    }
    return false;
}

static bool shares_mark(const struct join_face *a, const struct join_face *b,
                        enum join_mark_kind kind)
{
    for (unsigned i = 0; i < a->marks; i++)
        if (a->mark[i].kind == kind && join_has_mark(b, &a->mark[i]))
            return true;
    return false;
}

/* --- judgement --- */

static bool same_host(const struct join_face *front, const struct join_face *back)
{
    return front->x->host.len && same(front->x->host, back->x->host);
}

/* It was asked by a name that is not its own, and that is the other's. */
static bool goes_on(const struct join_face *front, const struct join_face *back)
{
    bool first = names_server(front), second = names_server(back);
    if (!same_host(front, back) || !is_near(front, back) || (second && !first))
        return false;
    return is_apart(front, back) || (first && !second);
}

static enum join_by judge_by_looks(const struct join_face *front, const struct join_face *back)
{
    struct way way;
    bool path = agrees_path(front, back);
    struct nu_text before = value_of(back, 0, NU_HDR_XFH);
    if (!agrees_way(front, back, &way))
        return JOIN_NONE;
    if (back->x->conn->source.kind != NU_ADDR_NONE) {
        if (!names_client(front, back))
            return JOIN_NONE;
        return path ? JOIN_PROXY_PATH : JOIN_PROXY;
    }
    if (!path)
        return JOIN_NONE;
    bool host = same_host(front, back) || (before.len && same(before, front->x->host));
    if (way.any && (host || (way.client && is_apart(front, back))))
        return JOIN_FORWARDED;
    return goes_on(front, back) ? JOIN_LOOKS : JOIN_NONE;
}

/* *loose: but for the status; then only a mark ties them. */
static bool may_be(const struct join_face *front, const struct join_face *back, bool *loose)
{
    const struct tap_exchange *f = front->x, *b = back->x;
    *loose = false;
    return !back->open && is_within(front, back) && agrees_method(front, back) &&
           f->conn->flow->number != b->conn->flow->number &&
           !nu_addr_equal(front->server, back->server) && agrees_status(front, back, loose) &&
           agrees_bodies(front, back);
}

static enum join_by judge_by_marks(const struct join_face *front, const struct join_face *back)
{
    bool path = agrees_path(front, back), host = same_host(front, back);
    if (shares_mark(front, back, JOIN_MARK_ID) && (path || host || is_near(front, back)))
        return JOIN_ID;
    if (shares_mark(front, back, JOIN_MARK_TRACE) && (path || host))
        return JOIN_ID;
    bool value = path && (host || is_apart(front, back));
    return value && shares_mark(front, back, JOIN_MARK_VALUE) ? JOIN_VALUE : JOIN_NONE;
}

struct join_verdict join_judge(const struct join_face *front, const struct join_face *back)
{
    struct join_verdict v = {JOIN_NONE, JOIN_NONE};
    bool loose;
    if (!may_be(front, back, &loose))
        return v;
    if (!loose)
        v.looks = judge_by_looks(front, back);
    v.by = judge_by_marks(front, back);
    v.by = v.by ? v.by : v.looks;
    return v;
}
