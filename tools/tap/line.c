/* The lines of line.h, as docs/tap.md shows them. */
#include "tools/tap/line.h"

#include "tools/tap/line_priv.h"

#include <string.h>

#define ID_COLUMNS    5
#define PROTO_COLUMNS 3
#define TARGET_SHOWN  2048 /* bytes of a target or host: longer ones are somebody's attack */

/* --- the parts of a line --- */

static void pad(struct tap_out *out, size_t from, size_t columns)
{
    for (size_t n = out->buf.len - from; n < columns; n++)
        tap_put_char(out, ' ');
    tap_put_char(out, ' ');
}

static void put_id(struct tap_out *out, const struct tap_conn *conn, uint64_t number)
{
    size_t from = out->buf.len;
    tap_put_char(out, '#');
    tap_put_u64(out, conn->flow->number);
    if (number) {
        tap_put_char(out, '.');
        tap_put_u64(out, number);
    }
    pad(out, from, ID_COLUMNS);
}

/* "12:01:07.412 #17.3 10.0.0.9:40112 h2  " */
static void put_begin(struct tap_out *out, int64_t ns, const struct tap_conn *conn, uint64_t number,
                      const char *proto)
{
    tap_put_color(out, TAP_SOFT);
    tap_put_clock(out, ns);
    tap_put_char(out, ' ');
    put_id(out, conn, number);
    nu_logbuf_addr(&out->buf, nu_flow_from(conn->flow, 0), true);
    tap_put_color(out, TAP_PLAIN);
    tap_put_char(out, ' ');
    size_t from = out->buf.len;
    tap_put(out, proto);
    pad(out, from, PROTO_COLUMNS);
}

void line_put_note(struct tap_out *out, const struct tap_note *note)
{
    if (!*note->text)
        return;
    tap_put(out, "  ");
    tap_put_color(out, TAP_WARN);
    tap_put_char(out, '!');
    tap_put_safe(out, nu_text(note->text, strlen(note->text)), 0);
    tap_put_color(out, TAP_PLAIN);
}

static void put_end(struct tap_out *out)
{
    tap_put_char(out, '\n');
    tap_out_flush(out);
}

static void put_updown(struct tap_out *out, const struct tap_conn *conn)
{
    tap_put_size(out, conn->bytes[0]);
    tap_put(out, " up, ");
    tap_put_size(out, conn->bytes[1]);
    tap_put(out, " down");
}

static bool is_wanted(const struct tap_lines *lines, const struct tap_conn *conn, uint64_t number)
{
    const struct tap_id *only = &lines->only;
    return !only->flow ||
           (only->flow == conn->flow->number && (!only->number || only->number == number));
}

/* --- exchanges --- */

static bool begins_with(struct nu_text text, const char *with)
{
    size_t len = strlen(with);
    return text.len >= len && memcmp(text.at, with, len) == 0;
}

/* A URL where the target is a path; else the target as it was sent. */
void line_put_url(struct tap_out *out, const struct tap_exchange *x)
{
    bool path = begins_with(x->target, "/") || begins_with(x->target, "*");
    if (path && x->host.len) {
        tap_put(out, x->tls ? "https://" : "http://");
        tap_put_safe(out, tap_masked_host(out, x->host), TARGET_SHOWN);
    }
    if (begins_with(x->target, "*"))
        tap_put_char(out, '/');
    struct nu_text target = tap_masked_target(out, x->target);
    tap_put_safe(out, target.len ? target : NU_TEXT("?"), TARGET_SHOWN);
}

static enum tap_color color_of(unsigned status)
{
    static const enum tap_color of_class[] = {TAP_BAD,  TAP_SOFT, TAP_GOOD,
                                              TAP_TURN, TAP_WARN, TAP_BAD};
    return status < 600 ? of_class[status / 100] : TAP_BAD;
}

void line_put_status(struct tap_out *out, const struct tap_exchange *x)
{
    tap_put_color(out, color_of(x->status));
    if (x->status)
        tap_put_u64(out, x->status);
    else
        tap_put(out, "no response");
    tap_put_color(out, TAP_PLAIN);
    if (x->grpc_status >= 0) {
        tap_put_color(out, x->grpc_status ? TAP_BAD : TAP_GOOD);
        tap_put(out, " grpc ");
        tap_put_u64(out, (uint64_t)x->grpc_status);
        tap_put_color(out, TAP_PLAIN);
    }
}

/* "application/json" -> "json" */
static struct nu_text short_type(struct nu_text type)
{
    const char *slash = memchr(type.at, '/', type.len);
    size_t skip = slash ? (size_t)(slash + 1 - type.at) : 0;
    return nu_text(type.at + skip, type.len - skip);
}

static void put_word(struct tap_out *out, struct nu_text word)
{
    if (!word.len)
        return;
    tap_put_char(out, ' ');
    tap_put_safe(out, word, 64);
}

static void put_response(struct tap_out *out, const struct tap_exchange *x)
{
    const struct tap_message *response = &x->message[1];
    line_put_status(out, x);
    if (!response->head)
        return;
    tap_put_char(out, ' ');
    tap_put_size(out, response->body_wire);
    put_word(out, response->coding);
    if (response->type.at)
        put_word(out, short_type(response->type));
}

void line_put_times(struct tap_out *out, const struct tap_exchange *x)
{
    int64_t ttfb = tap_ttfb_ns(x), total = tap_total_ns(x);
    if (ttfb >= 0) {
        tap_put(out, "  ttfb ");
        tap_put_duration(out, ttfb);
    }
    if (total >= 0) {
        tap_put(out, ttfb >= 0 ? " total " : "  total ");
        tap_put_duration(out, total);
    }
}

static void put_fields(struct tap_out *out, const char *margin, const struct nu_http_head *head)
{
    const struct nu_http_field *field = NULL;
    while (head && (field = nu_http_each(head, field))) {
        struct nu_text name = nu_text(field->name, field->name_len);
        tap_put(out, margin);
        tap_put_color(out, TAP_SOFT);
        tap_put_safe(out, name, 0);
        tap_put(out, ": ");
        tap_put_color(out, TAP_PLAIN);
        tap_put_value(out, name, nu_http_field_value(field));
        tap_put_char(out, '\n');
    }
}

static void put_message(struct tap_out *out, const struct tap_message *m, int dir, int verbose)
{
    static const char *const margins[] = {"    > ", "    < "};
    put_fields(out, margins[dir], m->head);
    if (m->unknown) {
        tap_put(out, margins[dir]);
        tap_put_u64(out, m->unknown);
        tap_put(out, " fields not known: their start was missed\n");
    }
    if (verbose > 1 && m->kept_len) {
        struct nu_text kept = nu_text((const char *)m->kept, m->kept_len);
        kept = tap_masked_body(out, m->type, kept);
        tap_put_body(out, "    | ", (const uint8_t *)kept.at, kept.len);
        if (m->body > m->kept_len) {
            tap_put(out, "    | ... ");
            tap_put_u64(out, m->body - m->kept_len);
            tap_put(out, " bytes more\n");
        }
    }
    put_fields(out, margins[dir], m->trailers);
}

static int64_t time_of(const struct tap_exchange *x)
{
    const struct tap_message *m = x->message;
    return m[0].first_ns ? m[0].first_ns : m[1].first_ns ? m[1].first_ns : x->conn->flow->first_ns;
}

static void line_exchange(void *ctx, const struct tap_exchange *x)
{
    struct tap_lines *lines = ctx;
    struct tap_out *out = &lines->out;
    if (!is_wanted(lines, x->conn, x->number) || (x->tie && x->tie->front))
        return; /* its front's line has it */
    put_begin(out, time_of(x), x->conn, x->number, tap_proto_str(x->proto));
    tap_put_color(out, TAP_BOLD);
    tap_put_safe(out, x->method.len ? x->method : NU_TEXT("?"), 64);
    tap_put_color(out, TAP_PLAIN);
    tap_put_char(out, ' ');
    line_put_url(out, x);
    tap_put(out, " -> ");
    put_response(out, x);
    line_put_times(out, x);
    line_put_note(out, &x->note);
    line_put_backs(out, x);
    tap_put_char(out, '\n');
    for (int dir = 0; dir < 2 && lines->verbose; dir++)
        put_message(out, &x->message[dir], dir, lines->verbose);
    if (lines->verbose)
        line_put_changes(out, x);
    tap_out_flush(out);
}

/* --- TLS --- */

static void put_named(struct tap_out *out, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    tap_put_char(out, ' ');
    tap_put(out, name);
    tap_put_safe(out, nu_text(value, strlen(value)), 256);
}

/* "TLSv1.3" -> "TLS1.3" */
static void put_version(struct tap_out *out, const char *version)
{
    if (!version || !*version)
        return;
    bool v = strncmp(version, "TLSv", 4) == 0;
    put_named(out, v ? "TLS" : "", version + (v ? 4 : 0));
}

static void put_offered(struct tap_out *out, const struct tap_tls *tls)
{
    for (unsigned i = 0; i < tls->alpns; i++) {
        tap_put(out, i ? "," : " alpn=");
        tap_put_safe(out, nu_text(tls->alpn[i], strlen(tls->alpn[i])), 256);
    }
}

static void line_tls(void *ctx, const struct tap_tls *tls)
{
    struct tap_lines *lines = ctx;
    struct tap_out *out = &lines->out;
    if (!is_wanted(lines, tls->conn, 0) || (tls->decrypted && !lines->verbose))
        return;
    put_begin(out, tls->time_ns, tls->conn, 0, "tls");
    out->buf.len--;
    put_named(out, "sni=", tls->sni);
    put_version(out, tls->version);
    if (tls->alpn_chosen && *tls->alpn_chosen)
        put_named(out, "alpn=", tls->alpn_chosen);
    else
        put_offered(out, tls);
    put_named(out, "ja4=", tls->ja4);
    if (lines->verbose) {
        put_named(out, "cipher=", tls->cipher);
        put_named(out, "ja3=", tls->ja3);
        put_named(out, "subject=", tls->subject);
    }
    if (!tls->decrypted) {
        tap_put(out, "  [");
        tap_put(out, tls->reason ? tls->reason : "closed");
        tap_put(out, ": ");
        put_updown(out, tls->conn);
        tap_put_char(out, ']');
    }
    struct tap_note note = {""};
    if (tls->alert && *tls->alert)
        tap_note_add(&note, "alert: %s", tls->alert);
    line_put_note(out, &note);
    put_end(out);
}

/* --- WebSocket, PROXY, connections --- */

static const char *opcode_str(unsigned opcode)
{
    static const char *const names[16] = {[0] = "continuation", [1] = "text", [2] = "binary",
                                          [8] = "close",        [9] = "ping", [10] = "pong"};
    return opcode < 16 && names[opcode] ? names[opcode] : "?";
}

static struct nu_text kept_of(struct tap_out *out, const struct tap_ws *m)
{
    return tap_masked_message(out, nu_text((const char *)m->kept, m->kept_len));
}

static void put_ws_data(struct tap_lines *lines, const struct tap_ws *m)
{
    struct tap_out *out = &lines->out;
    struct nu_text kept = kept_of(out, m);
    if (m->close_code >= 0) {
        tap_put_char(out, ' ');
        tap_put_u64(out, (uint64_t)m->close_code);
    }
    size_t skip = m->opcode == 8 && kept.len >= 2 ? 2 : 0;
    if (!kept.len)
        return;
    kept = nu_text(kept.at + skip, kept.len - skip);
    if (!kept.len || !tap_is_text((const uint8_t *)kept.at, kept.len))
        return;
    tap_put_char(out, ' ');
    bool cut = kept.len > TAP_WS_SHOWN || m->len > m->kept_len;
    tap_put_safe(out, kept.len > TAP_WS_SHOWN ? nu_text(kept.at, TAP_WS_SHOWN) : kept, 0);
    tap_put(out, cut ? "..." : "");
}

static void line_ws(void *ctx, const struct tap_ws *m)
{
    struct tap_lines *lines = ctx;
    struct tap_out *out = &lines->out;
    if (!is_wanted(lines, m->conn, m->number))
        return;
    put_begin(out, m->time_ns, m->conn, m->number, "ws");
    tap_put(out, m->dir ? "<- " : "-> ");
    tap_put(out, opcode_str(m->opcode));
    tap_put_char(out, ' ');
    tap_put_size(out, m->len);
    put_ws_data(lines, m);
    line_put_note(out, &m->note);
    tap_put_char(out, '\n');
    struct nu_text kept = kept_of(out, m);
    if (lines->verbose > 1 && (m->kept_len > TAP_WS_SHOWN || !tap_is_text(m->kept, m->kept_len)))
        tap_put_body(out, "    | ", (const uint8_t *)kept.at, kept.len);
    tap_out_flush(out);
}

static void line_proxy(void *ctx, const struct tap_proxy *proxy)
{
    struct tap_lines *lines = ctx;
    struct tap_out *out = &lines->out;
    if (!is_wanted(lines, proxy->conn, 0))
        return;
    put_begin(out, proxy->time_ns, proxy->conn, 0, "proxy");
    tap_put(out, proxy->version == 1 ? "v1 " : "v2 ");
    if (proxy->local)
        tap_put(out, "local");
    else {
        nu_logbuf_addr(&out->buf, &proxy->source, true);
        tap_put(out, " -> ");
        nu_logbuf_addr(&out->buf, &proxy->destination, true);
    }
    put_end(out);
}

/* Both directions of TLS that was opened, as far as they were not. */
static void note_unread(struct tap_note *note, const struct tap_conn *conn)
{
    static const char *const by[] = {"client", "server"};
    for (int dir = 0; dir < 2; dir++)
        if (conn->unread[dir])
            tap_note_add(note, "TLS of the %s: %s", by[dir], conn->unread[dir]);
}

/* Connections without a byte, and those of which something was told already, are not shown; unless
 * there is something that could not be. */
static void line_conn(void *ctx, struct tap_conn *conn)
{
    struct tap_lines *lines = ctx;
    struct tap_out *out = &lines->out;
    bool told = conn->told && !conn->unread[0] && !conn->unread[1];
    uint64_t missing = conn->missing[0] + conn->missing[1];
    if (told || !is_wanted(lines, conn, 0) || !(conn->bytes[0] + conn->bytes[1] + missing))
        return;
    struct tap_note note = {""};
    if (missing)
        tap_note_add(&note, "gaps of %lluB", (unsigned long long)missing);
    if (conn->flow->ended[0] == NU_FLOW_RST || conn->flow->ended[1] == NU_FLOW_RST)
        tap_note_add(&note, "reset");
    note_unread(&note, conn);
    put_begin(out, conn->flow->first_ns, conn, 0, "tcp");
    tap_put(out, "-> ");
    nu_logbuf_addr(&out->buf, nu_flow_from(conn->flow, 1), true);
    tap_put(out, "  [");
    put_updown(out, conn);
    tap_put_char(out, ']');
    line_put_note(out, &note);
    put_end(out);
}

/* Who follows a connection wants to see what nobody understands. */
static void line_raw(void *ctx, struct tap_conn *conn, int dir, struct nu_piece bytes, int64_t ns)
{
    struct tap_lines *lines = ctx;
    if (!lines->only.flow || lines->only.number || !is_wanted(lines, conn, 0))
        return;
    struct nu_text text = nu_text((const char *)bytes.data, bytes.len);
    text = tap_masked_lines(&lines->out, text);
    tap_put_body(&lines->out, dir ? "    < " : "    > ", (const uint8_t *)text.at, text.len);
    tap_out_flush(&lines->out);
}

const struct tap_sink tap_line_sink = {
    .exchange = line_exchange,
    .tls = line_tls,
    .ws = line_ws,
    .proxy = line_proxy,
    .conn = line_conn,
    .raw = line_raw,
};
