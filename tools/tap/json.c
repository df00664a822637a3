/* Objects of json.h. */
#include "tools/tap/json.h"

#include "core/escape.h"

#include <string.h>

#define NS_PER_S INT64_C(1000000000)

/* --- writers --- */

static void put_key(struct tap_json *j, const char *key)
{
    if (j->comma)
        tap_put_char(&j->out, ',');
    j->comma = true;
    tap_put_char(&j->out, '"');
    tap_put(&j->out, key);
    tap_put(&j->out, "\":");
}

static void put_string(struct tap_json *j, struct nu_text value)
{
    tap_put_char(&j->out, '"');
    nu_escape_json(&j->out.buf, value.at, value.len);
    tap_put_char(&j->out, '"');
}

/* Not if it is empty. */
static void put_text(struct tap_json *j, const char *key, struct nu_text value)
{
    if (!value.len)
        return;
    put_key(j, key);
    put_string(j, value);
}

static void put_str(struct tap_json *j, const char *key, const char *value)
{
    if (value)
        put_text(j, key, nu_text(value, strlen(value)));
}

static void put_number(struct tap_json *j, const char *key, uint64_t value)
{
    put_key(j, key);
    tap_put_u64(&j->out, value);
}

static void put_bool(struct tap_json *j, const char *key, bool value)
{
    put_key(j, key);
    tap_put(&j->out, value ? "true" : "false");
}

static void put_fraction(struct tap_json *j, unsigned value, unsigned digits)
{
    char text[16] = ".";
    for (unsigned i = digits; i; i--, value /= 10)
        text[i] = (char)('0' + value % 10);
    text[digits + 1] = 0;
    tap_put(&j->out, text);
}

/* Not if it is negative: not known. */
static void put_ms(struct tap_json *j, const char *key, int64_t ns)
{
    if (ns < 0)
        return;
    put_number(j, key, (uint64_t)ns / 1000000);
    put_fraction(j, (unsigned)((uint64_t)ns / 1000 % 1000), 3);
}

static void put_time(struct tap_json *j, int64_t ns)
{
    put_key(j, "time");
    if (ns < 0)
        tap_put_char(&j->out, '-');
    uint64_t n = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    tap_put_u64(&j->out, n / NS_PER_S);
    put_fraction(j, (unsigned)(n % NS_PER_S), 9);
}

static void put_addr(struct tap_json *j, const char *key, const struct nu_addr *addr)
{
    char text[NU_ADDR_TEXT_MAX];
    if (addr->kind != NU_ADDR_NONE)
        put_str(j, key, nu_addr_str(addr, text));
}

/* --- what all objects have --- */

static void put_id(struct tap_json *j, const char *key, const struct tap_conn *conn,
                   uint64_t number)
{
    char id[48];
    snprintf(id, sizeof id, number ? "%llu.%llu" : "%llu", (unsigned long long)conn->flow->number,
             (unsigned long long)number);
    put_str(j, key, id);
}

static void put_begin(struct tap_json *j, const char *type, const struct tap_conn *conn,
                      uint64_t number, int64_t ns)
{
    j->comma = false;
    tap_put_char(&j->out, '{');
    put_str(j, "type", type);
    put_id(j, "id", conn, number);
    put_time(j, ns);
    put_addr(j, "client", nu_flow_from(conn->flow, 0));
    put_addr(j, "server", nu_flow_from(conn->flow, 1));
}

static void put_end(struct tap_json *j)
{
    tap_put(&j->out, "}\n");
    tap_out_flush(&j->out);
}

/* --- what -v and -vv add --- */

/* "request_headers":[["Host","a.test"],...]; not if there are none. */
static void put_fields(struct tap_json *j, const char *key, const struct nu_http_head *head)
{
    const struct nu_http_field *field = NULL;
    const char *before = "[";
    while (head && (field = nu_http_each(head, field))) {
        struct nu_text name = nu_text(field->name, field->name_len);
        if (*before == '[')
            put_key(j, key);
        tap_put(&j->out, before);
        tap_put_char(&j->out, '[');
        put_string(j, name);
        tap_put_char(&j->out, ',');
        put_string(j, tap_masked(&j->out, name, nu_http_field_value(field)));
        tap_put_char(&j->out, ']');
        before = ",";
    }
    if (*before == ',')
        tap_put_char(&j->out, ']');
}

static bool is_utf8(struct nu_text text)
{
    size_t at = 0, len = 1;
    uint32_t code;
    for (; at < text.len && len; at += len)
        len = nu_utf8_decode(text.at + at, text.len - at, &code);
    return len > 0;
}

/* RFC 4648 4. */
static void put_base64(struct tap_json *j, struct nu_text text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    tap_put_char(&j->out, '"');
    for (size_t at = 0; at < text.len; at += 3) {
        uint32_t bits = 0;
        size_t have = text.len - at < 3 ? text.len - at : 3;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (i < have ? (uint8_t)text.at[at + i] : 0u);
        for (size_t i = 0; i < 4; i++)
            tap_put_char(&j->out, i <= have ? digits[bits >> (18 - 6 * i) & 63] : '=');
    }
    tap_put_char(&j->out, '"');
}

/* "request_data", or "request_data_base64" where it is no text. */
static void put_data(struct tap_json *j, const char *begin, struct nu_text data)
{
    char key[40];
    bool text = is_utf8(data);
    if (!data.len)
        return;
    snprintf(key, sizeof key, "%sdata%s", begin, text ? "" : "_base64");
    put_key(j, key);
    if (text)
        put_string(j, data);
    else
        put_base64(j, data);
}

static void put_message(struct tap_json *j, const struct tap_message *m, int dir)
{
    static const char *const begins[] = {"request_", "response_"};
    char key[40];
    snprintf(key, sizeof key, "%sheaders", begins[dir]);
    put_fields(j, key, m->head);
    struct nu_text kept = nu_text((const char *)m->kept, m->kept_len);
    if (j->verbose > 1)
        put_data(j, begins[dir], tap_masked_body(&j->out, m->type, kept));
    snprintf(key, sizeof key, "%strailers", begins[dir]);
    put_fields(j, key, m->trailers);
}

/* --- exchanges --- */

static int64_t time_of(const struct tap_exchange *x)
{
    const struct tap_message *m = x->message;
    int64_t first = m[0].first_ns ? m[0].first_ns : m[1].first_ns;
    return first ? first : x->conn->flow->first_ns;
}

static void put_interim(struct tap_json *j, const struct tap_exchange *x)
{
    if (!x->interims)
        return;
    put_key(j, "interim");
    for (unsigned i = 0; i < x->interims && i < TAP_INTERIM_MAX; i++) {
        tap_put_char(&j->out, i ? ',' : '[');
        tap_put_u64(&j->out, x->interim[i]);
    }
    tap_put_char(&j->out, ']');
}

static void put_messages(struct tap_json *j, const struct tap_exchange *x)
{
    const struct tap_message *request = &x->message[0], *response = &x->message[1];
    if (request->head)
        put_number(j, "request_body", request->body);
    if (response->head) {
        put_number(j, "response_body", response->body);
        if (response->body_wire != response->body)
            put_number(j, "response_wire", response->body_wire);
        put_text(j, "response_type", response->type);
        put_text(j, "response_coding", response->coding);
    }
}

static void put_grpc(struct tap_json *j, const struct tap_exchange *x)
{
    if (x->grpc_status >= 0)
        put_number(j, "grpc_status", (uint64_t)x->grpc_status);
    if (x->proto != TAP_GRPC)
        return;
    put_number(j, "request_messages", x->grpc_messages[0]);
    put_number(j, "response_messages", x->grpc_messages[1]);
}

static void put_target(struct tap_json *j, const struct tap_exchange *x)
{
    put_str(j, "proto", tap_proto_str(x->proto));
    put_bool(j, "tls", x->tls);
    put_text(j, "method", x->method);
    put_text(j, "host", tap_masked_host(&j->out, x->host));
    put_text(j, "target", tap_masked_target(&j->out, x->target));
    if (x->status)
        put_number(j, "status", x->status);
}

static void put_tie(struct tap_json *j, const struct tap_exchange *x)
{
    const struct tap_exchange *front = x->tie->front, *back = x->tie->back;
    if (front)
        put_id(j, "downstream", front->conn, front->number);
    if (!back)
        return;
    put_key(j, "upstream");
    j->comma = false;
    tap_put_char(&j->out, '{');
    put_id(j, "id", back->conn, back->number);
    put_addr(j, "server", nu_flow_from(back->conn->flow, 1));
    put_target(j, back);
    put_ms(j, "ttfb_ms", tap_ttfb_ns(back));
    put_ms(j, "total_ms", tap_total_ns(back));
    put_ms(j, "proxy_ms", tap_proxy_ns(x, back));
    put_str(j, "by", x->tie->by);
    for (int dir = 0; dir < 2 && j->verbose; dir++)
        put_fields(j, dir ? "response_headers" : "request_headers", back->message[dir].head);
    tap_put_char(&j->out, '}');
    j->comma = true;
}

static void json_exchange(void *ctx, const struct tap_exchange *x)
{
    struct tap_json *j = ctx;
    put_begin(j, "http", x->conn, x->number, time_of(x));
    put_target(j, x);
    put_interim(j, x);
    put_messages(j, x);
    put_ms(j, "ttfb_ms", tap_ttfb_ns(x));
    put_ms(j, "total_ms", tap_total_ns(x));
    put_grpc(j, x);
    if (x->proto != TAP_H1)
        put_number(j, "stream", x->stream);
    put_bool(j, "complete", x->complete);
    put_str(j, "note", x->note.text);
    if (x->tie)
        put_tie(j, x);
    for (int dir = 0; dir < 2 && j->verbose; dir++)
        put_message(j, &x->message[dir], dir);
    put_end(j);
}

/* --- the others --- */

static void json_tls(void *ctx, const struct tap_tls *tls)
{
    struct tap_json *j = ctx;
    put_begin(j, "tls", tls->conn, 0, tls->time_ns);
    put_str(j, "sni", tls->sni);
    if (tls->alpns)
        put_key(j, "alpn");
    for (unsigned i = 0; i < tls->alpns; i++) {
        tap_put_char(&j->out, i ? ',' : '[');
        put_string(j, nu_text(tls->alpn[i], strlen(tls->alpn[i])));
    }
    tap_put(&j->out, tls->alpns ? "]" : "");
    put_str(j, "alpn_chosen", tls->alpn_chosen);
    put_str(j, "version", tls->version);
    put_str(j, "cipher", tls->cipher);
    put_str(j, "ja3", tls->ja3);
    put_str(j, "ja4", tls->ja4);
    put_str(j, "subject", tls->subject);
    put_str(j, "alert", tls->alert);
    if (tls->resumed)
        put_bool(j, "resumed", true);
    put_bool(j, "decrypted", tls->decrypted);
    if (!tls->decrypted)
        put_str(j, "reason", tls->reason);
    put_end(j);
}

static void json_ws(void *ctx, const struct tap_ws *m)
{
    struct tap_json *j = ctx;
    put_begin(j, "ws", m->conn, m->number, m->time_ns);
    put_str(j, "dir", m->dir ? "s2c" : "c2s");
    put_number(j, "opcode", m->opcode);
    put_number(j, "len", m->len);
    if (m->close_code >= 0)
        put_number(j, "close_code", (uint64_t)m->close_code);
    put_bool(j, "complete", m->complete);
    put_str(j, "note", m->note.text);
    if (j->verbose > 1)
        put_data(j, "", tap_masked_message(&j->out, nu_text((const char *)m->kept, m->kept_len)));
    put_end(j);
}

static void json_proxy(void *ctx, const struct tap_proxy *proxy)
{
    struct tap_json *j = ctx;
    put_begin(j, "proxy", proxy->conn, 0, proxy->time_ns);
    put_number(j, "version", proxy->version);
    if (proxy->local)
        put_bool(j, "local", true);
    put_addr(j, "source", &proxy->source);
    put_addr(j, "destination", &proxy->destination);
    put_end(j);
}

static void json_conn(void *ctx, struct tap_conn *conn)
{
    struct tap_json *j = ctx;
    const struct nu_flow *flow = conn->flow;
    char alert[TAP_ALERT_MAX];
    put_begin(j, "tcp", conn, 0, flow->first_ns);
    put_number(j, "bytes_up", conn->bytes[0]);
    put_number(j, "bytes_down", conn->bytes[1]);
    if (conn->missing[0])
        put_number(j, "missing_up", conn->missing[0]);
    if (conn->missing[1])
        put_number(j, "missing_down", conn->missing[1]);
    put_number(j, "packets", flow->packets);
    put_str(j, "alert", conn->alert_late ? tap_alert_str(conn, alert) : NULL);
    put_str(j, "unread_up", conn->unread[0]);
    put_str(j, "unread_down", conn->unread[1]);
    if (flow->ended[0] == NU_FLOW_RST || flow->ended[1] == NU_FLOW_RST)
        put_bool(j, "reset", true);
    put_ms(j, "total_ms", flow->last_ns - flow->first_ns);
    put_end(j);
}

const struct tap_sink tap_json_sink = {
    .exchange = json_exchange,
    .tls = json_tls,
    .ws = json_ws,
    .proxy = json_proxy,
    .conn = json_conn,
};
