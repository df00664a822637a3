/* The ClientHello itself (RFC 8446 4.1.2) and the extensions that we look into: the inner half of
 * the reader. Works on one contiguous message, touches each byte a fixed number of times, and
 * keeps offsets only. Every reader returns NULL or the reason why the hello is malformed. */
#include "core/table/domain.h"
#include "protocols/tls/client_hello_priv.h"

#define MESSAGE_HEAD   4
#define RANDOM_BYTES   32
#define SESSION_ID_MAX 32
#define NAME_TYPE_HOST 0 /* NameType host_name (RFC 6066 3) */

/* What is left to read of the message or of a part of it. */
struct cursor {
    const uint8_t *msg;
    uint32_t at, end;
};

static struct cursor cursor_of(const struct nu_client_hello *ch, struct nu_hello_span span)
{
    return (struct cursor){.msg = ch->msg, .at = span.at, .end = (uint32_t)span.at + span.len};
}

static bool take(struct cursor *c, uint32_t len, struct nu_hello_span *out)
{
    if (c->end - c->at < len)
        return false;
    *out = (struct nu_hello_span){.at = (uint16_t)c->at, .len = (uint16_t)len};
    c->at += len;
    return true;
}

static bool take_u8(struct cursor *c, unsigned *out)
{
    if (c->at == c->end)
        return false;
    *out = c->msg[c->at++];
    return true;
}

static bool take_u16(struct cursor *c, unsigned *out)
{
    if (c->end - c->at < 2)
        return false;
    *out = (unsigned)(c->msg[c->at] << 8 | c->msg[c->at + 1]);
    c->at += 2;
    return true;
}

/* A vector with a length of one byte or two in front. */
static bool take_vec8(struct cursor *c, struct nu_hello_span *out)
{
    unsigned len;
    return take_u8(c, &len) && take(c, len, out);
}

static bool take_vec16(struct cursor *c, struct nu_hello_span *out)
{
    unsigned len;
    return take_u16(c, &len) && take(c, len, out);
}

/* True if the span is a list of 16-bit values with at least one in it. */
static bool is_u16_list(struct nu_hello_span span)
{
    return span.len >= 2 && span.len % 2 == 0;
}

static void note_grease(struct nu_client_hello *ch, struct nu_hello_span list, unsigned bit)
{
    for (unsigned i = 0; i < list.len / 2u; i++)
        if (nu_hello_is_grease(nu_hello_u16(ch, list, i)))
            ch->grease |= (uint8_t)bit;
}

/* Leaves `out` alone unless the whole body is one 16-bit list behind a 16-bit length. */
static bool read_u16_list(const struct nu_client_hello *ch, struct nu_hello_span body,
                          struct nu_hello_span *out)
{
    struct cursor c = cursor_of(ch, body);
    struct nu_hello_span list;
    if (!take_vec16(&c, &list) || c.at != c.end || !is_u16_list(list))
        return false;
    *out = list;
    return true;
}

/* RFC 6066 3: ASCII without a trailing dot and no IP literals; the latter two occur, so they are
 * told instead of refused. Bytes that no name has would reach logs and headers: refused. */
static const char *set_host_name(struct nu_client_hello *ch, struct nu_hello_span name)
{
    const uint8_t *text = nu_hello_bytes(ch, name);
    for (unsigned i = 0; i < name.len; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f)
            return "server name with bytes that no name has";
    if (name.len > 0 && text[name.len - 1] == '.') {
        ch->sni_had_dot = true;
        name.len--;
    }
    if (name.len == 0)
        return "empty server name";
    if (name.len > NU_DOMAIN_MAX_BYTES)
        return "server name longer than 253 bytes";
    ch->sni_is_ip = nu_domain_is_ip((const char *)text, name.len);
    if (!ch->sni_is_ip)
        ch->sni = name;
    return NULL;
}

/* ServerNameList (RFC 6066 3). Names of other types are passed over; two host names could be read
 * as either, by us and by the server. */
static const char *read_server_name(struct nu_client_hello *ch, struct nu_hello_span body)
{
    struct cursor c = cursor_of(ch, body);
    struct nu_hello_span list, name;
    unsigned type, hosts = 0;
    if (!take_vec16(&c, &list) || c.at != c.end || list.len == 0)
        return "malformed server_name extension";
    for (c = cursor_of(ch, list); c.at != c.end;) {
        if (!take_u8(&c, &type) || !take_vec16(&c, &name))
            return "malformed server_name extension";
        if (type != NAME_TYPE_HOST)
            continue;
        if (hosts++)
            return "more than one server name";
        const char *reason = set_host_name(ch, name);
        if (reason)
            return reason;
    }
    ch->has_sni = true;
    return NULL;
}

/* ProtocolNameList (RFC 7301 3.1): at least one name, none of them empty. */
static const char *read_alpn(struct nu_client_hello *ch, struct nu_hello_span body)
{
    struct cursor c = cursor_of(ch, body);
    struct nu_hello_span list, name;
    if (!take_vec16(&c, &list) || c.at != c.end || list.len == 0)
        return "malformed ALPN extension";
    for (c = cursor_of(ch, list); c.at != c.end;) {
        if (!take_vec8(&c, &name) || name.len == 0)
            return "malformed ALPN extension";
        if (name.len == 2)
            note_grease(ch, name, NU_HELLO_GREASE_ALPN);
    }
    ch->alpn = list;
    return NULL;
}

static const char *read_groups(struct nu_client_hello *ch, struct nu_hello_span body)
{
    if (!read_u16_list(ch, body, &ch->groups)) /* RFC 8446 4.2.7 */
        return "malformed supported_groups extension";
    note_grease(ch, ch->groups, NU_HELLO_GREASE_GROUP);
    return NULL;
}

static const char *read_signatures(struct nu_client_hello *ch, struct nu_hello_span body)
{
    if (!read_u16_list(ch, body, &ch->signatures)) /* RFC 8446 4.2.3 */
        return "malformed signature_algorithms extension";
    note_grease(ch, ch->signatures, NU_HELLO_GREASE_SIGNATURE);
    return NULL;
}

static const char *read_versions(struct nu_client_hello *ch, struct nu_hello_span body)
{
    struct cursor c = cursor_of(ch, body);
    struct nu_hello_span list;
    if (!take_vec8(&c, &list) || c.at != c.end || !is_u16_list(list)) /* RFC 8446 4.2.1 */
        return "malformed supported_versions extension";
    ch->versions = list;
    note_grease(ch, list, NU_HELLO_GREASE_VERSION);
    return NULL;
}

static const char *read_points(struct nu_client_hello *ch, struct nu_hello_span body)
{
    struct cursor c = cursor_of(ch, body);
    struct nu_hello_span list;
    if (!take_vec8(&c, &list) || c.at != c.end || list.len == 0) /* RFC 8422 5.1.2 */
        return "malformed ec_point_formats extension";
    ch->points = list;
    return NULL;
}

static const struct known_ext {
    uint16_t type; /* IANA's ExtensionType */
    const char *(*read)(struct nu_client_hello *ch, struct nu_hello_span body);
} known_exts[] = {
    {0,  read_server_name},
    {10, read_groups     },
    {11, read_points     },
    {13, read_signatures },
    {16, read_alpn       },
    {43, read_versions   },
};

static const char *read_extension(struct nu_client_hello *ch, const struct nu_hello_ext *ext)
{
    if (nu_hello_is_grease(ext->type))
        ch->grease |= NU_HELLO_GREASE_EXTENSION;
    for (size_t i = 0; i < sizeof known_exts / sizeof *known_exts; i++)
        if (known_exts[i].type == ext->type)
            return known_exts[i].read(ch, ext->body);
    return NULL;
}

static bool take_extension(struct cursor *c, struct nu_hello_ext *ext)
{
    unsigned type;
    if (!take_u16(c, &type) || !take_vec16(c, &ext->body))
        return false;
    ext->type = (uint16_t)type;
    return true;
}

/* At most one of each type (RFC 8446 4.2): a bit per type keeps that linear for any number. */
static const char *read_extensions(struct nu_client_hello *ch)
{
    uint8_t seen[65536 / 8] = {0};
    struct cursor c = cursor_of(ch, ch->extensions);
    while (c.at != c.end) {
        struct nu_hello_ext ext;
        if (!take_extension(&c, &ext))
            return "truncated extension";
        uint8_t bit = (uint8_t)(1u << ext.type % 8);
        if (seen[ext.type / 8] & bit)
            return "duplicate extension";
        seen[ext.type / 8] |= bit;
        const char *reason = read_extension(ch, &ext);
        if (reason)
            return reason;
    }
    return NULL;
}

/* The fields before the extensions, in wire order. */
static const char *read_fixed_part(struct nu_client_hello *ch, struct cursor *c)
{
    unsigned version;
    if (!take_u16(c, &version) || !take(c, RANDOM_BYTES, &ch->random))
        return "truncated ClientHello";
    ch->legacy_version = (uint16_t)version;
    if (version >> 8 != 3)
        return "no TLS version in the ClientHello";
    if (!take_vec8(c, &ch->session_id) || ch->session_id.len > SESSION_ID_MAX)
        return "malformed session id";
    if (!take_vec16(c, &ch->ciphers) || !is_u16_list(ch->ciphers))
        return "malformed cipher suites";
    note_grease(ch, ch->ciphers, NU_HELLO_GREASE_CIPHER);
    if (!take_vec8(c, &ch->compressions) || ch->compressions.len == 0)
        return "malformed compression methods";
    return NULL;
}

const char *nu_hello_read_body(struct nu_client_hello *ch)
{
    struct cursor c = {.msg = ch->msg, .at = MESSAGE_HEAD, .end = ch->msg_len};
    const char *reason = read_fixed_part(ch, &c);
    if (reason || c.at == c.end) /* up to TLS 1.2 a hello may end without extensions */
        return reason;
    if (!take_vec16(&c, &ch->extensions) || c.at != c.end)
        return "malformed extensions";
    return read_extensions(ch);
}

bool nu_hello_ext_next(const struct nu_client_hello *ch, unsigned *at, struct nu_hello_ext *ext)
{
    struct cursor c = cursor_of(ch, ch->extensions);
    c.at += *at;
    if (!take_extension(&c, ext))
        return false;
    *at = c.at - ch->extensions.at;
    return true;
}

bool nu_hello_alpn_next(const struct nu_client_hello *ch, unsigned *at, struct nu_hello_span *name)
{
    struct cursor c = cursor_of(ch, ch->alpn);
    c.at += *at;
    if (!take_vec8(&c, name))
        return false;
    *at = c.at - ch->alpn.at;
    return true;
}
