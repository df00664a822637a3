/* The fields that --where knows; see where.h. One getter each: an event that has no such thing says
 * so. */
#include "tools/tap/where.h"

#include <stdio.h>
#include <string.h>

const char *tap_value_type_str(enum tap_value_type type)
{
    static const char *const names[] = {"a text", "a number",      "a duration",
                                        "a size", "true or false", "an address"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "?";
}

/* --- setters --- */

static bool set_text(struct tap_value *out, struct nu_text text)
{
    out->text = text;
    return text.len > 0;
}

static bool set_str(struct tap_value *out, const char *text)
{
    return text && set_text(out, nu_text(text, strlen(text)));
}

static bool set_number(struct tap_value *out, int64_t number)
{
    out->number = number;
    return true;
}

/* Not known = negative. */
static bool set_known(struct tap_value *out, int64_t number)
{
    out->number = number;
    return number >= 0;
}

/* --- all events --- */

static bool get_type(const struct tap_record *r, struct tap_value *out)
{
    return set_str(out, r->exchange ? "http"
                        : r->tls    ? "tls"
                        : r->ws     ? "ws"
                        : r->proxy  ? "proxy"
                                    : "tcp");
}

static bool get_conn(const struct tap_record *r, struct tap_value *out)
{
    return set_number(out, (int64_t)r->conn->flow->number);
}

static bool get_client(const struct tap_record *r, struct tap_value *out)
{
    out->addr = *nu_flow_from(r->conn->flow, 0);
    return true;
}

static bool get_server(const struct tap_record *r, struct tap_value *out)
{
    out->addr = *nu_flow_from(r->conn->flow, 1);
    return true;
}

static bool get_source(const struct tap_record *r, struct tap_value *out)
{
    out->addr = r->conn->source;
    return out->addr.kind != NU_ADDR_NONE;
}

static bool get_port(const struct tap_record *r, struct tap_value *out)
{
    return set_number(out, nu_flow_from(r->conn->flow, 1)->port);
}

static bool get_is_tls(const struct tap_record *r, struct tap_value *out)
{
    return set_number(out, r->exchange ? r->exchange->tls : r->conn->tls);
}

static bool get_bytes_up(const struct tap_record *r, struct tap_value *out)
{
    return set_number(out, (int64_t)r->conn->bytes[0]);
}

static bool get_bytes_down(const struct tap_record *r, struct tap_value *out)
{
    return set_number(out, (int64_t)r->conn->bytes[1]);
}

/* --- exchanges --- */

static bool get_proto(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_str(out, tap_proto_str(r->exchange->proto));
}

static bool get_method(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_text(out, r->exchange->method);
}

static bool get_host(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_text(out, r->exchange->host);
}

static bool get_target(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_text(out, r->exchange->target);
}

static bool get_path(const struct tap_record *r, struct tap_value *out)
{
    if (!r->exchange)
        return false;
    struct nu_text target = r->exchange->target;
    const char *query = memchr(target.at, '?', target.len);
    return set_text(out, nu_text(target.at, query ? (size_t)(query - target.at) : target.len));
}

static bool get_status(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && r->exchange->status && set_number(out, r->exchange->status);
}

static bool get_request_body(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_number(out, (int64_t)r->exchange->message[0].body);
}

static bool get_response_body(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && r->exchange->status &&
           set_number(out, (int64_t)r->exchange->message[1].body);
}

static bool get_response_type(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_text(out, r->exchange->message[1].type);
}

static bool get_coding(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_text(out, r->exchange->message[1].coding);
}

static bool get_ttfb(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_known(out, tap_ttfb_ns(r->exchange));
}

static bool get_total(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_known(out, tap_total_ns(r->exchange));
}

static bool get_grpc_status(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && set_known(out, r->exchange->grpc_status);
}

static bool get_stream(const struct tap_record *r, struct tap_value *out)
{
    return r->exchange && r->exchange->proto != TAP_H1 && set_number(out, r->exchange->stream);
}

static bool get_complete(const struct tap_record *r, struct tap_value *out)
{
    return (r->exchange && set_number(out, r->exchange->complete)) ||
           (r->ws && set_number(out, r->ws->complete));
}

static bool get_note(const struct tap_record *r, struct tap_value *out)
{
    return (r->exchange && set_str(out, r->exchange->note.text)) ||
           (r->ws && set_str(out, r->ws->note.text));
}

bool tap_header(const struct tap_record *r, int dir, struct nu_text name, struct tap_value *out)
{
    const struct nu_http_head *head = r->exchange ? r->exchange->message[dir].head : NULL;
    const struct nu_http_field *field = head ? nu_http_find(head, name) : NULL;
    if (field)
        out->text = nu_http_field_value(field);
    return field != NULL;
}

/* --- TLS --- */

static bool get_sni(const struct tap_record *r, struct tap_value *out)
{
    return r->tls && set_str(out, r->tls->sni);
}

static bool get_alpn(const struct tap_record *r, struct tap_value *out)
{
    return r->tls && set_str(out, r->tls->alpn_chosen);
}

static bool get_version(const struct tap_record *r, struct tap_value *out)
{
    return r->tls && set_str(out, r->tls->version);
}

static bool get_cipher(const struct tap_record *r, struct tap_value *out)
{
    return r->tls && set_str(out, r->tls->cipher);
}

static bool get_ja3(const struct tap_record *r, struct tap_value *out)
{
    return r->tls && set_str(out, r->tls->ja3);
}

static bool get_ja4(const struct tap_record *r, struct tap_value *out)
{
    return r->tls && set_str(out, r->tls->ja4);
}

static bool get_subject(const struct tap_record *r, struct tap_value *out)
{
    return r->tls && set_str(out, r->tls->subject);
}

static bool get_alert(const struct tap_record *r, struct tap_value *out)
{
    static _Thread_local char text[TAP_ALERT_MAX]; /* until the next one */
    bool here = r->tls || (r->is_conn && r->conn->alert_late);
    return here && set_str(out, tap_alert_str(r->conn, text));
}

static bool get_decrypted(const struct tap_record *r, struct tap_value *out)
{
    return r->tls && set_number(out, r->tls->decrypted);
}

static bool get_reason(const struct tap_record *r, struct tap_value *out)
{
    const char *const *unread = r->conn->unread;
    if (r->is_conn)
        return set_str(out, unread[0] ? unread[0] : unread[1]);
    return r->tls && set_str(out, r->tls->reason);
}

/* --- WebSocket --- */

static bool get_dir(const struct tap_record *r, struct tap_value *out)
{
    return r->ws && set_str(out, r->ws->dir ? "s2c" : "c2s");
}

static bool get_opcode(const struct tap_record *r, struct tap_value *out)
{
    return r->ws && set_number(out, r->ws->opcode);
}

static bool get_len(const struct tap_record *r, struct tap_value *out)
{
    return r->ws && set_number(out, (int64_t)r->ws->len);
}

static bool get_close_code(const struct tap_record *r, struct tap_value *out)
{
    return r->ws && set_known(out, r->ws->close_code);
}

/* --- the table --- */

static const struct tap_field fields[] = {
    {"type",          TAP_TEXT,   "http, tls, ws, proxy or tcp",             get_type         },
    {"connection",    TAP_NUMBER, "its number: 17 of #17.3",                 get_conn         },
    {"client",        TAP_ADDR,   "its address, with or without port",       get_client       },
    {"server",        TAP_ADDR,   "the same",                                get_server       },
    {"port",          TAP_NUMBER, "of the server",                           get_port         },
    {"source",        TAP_ADDR,   "of the PROXY header",                     get_source       },
    {"tls",           TAP_BOOL,   "inside TLS",                              get_is_tls       },
    {"bytes_up",      TAP_BYTES,  "of the connection, so far",               get_bytes_up     },
    {"bytes_down",    TAP_BYTES,  "the same, from the server",               get_bytes_down   },
    {"proto",         TAP_TEXT,   "http: h1, h2 or grpc",                    get_proto        },
    {"method",        TAP_TEXT,   "http",                                    get_method       },
    {"host",          TAP_TEXT,   "http",                                    get_host         },
    {"target",        TAP_TEXT,   "http: path and query",                    get_target       },
    {"path",          TAP_TEXT,   "http: the target up to its query",        get_path         },
    {"status",        TAP_NUMBER, "http; none without a response",           get_status       },
    {"request_body",  TAP_BYTES,  "http: decoded",                           get_request_body },
    {"response_body", TAP_BYTES,  "http: decoded",                           get_response_body},
    {"content_type",  TAP_TEXT,   "http: of the response, no parameters",    get_response_type},
    {"coding",        TAP_TEXT,   "http: of the response's body",            get_coding       },
    {"ttfb",          TAP_TIME,   "http: to the response's first byte",      get_ttfb         },
    {"total",         TAP_TIME,   "http: to its last byte",                  get_total        },
    {"grpc_status",   TAP_NUMBER, "http",                                    get_grpc_status  },
    {"stream",        TAP_NUMBER, "http: of HTTP/2",                         get_stream       },
    {"complete",      TAP_BOOL,   "http, ws: seen from begin to end",        get_complete     },
    {"note",          TAP_TEXT,   "http, ws: what explains a delay or hole", get_note         },
    {"sni",           TAP_TEXT,   "tls",                                     get_sni          },
    {"alpn",          TAP_TEXT,   "tls: chosen by the server",               get_alpn         },
    {"version",       TAP_TEXT,   "tls: TLSv1.3",                            get_version      },
    {"cipher",        TAP_TEXT,   "tls",                                     get_cipher       },
    {"ja3",           TAP_TEXT,   "tls",                                     get_ja3          },
    {"ja4",           TAP_TEXT,   "tls",                                     get_ja4          },
    {"subject",       TAP_TEXT,   "tls: of the server's certificate",        get_subject      },
    {"alert",         TAP_TEXT,   "tls, tcp: who gave up, and why",          get_alert        },
    {"decrypted",     TAP_BOOL,   "tls",                                     get_decrypted    },
    {"reason",        TAP_TEXT,   "tls, tcp: why it stays closed",           get_reason       },
    {"dir",           TAP_TEXT,   "ws: c2s or s2c",                          get_dir          },
    {"opcode",        TAP_NUMBER, "ws: 1 text, 2 binary, 8 close",           get_opcode       },
    {"len",           TAP_BYTES,  "ws: inflated",                            get_len          },
    {"close_code",    TAP_NUMBER, "ws",                                      get_close_code   },
};

const struct tap_field *tap_field_at(size_t i)
{
    return i < sizeof fields / sizeof *fields ? &fields[i] : NULL;
}

const struct tap_field *tap_field_find(struct nu_text name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (nu_text_is(name, fields[i].name))
            return &fields[i];
    return NULL;
}

void tap_fields_print(FILE *out)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        fprintf(out, "  %-14s %-14s %s\n", fields[i].name, tap_value_type_str(fields[i].type),
                fields[i].help);
    fputs(
        "  request.NAME   a text         http: a header field of the request\n"
        "  response.NAME  a text         the same of the response\n"
        "\n"
        "Compare with == != < <= > >= contains; join with && || ! and parentheses. A field that\n"
        "an event does not have compares with nothing. Values: \"text\", 404, 100ms, 1.5s, 64KiB,\n"
        "true, false, addresses and prefixes in quotes: client == \"10.0.0.0/8\".\n"
        "\n"
        "  nuncio-tap -r f.pcap --where 'host == \"a.test\" && status >= 500 && total > 100ms'\n",
        out);
}
