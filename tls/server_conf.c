/* `tls` of listeners and chains: the schema, and from a parsed map to a context. Main thread. */
#include "core/addr.h"
#include "core/table/strmap.h"
#include "tls/context_priv.h"
#include "tls/filter.h"

#include <string.h>
#include <strings.h>

/* --- tickets --- */

/* `off`, `on`, or a map of settings. */
static enum nu_err parse_tickets(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    struct tls_tickets_conf *tickets = out;
    const char *word = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node) ? node->text : "";
    *tickets = (struct tls_tickets_conf){0};
    if (strcasecmp(word, "off") == 0 || strcasecmp(word, "false") == 0) {
        tickets->off = true;
        return NU_OK;
    }
    if (strcasecmp(word, "on") == 0 || strcasecmp(word, "true") == 0)
        return NU_OK;
    if (*word) {
        nu_conf_error(conf, node,
                      "found \"%.60s\", expected off, or a map with \"keys\" or "
                      "\"rotate\"",
                      word);
        return NU_ERR_CONFIG;
    }
    tickets->conf = nu_arena_alloc(arena, sizeof *tickets->conf);
    return nu_schema_parse(&nu_tls_ticket_schema, conf, arena, node, tickets->conf);
}

/* Contexts with the same words share their keys: sessions are bound to what they prove by other
 * means (resume.c). */
static enum nu_err open_tickets(struct nu_conf *conf, const struct nu_node *node,
                                struct tls_context *context)
{
    char why[256];
    const struct tls_tickets_conf *t = &context->conf.server->tickets;
    const struct nu_node *at = nu_node_get(node, "tickets");
    if (t->off)
        return NU_OK;
    const char *name = t->conf ? nu_node_print(context->arena, at) : "";
    context->pub.tickets = nu_tls_tickets_get(name, t->conf);
    if (nu_tls_tickets_load(context->pub.tickets, why, sizeof why))
        return NU_OK;
    nu_conf_error(conf, tls_place_of(at, "keys"), "%s", why);
    return NU_ERR_CONFIG;
}

/* --- tls --- */

static const struct nu_field server_fields[] = {
    {.key = "certificates",
     .type = NU_OBJECT,
     .flags = NU_LIST | NU_NONEMPTY | NU_REQUIRED,
     .offset = offsetof(struct tls_server_conf, certificates),
     .sub = &tls_cert_schema,
     .doc = "Certificates with their keys. Of those with the name that the client asks for (SNI), "
            "else of its wildcard, the client is shown one that it can verify, ECDSA before RSA. "
            "The first one is for all other clients."},
    {.key = "client_certs",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .offset = offsetof(struct tls_server_conf, clients),
     .sub = &tls_client_certs_schema,
     .doc = "Asks clients for a certificate and verifies it."},
    TLS_PARAM_ROWS(struct tls_server_conf,
                   "Protocols, ours first: the first one that the client offers too is agreed on. "
                   "A client that offers only others is refused (RFC 7301 3.2); one that offers "
                   "none is not."),
    {.key = "tickets",
     .type = NU_CUSTOM,
     .offset = offsetof(struct tls_server_conf, tickets),
     .parse = parse_tickets,
     .sub = &nu_tls_ticket_schema,
     .shown = "map or off",
     .doc = "Tickets that clients resume sessions with; `off` for none. A session ends with the "
            "client's certificate, and with any change of `client_certs`, of what is trusted, of "
            "ciphers, or of the versions."},
    {.key = "keylog",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .offset = offsetof(struct tls_server_conf, keylog),
     .sub = &nu_keylog_schema,
     .doc = "Writes the secrets of connections to a file, for decryption."},
    {.key = "starttls",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .offset = offsetof(struct tls_server_conf, starttls),
     .sub = &nu_starttls_schema,
     .doc = "TLS begins when the client asks for it in the protocol's own words."},
    {0                                 }
};

/* Names that an earlier certificate with the same kind of key has: this one is not shown for them.
 */
static void warn_of_names(struct nu_conf *conf, const struct nu_node *node, struct nu_strmap *seen,
                          const struct tls_cert *cert)
{
    struct nu_arena *scratch = nu_arena_new(1024);
    const char *taken = NULL;
    size_t count = 0;
    for (size_t i = 0; i < cert->name_count; i++) {
        const char *key =
            nu_arena_printf(scratch, "%d %s", EVP_PKEY_get_base_id(cert->key), cert->names[i]);
        if (!nu_strmap_get_str(seen, key)) {
            nu_strmap_put_str(seen, key, (void *)cert);
            continue;
        }
        taken = cert->names[i];
        count++;
    }
    if (taken && count == cert->name_count)
        nu_conf_warn(conf, node,
                     "every name of it stands in an earlier certificate with the same "
                     "kind of key: it is never shown");
    else if (taken)
        nu_conf_warn(conf, node,
                     "%s stands in an earlier certificate with the same kind of key, "
                     "which is shown for it",
                     taken);
    nu_arena_free(scratch);
}

static void check_names(struct nu_conf *conf, const struct nu_node *node,
                        const struct nu_vec *certificates)
{
    const struct tls_cert_conf *conf_of = certificates->items;
    const struct nu_node *list = nu_node_get(node, "certificates");
    struct nu_strmap *seen = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    for (size_t i = 0; i < certificates->count; i++) {
        const struct nu_node *at = list->kind == NU_NODE_LIST ? list->child[i] : list;
        warn_of_names(conf, at, seen, conf_of[i].now);
        if (i > 0 && conf_of[i].now->name_count == 0)
            nu_conf_warn(conf, at, "it has no host name: it is never shown");
    }
    nu_strmap_free(seen);
}

/* Kinds of keys that a cipher of TLS 1.2 goes with; ECDSA's are also EdDSA's (RFC 8422 5.10). */
static bool goes_with(const SSL_CIPHER *cipher, const struct tls_cert *cert)
{
    int type = EVP_PKEY_get_base_id(cert->key), auth = SSL_CIPHER_get_auth_nid(cipher);
    bool rsa = type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS;
    return strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") != 0 &&
           auth == (rsa ? NID_auth_rsa : NID_auth_ecdsa);
}

static bool any_goes_with(const SSL_CTX *ctx, const struct nu_vec *certificates)
{
    const struct tls_cert_conf *conf_of = certificates->items;
    STACK_OF(SSL_CIPHER) *list = SSL_CTX_get_ciphers(ctx);
    for (size_t i = 0; i < certificates->count; i++)
        for (int n = 0; n < sk_SSL_CIPHER_num(list); n++)
            if (goes_with(sk_SSL_CIPHER_value(list, n), conf_of[i].now))
                return true;
    return false;
}

/* A list of ciphers for another kind of key, a config's most silent mistake. */
static void check_ciphers(struct nu_conf *conf, const struct nu_node *node,
                          const struct tls_server_conf *s)
{
    const struct nu_node *at = nu_node_get(node, "ciphers");
    if (!at || strcmp(tls_version_names[s->params.min], "1.2") != 0)
        return;
    SSL_CTX *ctx = tls_params_ctx(&s->params, TLS_server_method());
    if (!any_goes_with(ctx, &s->certificates))
        nu_conf_warn(conf, at,
                     "none of them goes with the key of a certificate here: clients of TLS 1.2 "
                     "are refused");
    SSL_CTX_free(ctx);
}

static enum nu_err check_server(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    struct tls_server_conf *s = out;
    enum nu_err err = tls_params_check(conf, arena, node, &s->params);
    check_names(conf, node, &s->certificates);
    if (err == NU_OK)
        check_ciphers(conf, node, s);
    /* Clients that begin with TLS at once insist on it; others send none, or something else. */
    if (s->starttls && s->starttls->protocol == NU_STARTTLS_POSTGRES)
        tls_params_default_alpn(&s->params, arena, "postgresql");
    return err;
}

static const struct nu_schema server_schema = {
    .name = "tls",
    .doc = "Terminates TLS.",
    .size = sizeof(struct tls_server_conf),
    .fields = server_fields,
    .check = check_server,
};

/* --- on listeners and chains --- */

/* The listener's name for stats and logs: as written, else its first address. */
static const char *listener_name(const struct nu_node *listener, struct nu_arena *arena)
{
    char text[NU_ADDR_TEXT_MAX];
    struct nu_addr addr;
    const struct nu_node *name = nu_node_get(listener, "name");
    const struct nu_node *bind = nu_node_get(listener, "bind");
    if (name && name->kind == NU_NODE_SCALAR)
        return name->text;
    if (bind && bind->kind == NU_NODE_LIST)
        bind = bind->count ? bind->child[0] : NULL;
    if (!bind || bind->kind != NU_NODE_SCALAR || nu_addr_parse(&addr, bind->text, -1) != NU_OK)
        return "?";
    return nu_arena_strdup(arena, nu_addr_str(&addr, text));
}

static const struct nu_node *listener_of_chain(const struct nu_node *chain)
{
    const struct nu_node *up = chain->parent;
    return up && up->kind == NU_NODE_LIST ? up->parent : up;
}

static enum nu_err fill(struct nu_conf *conf, const struct nu_node *node,
                        struct tls_context *context)
{
    struct tls_server_conf *s = context->conf.server;
    if (nu_schema_parse(&server_schema, conf, context->arena, node, s) != NU_OK ||
        open_tickets(conf, node, context) != NU_OK)
        return NU_ERR_CONFIG;
    if (s->clients && s->clients->mode == TLS_CLIENTS_OFF)
        s->clients = NULL;
    s->clients_text =
        s->clients ? nu_node_print(context->arena, nu_node_get(node, "client_certs")) : "";
    context->pub.handshake_timeout_ms = s->params.handshake_timeout_ms;
    context->pub.keylog = nu_keylog_new(s->keylog);
    context->starttls = s->starttls;
    return NU_OK;
}

static enum nu_err parse(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         const struct nu_node *listener, void *out)
{
    struct tls_context *context = tls_context_new(NU_TLS_SERVER);
    *(void **)out = NULL;
    if (fill(conf, node, context) != NU_OK) {
        tls_context_put(context);
        return NU_ERR_CONFIG;
    }
    context = tls_context_finish(context, "listener", listener_name(listener, arena),
                                 nu_node_print(arena, node));
    nu_arena_on_free(arena, tls_context_drop, context);
    *(void **)out = context;
    return NU_OK;
}

static enum nu_err parse_of_listener(struct nu_conf *conf, struct nu_arena *arena,
                                     const struct nu_node *node, void *out)
{
    if (nu_node_get(node->parent, "chains")) {
        nu_conf_error_key(conf, node,
                          "\"tls\" and \"chains\" exclude each other: tls stands either here or in "
                          "each chain that terminates");
        return NU_ERR_CONFIG;
    }
    return parse(conf, arena, node, node->parent, out);
}

/* A ClientHello that comes only once we have answered is seen by no sniffer: all such clients would
 * go to another chain, or to none. */
static void check_starttls(struct nu_conf *conf, const struct nu_node *tls)
{
    static const char *const keys[] = {"sni", "alpn", "transport", "ja3", "ja4"};
    const struct nu_node *match = nu_node_get(tls->parent, "match");
    for (size_t i = 0; match && i < sizeof keys / sizeof *keys; i++) {
        const struct nu_node *key = nu_node_get(match, keys[i]);
        bool plain = key && key->kind == NU_NODE_SCALAR && strcmp(key->text, "plain") == 0;
        if (key && !plain && nu_node_get(tls, "starttls"))
            nu_conf_warn(conf, key,
                         "clients that ask for TLS in plain (\"starttls\") have not sent their "
                         "ClientHello yet when chains are chosen: they do not match");
    }
}

static enum nu_err parse_of_chain(struct nu_conf *conf, struct nu_arena *arena,
                                  const struct nu_node *node, void *out)
{
    check_starttls(conf, node);
    return parse(conf, arena, node, listener_of_chain(node->parent), out);
}

#define TLS_FIELD(parse_)                                                                          \
    {                                                                                              \
        .key = "tls", .type = NU_CUSTOM, .parse = (parse_), .sub = &server_schema, .shown = "map", \
        .doc = "Terminates TLS before the first filter."                                           \
    }

struct nu_ext nu_tls_of_listener = {.field = TLS_FIELD(parse_of_listener),
                                    .place = tls_context_place};
struct nu_ext nu_tls_of_chain = {.field = TLS_FIELD(parse_of_chain), .place = tls_context_place};
