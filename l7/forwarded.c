/* Headers about the way a message takes; see forwarded.h. x-forwarded-client-cert is in xfcc.c, the
 * config in forwarded_conf.c. On workers, for each request and response: no system call, no
 * formatted print. */
#include "l7/forwarded_priv.h"

#include "core/assert.h"
#include "core/facts.h"
#include "l7/date.h"
#include "l7/request_id.h"
#include "l7/stream.h"

#include <string.h>

#define UNDERSCORED_MAX 64 /* bytes of a name that is looked at; Envoy's longest have 43 */

/* --- fields --- */

static struct nu_text text_of(const char *text)
{
    return nu_text(text, strlen(text));
}

/* By a table of its own: the names here are known when this is compiled. */
static struct nu_text name_of(enum nu_hdr id)
{
#define NAME(id_, name_, flags_) [NU_HDR_##id_] = {(name_), sizeof(name_) - 1},
    static const struct nu_text names[NU_HDR_COUNT] = {NU_HDR_LIST(NAME)};
#undef NAME
    return names[id];
}

void fw_put(struct nu_http_head *head, enum nu_hdr id, struct nu_text value)
{
    unsigned at = head->known[id];
    if (at == 0) {
        nu_http_append(head, id, name_of(id), value);
        return;
    }
    struct nu_http_field *field = &head->fields[at - 1];
    nu_assert(field != NULL);
    if (field->flags & NU_HTTP_FIELD_SHARED) {
        nu_http_remove_known(head, id);
        head->known[id] = (uint16_t)at;
    }
    field->flags = 0; /* what Connection said of the old one is not said of ours */
    field->value = value.at;
    field->value_len = (uint32_t)value.len;
}

static struct nu_text copy(const struct nu_http_head *head, struct nu_text text)
{
    return nu_text(nu_arena_strndup(head->arena, text.at, text.len), text.len);
}

/* `value`, a separator and `more`, in the head's arena. */
static struct nu_text joined(const struct nu_http_head *head, struct nu_text value,
                             struct nu_text separator, struct nu_text more)
{
    size_t len = value.len + separator.len + more.len;
    char *text = nu_arena_alloc(head->arena, len + 1);
    memcpy(text, value.at, value.len);
    memcpy(text + value.len, separator.at, separator.len);
    memcpy(text + value.len + separator.len, more.at, more.len);
    return nu_text(text, len);
}

struct nu_text fw_list(const struct nu_http_head *head, enum nu_hdr id)
{
    struct nu_text all = nu_http_value(head, id);
    const struct nu_http_field *first = nu_http_get(head, id);
    size_t len = 0;
    if (!first || !(first->flags & NU_HTTP_FIELD_SHARED))
        return all;
    for (const struct nu_http_field *f = first; f; f = nu_http_next(head, f))
        len += f->value_len + 1u;
    char *text = nu_arena_alloc(head->arena, len), *at = text;
    for (const struct nu_http_field *f = first; f; f = nu_http_next(head, f)) {
        if (f->value_len == 0)
            continue;
        if (at > text)
            *at++ = ',';
        memcpy(at, f->value, f->value_len);
        at += f->value_len;
    }
    return nu_text(text, (size_t)(at - text));
}

/* Adds an element, which lives as long as the head, to the list that the field is. */
static void extend(struct nu_http_head *head, enum nu_hdr id, struct nu_text separator,
                   struct nu_text element)
{
    struct nu_text before = fw_list(head, id);
    fw_put(head, id, before.len ? joined(head, before, separator, element) : element);
}

/* --- what a client may not say --- */

/* "x-envoy-" in any case of letters, as one word: a hyphen stays itself. */
static bool is_envoys(const char *name, size_t len)
{
    uint64_t word, is;
    if (len <= sizeof word)
        return false;
    memcpy(&word, name, sizeof word);
    memcpy(&is, "x-envoy-", sizeof is);
    return (word | UINT64_C(0x2020202020202020)) == is;
}

static bool is_ours(enum nu_hdr id)
{
    return id == NU_HDR_XFCC || id == NU_HDR_XFF || id == NU_HDR_XFH || id == NU_HDR_XFPORT ||
           id == NU_HDR_XFP || id == NU_HDR_X_REAL_IP || id == NU_HDR_REQUEST_ID;
}

/* Servers that turn names into variables (CGI, WSGI) take "x_forwarded_for" for x-forwarded-for:
 * nobody but an attacker sends it. */
static bool is_disguised(const struct nu_http_field *field)
{
    char name[UNDERSCORED_MAX];
    size_t len = field->name_len;
    if (len < 2 || len > sizeof name || !memchr(field->name, '_', len))
        return false;
    for (size_t i = 0; i < len; i++)
        name[i] = field->name[i] == '_' ? '-' : field->name[i];
    return is_envoys(name, len) || is_ours(nu_hdr_find(name, len));
}

static bool may_not_say(const struct nu_http_field *field, bool trusted)
{
    if (field->id != NU_HDR_OTHER || (field->name[0] | 0x20) != 'x')
        return false;
    return (!trusted && is_envoys(field->name, field->name_len)) || is_disguised(field);
}

static void remove_claims(struct nu_http_head *head, bool trusted)
{
    static const uint8_t claims[] = {NU_HDR_FORWARDED, NU_HDR_XFH, NU_HDR_XFPORT, NU_HDR_X_REAL_IP};
    for (unsigned i = 0; i < head->count; i++) {
        if (may_not_say(&head->fields[i], trusted))
            head->fields[i].flags |= NU_HTTP_FIELD_GONE;
    }
    for (size_t i = 0; !trusted && i < sizeof claims; i++)
        nu_http_remove_known(head, (enum nu_hdr)claims[i]);
}

/* --- who the client is --- */

/* The element of the list that stands `hop` (1 is the last) from the right; empty: there are not so
 * many. */
static struct nu_text element_from_right(struct nu_text list, int64_t hop)
{
    size_t end = list.len, at;
    for (;; end = at - 1) {
        for (at = end; at > 0 && list.at[at - 1] != ',';)
            at--;
        if (--hop == 0 || at == 0)
            break;
    }
    while (at < end && (list.at[at] == ' ' || list.at[at] == '\t'))
        at++;
    while (end > at && (list.at[end - 1] == ' ' || list.at[end - 1] == '\t'))
        end--;
    return hop ? nu_text("", 0) : nu_text(list.at + at, end - at);
}

/* "1.2.3.4", "::1", and what some write: "1.2.3.4:80", "[::1]", "[::1]:80". */
static bool read_address(struct nu_text text, struct nu_addr *out)
{
    char buf[64];
    if (text.len == 0 || text.len >= sizeof buf || memchr(text.at, '%', text.len) ||
        memchr(text.at, '/', text.len))
        return false;
    memcpy(buf, text.at, text.len);
    buf[text.len] = 0;
    return nu_addr_parse(out, buf, 0) == NU_OK &&
           (out->kind == NU_ADDR_IP4 || out->kind == NU_ADDR_IP6);
}

void nu_forwarded_client(struct nu_facts *facts, struct nu_arena *arena,
                         const struct nu_addr *client)
{
    struct nu_facts_more *more = nu_arena_alloc(arena, sizeof *more);
    if (facts->more)
        *more = *facts->more;
    if (more->direct.kind == NU_ADDR_NONE)
        more->direct = facts->client;
    facts->more = more;
    facts->client = *client;
}

/* The trusted hops say who it is: the peer is the last of them. */
static void find_client(const struct nu_forwarded_conf *conf, const struct nu_stream *s,
                        struct nu_facts *facts)
{
    struct nu_addr client;
    struct nu_text list = fw_list(s->request, NU_HDR_XFF);
    if (!read_address(element_from_right(list, conf->trusted_hops), &client))
        return;
    nu_forwarded_client(facts, s->arena, &client);
}

static void add_for(struct nu_http_head *head, const struct nu_addr *peer)
{
    char text[NU_ADDR_TEXT_MAX];
    if (peer->kind == NU_ADDR_IP4 || peer->kind == NU_ADDR_IP6)
        extend(head, NU_HDR_XFF, NU_TEXT(","), copy(head, text_of(nu_addr_str_ip(peer, text))));
}

/* --- the rest of a request --- */

static bool is_scheme(struct nu_text text)
{
    return nu_text_is_fold(text, "https") || nu_text_is_fold(text, "http");
}

static void set_proto(struct nu_http_head *head, bool trusted, bool tls)
{
    struct nu_text said = nu_http_value(head, NU_HDR_XFP);
    if (trusted && is_scheme(said))
        fw_put(head, NU_HDR_XFP, said);
    else
        fw_put(head, NU_HDR_XFP, tls ? NU_TEXT("https") : NU_TEXT("http"));
}

static void set_request_id(const struct nu_forwarded_conf *conf, struct nu_http_head *head)
{
    const struct nu_http_field *sent = nu_http_get(head, NU_HDR_REQUEST_ID);
    bool keep = conf->keep_request_id || conf->trusted_hops > 0;
    if (!conf->request_id)
        return;
    if (keep && sent && !(sent->flags & NU_HTTP_FIELD_SHARED) && sent->value_len > 0 &&
        sent->value_len <= NU_REQUEST_ID_MAX_BYTES)
        return;
    char *id = nu_arena_alloc(head->arena, NU_UUID_BYTES);
    nu_request_id(id);
    fw_put(head, NU_HDR_REQUEST_ID, nu_text(id, NU_UUID_BYTES));
}

/* By the version that the message was received in (RFC 9110 7.6.3). */
static void add_via(const struct nu_forwarded_conf *conf, struct nu_http_head *head)
{
    if (!conf->via)
        return;
    struct nu_text version = head->version == NU_HTTP_1_0 ? NU_TEXT("1.0")
                             : head->version == NU_HTTP_2 ? NU_TEXT("2")
                                                          : NU_TEXT("1.1");
    extend(head, NU_HDR_VIA, NU_TEXT(", "),
           joined(head, version, NU_TEXT(" "), text_of(conf->via)));
}

void nu_forwarded_request(const struct nu_forwarded_conf *conf, struct nu_stream *stream,
                          struct nu_facts *facts)
{
    struct nu_http_head *head = stream->request;
    struct nu_addr peer = facts->client;
    bool trusted = conf->trusted_hops > 0;
    remove_claims(head, trusted);
    if (trusted)
        find_client(conf, stream, facts);
    add_for(head, &peer);
    set_proto(head, trusted, facts->tls != NULL);
    set_request_id(conf, head);
    fw_client_cert(conf, head, facts);
    add_via(conf, head);
}

bool nu_forwarded_https(const struct nu_http_head *request)
{
    return nu_text_is_fold(nu_http_value(request, NU_HDR_XFP), "https");
}

/* The digits behind the colon of an authority; empty: it has none. */
static struct nu_text port_of(struct nu_text authority)
{
    size_t at = authority.len;
    while (at > 0 && authority.at[at - 1] >= '0' && authority.at[at - 1] <= '9')
        at--;
    if (at == 0 || authority.at[at - 1] != ':')
        return nu_text("", 0);
    return nu_text(authority.at + at, authority.len - at);
}

void nu_forwarded_host(struct nu_http_head *request, struct nu_text original)
{
    struct nu_text port = port_of(original);
    if (port.len == 0)
        port = nu_forwarded_https(request) ? NU_TEXT("443") : NU_TEXT("80");
    if (original.len == 0 || !nu_http_value_ok(original))
        return;
    extend(request, NU_HDR_XFH, NU_TEXT(","), copy(request, original));
    if (!nu_http_get(request, NU_HDR_XFPORT))
        fw_put(request, NU_HDR_XFPORT, copy(request, port));
}

/* --- responses --- */

void nu_forwarded_response(const struct nu_forwarded_conf *conf, struct nu_stream *stream,
                           struct nu_http_head *response)
{
    if (!nu_http_get(response, NU_HDR_DATE))
        fw_put(response, NU_HDR_DATE, copy(response, nu_http_date_now()));
    if (*conf->server)
        fw_put(response, NU_HDR_SERVER, text_of(conf->server));
    if (!stream->local)
        add_via(conf, response);
    if (conf->show_request_id && nu_http_get(stream->request, NU_HDR_REQUEST_ID))
        nu_http_set_known(response, NU_HDR_REQUEST_ID,
                          nu_http_value(stream->request, NU_HDR_REQUEST_ID));
}
