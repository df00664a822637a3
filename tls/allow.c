/* Names and hashes that certificates are compared with: as a config writes them, and the
 * comparison. Parsing on main, matching on workers. */
#include "tls/allow.h"

#include "core/assert.h"
#include "tls/peer.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

#define HOST_FLAGS (X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)

/* --- as written --- */

static enum nu_err unexpected(struct nu_conf *conf, const struct nu_node *node, const char *what)
{
    if (node->kind == NU_NODE_SCALAR && !nu_node_is_null(node))
        nu_conf_error(conf, node, "found \"%.60s\", expected %s", node->text, what);
    else
        nu_conf_error(conf, node, "expected %s", what);
    return NU_ERR_CONFIG;
}

static bool is_text(const struct nu_node *node)
{
    return node->kind == NU_NODE_SCALAR && !nu_node_is_null(node) && *node->text;
}

static enum nu_err parse_pattern(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, enum tls_name_kind kind,
                                 struct tls_san *out)
{
    static const char *const expected[TLS_NAME_KINDS] = {
        "a host name like a.test or \"*.a.test\"", "a URI like spiffe://mesh/web",
        "a mail address like a@b.test or \"*@b.test\""};
    const char *why;
    if (!is_text(node))
        return unexpected(conf, node, expected[kind]);
    if (!tls_pattern_check(kind, node->text, &why)) {
        nu_conf_error(conf, node, "\"%.100s\": %s", node->text, why);
        return NU_ERR_CONFIG;
    }
    *out = (struct tls_san){.kind = kind, .pattern = nu_arena_strdup(arena, node->text)};
    return NU_OK;
}

static enum nu_err parse_dns(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    return parse_pattern(conf, arena, node, TLS_NAME_DNS, out);
}

static enum nu_err parse_uri(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    return parse_pattern(conf, arena, node, TLS_NAME_URI, out);
}

static enum nu_err parse_email(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    return parse_pattern(conf, arena, node, TLS_NAME_EMAIL, out);
}

static enum nu_err parse_ip(struct nu_conf *conf, struct nu_arena *arena,
                            const struct nu_node *node, void *out)
{
    struct tls_san *san = out;
    *san = (struct tls_san){0};
    if (is_text(node) && nu_addr_parse_cidr(&san->net, node->text) == NU_OK)
        return NU_OK;
    return unexpected(conf, node, "an address like 10.0.0.1 or a network like 10.0.0.0/8");
}

enum nu_err tls_parse_san(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                          void *out)
{
    struct tls_san *san = out;
    *san = (struct tls_san){0};
    if (is_text(node) && nu_addr_parse_cidr(&san->net, node->text) == NU_OK)
        return NU_OK;
    if (is_text(node) && strchr(node->text, ':'))
        return parse_uri(conf, arena, node, out);
    if (is_text(node) && strchr(node->text, '@'))
        return parse_email(conf, arena, node, out);
    return parse_dns(conf, arena, node, out);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) % 16 : -1;
}

/* 64 digits, with or without colons between bytes. */
static bool read_hex(const char *text, struct tls_hash *out)
{
    for (int i = 0; i < TLS_HASH_LEN; i++) {
        if (i && *text == ':')
            text++;
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        out->byte[i] = (unsigned char)(high << 4 | low);
        text += 2;
    }
    return *text == 0;
}

/* 44 characters, the last one padding. */
static bool read_base64(const char *text, struct tls_hash *out)
{
    unsigned char bytes[TLS_HASH_LEN + 1];
    if (strlen(text) != 44 || text[43] != '=' || text[42] == '=' ||
        EVP_DecodeBlock(bytes, (const unsigned char *)text, 44) != TLS_HASH_LEN + 1)
        return false;
    memcpy(out->byte, bytes, TLS_HASH_LEN);
    return true;
}

static enum nu_err parse_hash(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    if (is_text(node) && (read_hex(node->text, out) || read_base64(node->text, out)))
        return NU_OK;
    ERR_clear_error();
    return unexpected(conf, node, "a SHA-256: 64 hexadecimal digits, or base64");
}

#define LIST(key_, parse_, item_, shown_, doc_)                                                    \
    {                                                                                              \
        .key = #key_, .type = NU_CUSTOM, .flags = NU_LIST | NU_NONEMPTY,                           \
        .offset = offsetof(struct tls_allow, key_), .parse = (parse_), .item = sizeof(item_),      \
        .shown = (shown_), .doc = (doc_)                                                           \
    }
static const struct nu_field fields[] = {
    LIST(dns, parse_dns, struct tls_san, "host names",
         "DNS names: `web.svc`, or `\"*.svc\"` for one label below svc."),
    LIST(uri, parse_uri, struct tls_san, "URIs",
         "URIs: `spiffe://mesh/web`; a `*` stands for one whole segment of the path, at its end "
         "for one or more, and never for a dot segment or anything percent-encoded."),
    LIST(email, parse_email, struct tls_san, "mail addresses",
         "Mail addresses: `a@b.test`, or `\"*@b.test\"` for any at that host."),
    LIST(ip, parse_ip, struct tls_san, "addresses or networks", "IP addresses, or networks."),
    LIST(sha256, parse_hash, struct tls_hash, "hashes",
         "SHA-256 of the certificate (DER), hexadecimal or base64."),
    LIST(spki, parse_hash, struct tls_hash, "hashes",
         "SHA-256 of its public key info, hexadecimal or base64."),
    {0}};

const struct nu_schema tls_allow_schema = {
    .name = "allow",
    .doc = "Which certificates get in. One name of any kind suffices, as does one hash; where "
           "there are names and hashes, both have to fit.",
    .size = sizeof(struct tls_allow),
    .fields = fields,
};

bool tls_allow_has_names(const struct tls_allow *a)
{
    return a->dns.count + a->uri.count + a->email.count + a->ip.count > 0;
}

bool tls_allow_has_hashes(const struct tls_allow *a)
{
    return a->sha256.count + a->spki.count > 0;
}

/* --- matching --- */

static bool in_net(const ASN1_OCTET_STRING *ip, const struct nu_addr *net)
{
    int len = ASN1_STRING_length(ip);
    struct nu_addr addr = {.kind = len == 4 ? NU_ADDR_IP4 : NU_ADDR_IP6};
    if (len != 4 && len != 16)
        return false;
    memcpy(addr.ip, ASN1_STRING_get0_data(ip), (size_t)len);
    addr.prefix = (uint8_t)(8 * len);
    return nu_addr_in(&addr, net);
}

static bool fits(const struct tls_san *san, const GENERAL_NAME *name)
{
    static const int types[TLS_NAME_KINDS] = {GEN_DNS, GEN_URI, GEN_EMAIL};
    if (!san->pattern)
        return name->type == GEN_IPADD && in_net(name->d.iPAddress, &san->net);
    if (name->type != types[san->kind])
        return false;
    int len = ASN1_STRING_length(name->d.ia5);
    return len > 0 &&
           tls_pattern_matches(san->kind, san->pattern,
                               (const char *)ASN1_STRING_get0_data(name->d.ia5), (size_t)len);
}

static bool any_fits(const struct nu_vec *sans, const GENERAL_NAME *name)
{
    const struct tls_san *san = sans->items;
    for (size_t i = 0; i < sans->count; i++)
        if (fits(&san[i], name))
            return true;
    return false;
}

static bool has_any(const struct nu_vec *const *lists, size_t count, const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int total = names ? sk_GENERAL_NAME_num(names) : 0;
    bool found = false;
    for (int i = 0; i < total && i < TLS_SANS_MAX && !found; i++)
        for (size_t n = 0; n < count && !found; n++)
            found = any_fits(lists[n], sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return found;
}

bool tls_allow_name(const struct tls_allow *a, X509 *cert)
{
    return has_any((const struct nu_vec *const[]){&a->dns, &a->uri, &a->email, &a->ip}, 4, cert);
}

static bool is_among(const struct nu_vec *hashes, const unsigned char hash[static TLS_HASH_LEN])
{
    const struct tls_hash *item = hashes->items;
    for (size_t i = 0; i < hashes->count; i++)
        if (memcmp(item[i].byte, hash, TLS_HASH_LEN) == 0)
            return true;
    return false;
}

bool tls_allow_hash(const struct tls_allow *a, const X509 *cert)
{
    unsigned char hash[TLS_HASH_LEN];
    if (a->sha256.count && nu_tls_cert_sha256(cert, hash) && is_among(&a->sha256, hash))
        return true;
    return a->spki.count && nu_tls_spki_sha256(cert, hash) && is_among(&a->spki, hash);
}

bool tls_server_is_host(X509 *cert, const char *host)
{
    return X509_check_host(cert, host, 0, HOST_FLAGS, NULL) == 1;
}

bool tls_server_is_addr(X509 *cert, const struct nu_addr *addr)
{
    size_t len = addr->kind == NU_ADDR_IP4 ? 4 : addr->kind == NU_ADDR_IP6 ? 16 : 0;
    return len > 0 && X509_check_ip(cert, addr->ip, len, 0) == 1;
}

bool tls_server_has_san(const struct nu_vec *sans, X509 *cert)
{
    const struct tls_san *san = sans->items;
    for (size_t i = 0; i < sans->count; i++)
        if (san[i].pattern && san[i].kind == TLS_NAME_DNS && *san[i].pattern != '*' &&
            tls_server_is_host(cert, san[i].pattern))
            return true;
    return has_any((const struct nu_vec *const[]){sans}, 1, cert);
}
