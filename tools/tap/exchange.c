/* Exchanges as they are gathered. */
#include "tools/tap/exchange.h"

#include "core/assert.h"
#include "tools/tap/tap_priv.h"

#include <stdlib.h>
#include <string.h>

const char *tap_side_str(int dir)
{
    return dir ? "response" : "request";
}

const char *tap_end_str(enum nu_flow_end how)
{
    static const char *const names[] = {"the capture ended", "the connection was closed",
                                        "the connection was reset",
                                        "its TLS is not read from there on"};
    nu_assert((unsigned)how < sizeof names / sizeof *names);
    return names[how];
}

static void account(struct tap_open *o)
{
    size_t bytes = sizeof *o;
    for (int dir = 0; dir < 2; dir++)
        bytes += o->arena[dir] ? nu_arena_bytes(o->arena[dir]) : 0;
    tap_hold(o->x.conn, (int64_t)bytes - (int64_t)o->held);
    o->held = bytes;
}

struct tap_open *tap_open_new(struct tap_conn *conn, enum tap_proto proto)
{
    struct tap_open *o = calloc(1, sizeof *o);
    nu_assert(o != NULL);
    o->x.conn = conn;
    o->x.number = ++conn->exchanges;
    o->x.proto = proto;
    o->x.tls = conn->tls;
    o->x.grpc_status = -1;
    o->x.before = tap_trouble_now(conn);
    nu_list_add_tail(&conn->tap->open, &o->all);
    account(o);
    return o;
}

void tap_open_free(struct tap_open *o)
{
    if (nu_list_linked(&o->link))
        nu_list_del(&o->link);
    nu_list_del(&o->all);
    for (int dir = 0; dir < 2; dir++) {
        if (o->body[dir].conn)
            tap_body_shrink(&o->body[dir]);
        nu_arena_free(o->arena[dir]);
    }
    tap_hold(o->x.conn, -(int64_t)o->held);
    free(o);
}

/* "application/json" of "application/json; charset=utf-8". */
static struct nu_text media_type(struct nu_text value)
{
    size_t n = 0;
    while (n < value.len && value.at[n] != ';' && value.at[n] != ' ')
        n++;
    return nu_text(value.at, n);
}

static bool is_grpc(struct nu_text type)
{
    static const char grpc[] = "application/grpc";
    size_t len = sizeof grpc - 1;
    if (type.len < len || !nu_text_is_fold(nu_text(type.at, len), grpc))
        return false;
    return type.len == len || type.at[len] == '+';
}

static void learn_request(struct tap_exchange *x, const struct nu_http_head *head)
{
    x->method = head->method;
    x->host = head->authority;
    x->target = head->target;
}

/* Only of HTTP/2: over HTTP/1 there is no gRPC. */
static void learn_grpc(struct tap_open *o, const struct nu_http_head *head)
{
    struct nu_text status = nu_http_value(head, NU_HDR_GRPC_STATUS);
    int number = 0;
    if (o->x.proto == TAP_H2 && is_grpc(nu_http_value(head, NU_HDR_CONTENT_TYPE))) {
        o->x.proto = TAP_GRPC;
        o->counting_grpc = true;
    }
    if (o->x.proto != TAP_GRPC || status.len == 0 || status.len > 4)
        return;
    for (size_t i = 0; i < status.len; i++) {
        if (status.at[i] < '0' || status.at[i] > '9')
            return;
        number = number * 10 + (status.at[i] - '0');
    }
    o->x.grpc_status = number;
}

void tap_open_head(struct tap_open *o, int dir, struct nu_arena *arena, struct nu_http_head *head)
{
    struct tap_message *m = &o->x.message[dir];
    if (arena) {
        nu_assert(!o->arena[dir]);
        o->arena[dir] = arena;
    }
    nu_http_head_keep(head);
    m->head = head;
    m->type = media_type(nu_http_value(head, NU_HDR_CONTENT_TYPE));
    m->coding = nu_http_value(head, NU_HDR_CONTENT_ENCODING);
    if (dir)
        o->x.status = head->status;
    else
        learn_request(&o->x, head);
    learn_grpc(o, head);
    if (!o->body[dir].conn)
        tap_body_begin(&o->body[dir], o->x.conn, m->coding);
    account(o);
}

void tap_open_interim(struct tap_open *o, unsigned status)
{
    if (o->x.interims < TAP_INTERIM_MAX)
        o->x.interim[o->x.interims++] = (uint16_t)status;
}

void tap_open_trailers(struct tap_open *o, int dir, const struct nu_http_head *trailers)
{
    o->x.message[dir].trailers = trailers;
    learn_grpc(o, trailers);
    account(o);
}

/* Where messages end (gRPC over HTTP/2, "Length-Prefixed-Message"). */
static void count_grpc(struct tap_grpc *g, uint64_t *messages, struct nu_piece bytes)
{
    while (bytes.len) {
        size_t n = g->left < bytes.len ? (size_t)g->left : bytes.len;
        if (g->have < sizeof g->prefix) {
            g->prefix[g->have++] = *bytes.data;
            n = 1;
            g->left = (uint64_t)g->prefix[1] << 24 | (uint64_t)g->prefix[2] << 16 |
                      (uint64_t)g->prefix[3] << 8 | g->prefix[4];
        } else {
            g->left -= n;
        }
        bytes = (struct nu_piece){bytes.data + n, bytes.len - n};
        if (g->have == sizeof g->prefix && g->left == 0) {
            ++*messages;
            *g = (struct tap_grpc){0};
        } else if (g->have < sizeof g->prefix) {
            g->left = 0;
        }
    }
}

void tap_open_data(struct tap_open *o, int dir, struct nu_piece bytes)
{
    if (!o->body[dir].conn) /* the head was not seen */
        tap_body_begin(&o->body[dir], o->x.conn, nu_text("", 0));
    tap_body_data(&o->body[dir], bytes);
    if (o->counting_grpc)
        count_grpc(&o->grpc[dir], &o->x.grpc_messages[dir], bytes);
}

/* A gap that hides where a message of gRPC ends ends the counting. */
void tap_open_gap(struct tap_open *o, int dir, uint64_t bytes)
{
    struct tap_grpc *g = &o->grpc[dir];
    if (!o->body[dir].conn)
        tap_body_begin(&o->body[dir], o->x.conn, nu_text("", 0));
    tap_body_gap(&o->body[dir], bytes);
    if (o->counting_grpc && g->have == sizeof g->prefix && bytes < g->left) {
        g->left -= bytes;
    } else if (o->counting_grpc) {
        o->counting_grpc = false;
        tap_note_add(&o->x.note, "messages are counted up to the gap");
    }
}

bool tap_open_over(struct tap_open *o, int dir, bool complete, int64_t time_ns)
{
    struct tap_message *m = &o->x.message[dir];
    struct tap_body *b = &o->body[dir];
    if (o->over[dir])
        return o->over[!dir];
    o->over[dir] = true;
    if (b->conn)
        tap_body_end(b, complete, tap_side_str(dir), &o->x.note);
    m->complete = complete && m->head && !b->missing;
    m->body_wire = b->wire;
    m->body = tap_body_len(b);
    if (m->first_ns)
        m->last_ns = time_ns;
    return o->over[!dir];
}

void tap_open_tell(struct tap_open *o)
{
    for (int dir = 0; dir < 2; dir++) {
        struct tap_message *m = &o->x.message[dir];
        tap_open_over(o, dir, false, m->first_ns);
        m->kept = o->body[dir].kept;
        m->kept_len = o->body[dir].kept_len;
    }
    o->x.complete = o->x.message[0].complete && o->x.message[1].complete;
    tap_tell_exchange(&o->x);
    tap_open_free(o);
}

const struct tap_open *tap_open_next(const struct tap *tap, const struct tap_open *after)
{
    const struct nu_list *node = after ? after->all.next : tap->open.next;
    return node == &tap->open ? NULL : nu_container(node, const struct tap_open, all);
}

void tap_open_shrink(struct tap_open *o)
{
    for (int dir = 0; dir < 2; dir++)
        if (o->body[dir].held) {
            tap_body_shrink(&o->body[dir]);
            tap_note_add(&o->x.note, "the %s body was let go, for want of memory",
                         tap_side_str(dir));
        }
}
