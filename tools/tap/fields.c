/* The fields that --where knows; see fields.h. One getter each: an event that has no such thing
 * says so. */
#include "tools/tap/fields.h"

#include <stdio.h>
#include <string.h>

/* --- setters --- */

static bool set_text(struct nu_where_value *out, struct nu_text text)
{
    out->text = text;
    return text.len > 0;
}

static bool set_str(struct nu_where_value *out, const char *text)
{
    return text && set_text(out, nu_text(text, strlen(text)));
}

static bool set_number(struct nu_where_value *out, int64_t number)
{
    out->number = number;
    return true;
}

/* Not known = negative. */
static bool set_known(struct nu_where_value *out, int64_t number)
{
    out->number = number;
    return number >= 0;
}

/* --- all events --- */

static bool get_type(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return set_str(out, r->exchange ? "http"
                        : r->tls    ? "tls"
                        : r->ws     ? "ws"
                        : r->proxy  ? "proxy"
                                    : "tcp");
}

static bool get_conn(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return set_number(out, (int64_t)r->conn->flow->number);
}

static bool get_client(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    out->addr = *nu_flow_from(r->conn->flow, 0);
    return true;
}

static bool get_server(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    out->addr = *nu_flow_from(r->conn->flow, 1);
    return true;
}

static bool get_source(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    out->addr = r->conn->source;
    return out->addr.kind != NU_ADDR_NONE;
}

static bool get_port(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return set_number(out, nu_flow_from(r->conn->flow, 1)->port);
}

static bool get_is_tls(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return set_number(out, r->exchange ? r->exchange->tls : r->conn->tls);
}

static bool get_bytes_up(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return set_number(out, (int64_t)r->conn->bytes[0]);
}

static bool get_bytes_down(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return set_number(out, (int64_t)r->conn->bytes[1]);
}

/* --- exchanges --- */

static bool get_proto(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_str(out, tap_proto_str(r->exchange->proto));
}

static bool get_method(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_text(out, r->exchange->method);
}

static bool get_host(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_text(out, r->exchange->host);
}

static bool get_target(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_text(out, r->exchange->target);
}

static bool get_path(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    if (!r->exchange)
        return false;
    struct nu_text target = r->exchange->target;
    const char *query = memchr(target.at, '?', target.len);
    return set_text(out, nu_text(target.at, query ? (size_t)(query - target.at) : target.len));
}

static bool get_status(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && r->exchange->status && set_number(out, r->exchange->status);
}

static bool get_request_body(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_number(out, (int64_t)r->exchange->message[0].body);
}

static bool get_response_body(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && r->exchange->status &&
           set_number(out, (int64_t)r->exchange->message[1].body);
}

static bool get_response_type(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_text(out, r->exchange->message[1].type);
}

static bool get_coding(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_text(out, r->exchange->message[1].coding);
}

static bool get_ttfb(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_known(out, tap_ttfb_ns(r->exchange));
}

static bool get_total(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_known(out, tap_total_ns(r->exchange));
}

static bool get_grpc_status(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && set_known(out, r->exchange->grpc_status);
}

static bool get_stream(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->exchange && r->exchange->proto != TAP_H1 && set_number(out, r->exchange->stream);
}

static bool get_complete(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return (r->exchange && set_number(out, r->exchange->complete)) ||
           (r->ws && set_number(out, r->ws->complete));
}

static bool get_note(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return (r->exchange && set_str(out, r->exchange->note.text)) ||
           (r->ws && set_str(out, r->ws->note.text));
}

static bool get_header(const struct tap_record *r, int dir, struct nu_text name,
                       struct nu_where_value *out)
{
    const struct nu_http_head *head = r->exchange ? r->exchange->message[dir].head : NULL;
    const struct nu_http_field *field = head ? nu_http_find(head, name) : NULL;
    if (field)
        out->text = nu_http_field_value(field);
    return field != NULL;
}

static bool get_request_field(const void *record, struct nu_text name, struct nu_where_value *out)
{
    return get_header(record, 0, name, out);
}

static bool get_response_field(const void *record, struct nu_text name, struct nu_where_value *out)
{
    return get_header(record, 1, name, out);
}

/* --- TLS --- */

static bool get_sni(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->tls && set_str(out, r->tls->sni);
}

static bool get_alpn(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->tls && set_str(out, r->tls->alpn_chosen);
}

static bool get_version(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->tls && set_str(out, r->tls->version);
}

static bool get_cipher(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->tls && set_str(out, r->tls->cipher);
}

static bool get_ja3(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->tls && set_str(out, r->tls->ja3);
}

static bool get_ja4(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->tls && set_str(out, r->tls->ja4);
}

static bool get_subject(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->tls && set_str(out, r->tls->subject);
}

static bool get_alert(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    static _Thread_local char text[TAP_ALERT_MAX]; /* until the next one */
    bool here = r->tls || (r->is_conn && r->conn->alert_late);
    return here && set_str(out, tap_alert_str(r->conn, text));
}

static bool get_decrypted(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->tls && set_number(out, r->tls->decrypted);
}

static bool get_reason(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    const char *const *unread = r->conn->unread;
    if (r->is_conn)
        return set_str(out, unread[0] ? unread[0] : unread[1]);
    return r->tls && set_str(out, r->tls->reason);
}

/* --- WebSocket --- */

static bool get_dir(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->ws && set_str(out, r->ws->dir ? "s2c" : "c2s");
}

static bool get_opcode(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->ws && set_number(out, r->ws->opcode);
}

static bool get_len(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->ws && set_number(out, (int64_t)r->ws->len);
}

static bool get_close_code(const void *record, struct nu_where_value *out)
{
    const struct tap_record *r = record;
    return r->ws && set_known(out, r->ws->close_code);
}

/* --- the table --- */

static const struct nu_where_field fields[] = {
    {"type",          NU_WHERE_TEXT,   "http, tls, ws, proxy or tcp",             get_type,          0},
    {"connection",    NU_WHERE_NUMBER, "its number: 17 of #17.3",                 get_conn,          0},
    {"client",        NU_WHERE_ADDR,   "its address, with or without port",       get_client,        0},
    {"server",        NU_WHERE_ADDR,   "the same",                                get_server,        0},
    {"port",          NU_WHERE_NUMBER, "of the server",                           get_port,          0},
    {"source",        NU_WHERE_ADDR,   "of the PROXY header",                     get_source,        0},
    {"tls",           NU_WHERE_BOOL,   "inside TLS",                              get_is_tls,        0},
    {"bytes_up",      NU_WHERE_BYTES,  "of the connection, so far",               get_bytes_up,      0},
    {"bytes_down",    NU_WHERE_BYTES,  "the same, from the server",               get_bytes_down,    0},
    {"proto",         NU_WHERE_TEXT,   "http: h1, h2 or grpc",                    get_proto,         0},
    {"method",        NU_WHERE_TEXT,   "http",                                    get_method,        0},
    {"host",          NU_WHERE_TEXT,   "http",                                    get_host,          0},
    {"target",        NU_WHERE_TEXT,   "http: path and query",                    get_target,        0},
    {"path",          NU_WHERE_TEXT,   "http: the target up to its query",        get_path,          0},
    {"status",        NU_WHERE_NUMBER, "http; none without a response",           get_status,        0},
    {"request_body",  NU_WHERE_BYTES,  "http: decoded",                           get_request_body,  0},
    {"response_body", NU_WHERE_BYTES,  "http: decoded",                           get_response_body, 0},
    {"content_type",  NU_WHERE_TEXT,   "http: of the response, no parameters",    get_response_type, 0},
    {"coding",        NU_WHERE_TEXT,   "http: of the response's body",            get_coding,        0},
    {"ttfb",          NU_WHERE_TIME,   "http: to the response's first byte",      get_ttfb,          0},
    {"total",         NU_WHERE_TIME,   "http: to its last byte",                  get_total,         0},
    {"grpc_status",   NU_WHERE_NUMBER, "http",                                    get_grpc_status,   0},
    {"stream",        NU_WHERE_NUMBER, "http: of HTTP/2",                         get_stream,        0},
    {"complete",      NU_WHERE_BOOL,   "http, ws: seen from begin to end",        get_complete,      0},
    {"note",          NU_WHERE_TEXT,   "http, ws: what explains a delay or hole", get_note,          0},
    {"sni",           NU_WHERE_TEXT,   "tls",                                     get_sni,           0},
    {"alpn",          NU_WHERE_TEXT,   "tls: chosen by the server",               get_alpn,          0},
    {"version",       NU_WHERE_TEXT,   "tls: TLSv1.3",                            get_version,       0},
    {"cipher",        NU_WHERE_TEXT,   "tls",                                     get_cipher,        0},
    {"ja3",           NU_WHERE_TEXT,   "tls",                                     get_ja3,           0},
    {"ja4",           NU_WHERE_TEXT,   "tls",                                     get_ja4,           0},
    {"subject",       NU_WHERE_TEXT,   "tls: of the server's certificate",        get_subject,       0},
    {"alert",         NU_WHERE_TEXT,   "tls, tcp: who gave up, and why",          get_alert,         0},
    {"decrypted",     NU_WHERE_BOOL,   "tls",                                     get_decrypted,     0},
    {"reason",        NU_WHERE_TEXT,   "tls, tcp: why it stays closed",           get_reason,        0},
    {"dir",           NU_WHERE_TEXT,   "ws: c2s or s2c",                          get_dir,           0},
    {"opcode",        NU_WHERE_NUMBER, "ws: 1 text, 2 binary, 8 close",           get_opcode,        0},
    {"len",           NU_WHERE_BYTES,  "ws: inflated",                            get_len,           0},
    {"close_code",    NU_WHERE_NUMBER, "ws",                                      get_close_code,    0},
};

static const struct nu_where_family families[] = {
    {"request.",  "http: a header field of the request", get_request_field,  0},
    {"response.", "the same of the response",            get_response_field, 0},
};

const struct nu_where_fields tap_fields = {
    .field = fields,
    .count = sizeof fields / sizeof *fields,
    .family = families,
    .families = sizeof families / sizeof *families,
    .record = "an event",
    .listed = "--fields lists them",
};

void tap_fields_print(FILE *out)
{
    nu_where_print(&tap_fields, out);
    fputs(
        "\n  nuncio-tap -r f.pcap --where 'host == \"a.test\" && status >= 500 && total > 100ms'\n",
        out);
}
