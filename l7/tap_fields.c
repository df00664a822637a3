/* The fields of the live tap, one getter each: a record that has no such thing says so. Texts are
 * lent by the connection or the stream. */
#include "l7/tap_fields.h"

#include "l4/cluster.h"
#include "l7/route/route.h"
#include "l7/stream.h"

#include <string.h>

#define GET_ARGS const void *record, struct nu_where_value *out

static const struct nu_facts *facts_of(const void *record)
{
    return ((const struct nu_tap_record *)record)->facts;
}

/* NULL: there is no request, or none could be read. */
static const struct nu_http_head *request_of(const void *record)
{
    const struct nu_stream *s = ((const struct nu_tap_record *)record)->stream;
    return s ? s->request : NULL;
}

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

static bool set_addr(struct nu_where_value *out, const struct nu_addr *addr)
{
    out->addr = *addr;
    return addr->kind != NU_ADDR_NONE;
}

/* --- connections --- */

static bool get_id(GET_ARGS)
{
    return set_number(out, (int64_t)facts_of(record)->id);
}

static bool get_client(GET_ARGS)
{
    return set_addr(out, &facts_of(record)->client);
}

static bool is_proxied(const struct nu_facts *facts)
{
    return facts->more && facts->more->direct.kind != NU_ADDR_NONE;
}

static bool get_source(GET_ARGS)
{
    return is_proxied(facts_of(record)) && get_client(record, out);
}

static bool get_peer(GET_ARGS)
{
    const struct nu_facts *facts = facts_of(record);
    return is_proxied(facts) ? set_addr(out, &facts->more->direct) : get_client(record, out);
}

static bool get_server(GET_ARGS)
{
    return set_addr(out, &facts_of(record)->local);
}

static bool get_port(GET_ARGS)
{
    const struct nu_addr *local = &facts_of(record)->local;
    return (local->kind == NU_ADDR_IP4 || local->kind == NU_ADDR_IP6) &&
           set_number(out, local->port);
}

static bool get_listener(GET_ARGS)
{
    return set_str(out, facts_of(record)->listener);
}

static bool get_chain(GET_ARGS)
{
    return set_str(out, facts_of(record)->chain);
}

/* --- TLS --- */

static bool get_is_tls(GET_ARGS)
{
    const struct nu_facts *facts = facts_of(record);
    bool passed_on = facts->more && facts->more->transport == NU_TRANSPORT_TLS;
    return set_number(out, facts->tls || passed_on);
}

static bool get_sni(GET_ARGS)
{
    const struct nu_facts *facts = facts_of(record);
    return set_str(out, facts->more && facts->more->sni ? facts->more->sni
                        : facts->tls                    ? facts->tls->sni
                                                        : NULL);
}

static bool get_alpn(GET_ARGS)
{
    const struct nu_tls_facts *tls = facts_of(record)->tls;
    return tls && set_str(out, tls->alpn);
}

static bool get_alpn_offered(GET_ARGS)
{
    const struct nu_facts_more *more = facts_of(record)->more;
    return more && set_str(out, more->alpn);
}

static bool get_version(GET_ARGS)
{
    const struct nu_tls_facts *tls = facts_of(record)->tls;
    return tls && set_str(out, tls->version);
}

static bool get_cipher(GET_ARGS)
{
    const struct nu_tls_facts *tls = facts_of(record)->tls;
    return tls && set_str(out, tls->cipher);
}

static bool get_ja3(GET_ARGS)
{
    const struct nu_facts_more *more = facts_of(record)->more;
    return more && set_str(out, more->ja3);
}

static bool get_ja4(GET_ARGS)
{
    const struct nu_facts_more *more = facts_of(record)->more;
    return more && set_str(out, more->ja4);
}

/* --- the client's certificate --- */

static const struct nu_tls_peer *peer_of(const void *record)
{
    const struct nu_tls_facts *tls = facts_of(record)->tls;
    return tls ? tls->peer : NULL;
}

static bool get_peer_verified(GET_ARGS)
{
    const struct nu_tls_peer *peer = peer_of(record);
    return peer && set_number(out, peer->verified);
}

#define PEER_GETTER(name)                                                                          \
    static bool get_peer_##name(GET_ARGS)                                                          \
    {                                                                                              \
        const struct nu_tls_peer *peer = peer_of(record);                                          \
        return peer && set_str(out, peer->name);                                                   \
    }
PEER_GETTER(subject)
PEER_GETTER(issuer)
PEER_GETTER(serial)
PEER_GETTER(sha256)
PEER_GETTER(dns)
PEER_GETTER(uri)
PEER_GETTER(email)
PEER_GETTER(ip)
#undef PEER_GETTER

/* --- requests --- */

static bool get_proto(GET_ARGS)
{
    const struct nu_http_head *request = request_of(record);
    return request && set_str(out, ((const struct nu_tap_record *)record)->stream->grpc ? "grpc"
                                   : request->version == NU_HTTP_2                      ? "h2"
                                                                                        : "h1");
}

static bool get_method(GET_ARGS)
{
    const struct nu_http_head *request = request_of(record);
    return request && set_text(out, request->method);
}

static bool get_host(GET_ARGS)
{
    const struct nu_http_head *request = request_of(record);
    return request && set_text(out, request->authority);
}

static bool get_target(GET_ARGS)
{
    const struct nu_http_head *request = request_of(record);
    return request && set_text(out, request->path.len ? request->path : request->target);
}

static bool get_path(GET_ARGS)
{
    if (!get_target(record, out))
        return false;
    const char *query = memchr(out->text.at, '?', out->text.len);
    return set_text(out,
                    nu_text(out->text.at, query ? (size_t)(query - out->text.at) : out->text.len));
}

static bool get_upgrade(GET_ARGS)
{
    const struct nu_http_head *request = request_of(record);
    return request && set_text(out, request->upgrade);
}

static bool get_route(GET_ARGS)
{
    const struct nu_stream *s = ((const struct nu_tap_record *)record)->stream;
    return s && s->route && set_str(out, s->route->name);
}

/* Of several by weight the router chooses when the request is past the filters. */
static bool get_cluster(GET_ARGS)
{
    const struct nu_stream *s = ((const struct nu_tap_record *)record)->stream;
    if (!s)
        return set_str(out, nu_facts_exchange(facts_of(record))->cluster);
    if (s->cluster)
        return set_str(out, s->cluster->name);
    bool one = s->route && s->route->kind == NU_ROUTE_CLUSTER && s->route->share_count == 1;
    return one && set_str(out, s->route->shares[0].name);
}

static bool get_request_field(const void *record, struct nu_text name, struct nu_where_value *out)
{
    const struct nu_http_head *request = request_of(record);
    const struct nu_http_field *field = request ? nu_http_find(request, name) : NULL;
    if (field)
        out->text = nu_http_field_value(field);
    return field != NULL;
}

/* --- the table --- */

#define CX NU_TAP_AT_CONNECTION
#define RQ NU_TAP_AT_REQUEST

static const struct nu_where_field fields[] = {
    {"id",            NU_WHERE_NUMBER, "of the client's connection, as logs have it",  get_id,            CX},
    {"client",        NU_WHERE_ADDR,   "its address, with or without port",            get_client,        CX},
    {"source",        NU_WHERE_ADDR,   "of the PROXY header",                          get_source,        CX},
    {"peer",          NU_WHERE_ADDR,   "of the socket",                                get_peer,          CX},
    {"server",        NU_WHERE_ADDR,   "where the client meant to go",                 get_server,        CX},
    {"port",          NU_WHERE_NUMBER, "of that",                                      get_port,          CX},
    {"listener",      NU_WHERE_TEXT,   "its name",                                     get_listener,      CX},
    {"chain",         NU_WHERE_TEXT,   "its name",                                     get_chain,         CX},
    {"tls",           NU_WHERE_BOOL,   "inside TLS, ended here or passed on",          get_is_tls,        CX},
    {"sni",           NU_WHERE_TEXT,   "tls",                                          get_sni,           CX},
    {"alpn",          NU_WHERE_TEXT,   "tls: chosen here",                             get_alpn,          CX},
    {"alpn_offered",  NU_WHERE_TEXT,   "tls passed on: with commas",                   get_alpn_offered,  CX},
    {"version",       NU_WHERE_TEXT,   "tls ended here: TLSv1.3",                      get_version,       CX},
    {"cipher",        NU_WHERE_TEXT,   "tls ended here",                               get_cipher,        CX},
    {"ja3",           NU_WHERE_TEXT,   "tls: where a match or a log asks for it, too", get_ja3,           CX},
    {"ja4",           NU_WHERE_TEXT,   "the same",                                     get_ja4,           CX},
    {"peer_verified", NU_WHERE_BOOL,   "the client's certificate",                     get_peer_verified, CX},
    {"peer_subject",  NU_WHERE_TEXT,   "of the client's certificate",                  get_peer_subject,  CX},
    {"peer_issuer",   NU_WHERE_TEXT,   "the same",                                     get_peer_issuer,   CX},
    {"peer_serial",   NU_WHERE_TEXT,   "the same: hexadecimal",                        get_peer_serial,   CX},
    {"peer_sha256",   NU_WHERE_TEXT,   "the same: hexadecimal",                        get_peer_sha256,   CX},
    {"peer_dns",      NU_WHERE_TEXT,   "the same: its other names, with commas",       get_peer_dns,      CX},
    {"peer_uri",      NU_WHERE_TEXT,   "the same",                                     get_peer_uri,      CX},
    {"peer_email",    NU_WHERE_TEXT,   "the same",                                     get_peer_email,    CX},
    {"peer_ip",       NU_WHERE_TEXT,   "the same",                                     get_peer_ip,       CX},
    {"proto",         NU_WHERE_TEXT,   "http: h1, h2 or grpc",                         get_proto,         RQ},
    {"method",        NU_WHERE_TEXT,   "http",                                         get_method,        RQ},
    {"host",          NU_WHERE_TEXT,   "http",                                         get_host,          RQ},
    {"target",        NU_WHERE_TEXT,   "http: path and query",                         get_target,        RQ},
    {"path",          NU_WHERE_TEXT,   "http: the target up to its query",             get_path,          RQ},
    {"upgrade",       NU_WHERE_TEXT,   "http: websocket",                              get_upgrade,       RQ},
    {"route",         NU_WHERE_TEXT,   "http: its name, or routes[2]",                 get_route,         RQ},
    {"cluster",       NU_WHERE_TEXT,   "http: where the route has one only",           get_cluster,       RQ},
};
static const struct nu_where_family families[] = {
    {"request.", "http: a header field of the request", get_request_field, RQ},
};

const struct nu_where_fields nu_tap_fields = {
    .field = fields,
    .count = sizeof fields / sizeof *fields,
    .family = families,
    .families = sizeof families / sizeof *families,
    .record = "a request",
    .listed = "nuncio ctl tap --help lists them",
};
