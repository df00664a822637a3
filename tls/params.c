/* Versions, ciphers, groups, signatures and ALPN of a `tls:` map; see params.h. */
#include "tls/params.h"

#include "core/assert.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define ALPN_MAX  255 /* bytes of a protocol's name (RFC 7301 3.1) */
#define NAME_MAX_ 64  /* bytes of a name of OpenSSL's; the longest known has 40 */
#define KNOWN_MAX 256 /* ciphers that OpenSSL has; 3.0: 60 */

const char *const tls_version_names[] = {"1.2", "1.3", NULL};
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* --- names that OpenSSL knows --- */

/* To try names with, never to connect: any cipher, any strength. */
static SSL_CTX *probe(void)
{
    static SSL_CTX *ctx;
    if (!ctx) {
        ctx = SSL_CTX_new(TLS_method());
        nu_assert(ctx != NULL);
        SSL_CTX_set_cipher_list(ctx, "ALL:!aNULL:@SECLEVEL=0");
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                      "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:"
                                      "TLS_AES_128_CCM_8_SHA256");
    }
    return ctx;
}

/* Those of TLS 1.3, or those before. */
static size_t known_ciphers(bool suites, const char *out[static KNOWN_MAX])
{
    STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(probe());
    size_t n = 0;
    for (int i = 0; i < sk_SSL_CIPHER_num(all) && n < KNOWN_MAX; i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(all, i);
        if ((strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") == 0) == suites)
            out[n++] = SSL_CIPHER_get_name(cipher);
    }
    return n;
}

static bool is_among(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

/* --- the parsing of lists --- */

struct kind {
    const char *what;
    bool (*known)(const char *name);
    size_t (*candidates)(const char *out[static KNOWN_MAX]);
    const char *(*elsewhere)(const char *name); /* the key that it belongs to instead, or NULL */
    const char *(*meant)(const char *name);     /* what others call so, or NULL */
};

/* OpenSSL's own list language: `HIGH`, `!aNULL`, `ECDHE+AESGCM`, `@SECLEVEL=1`. */
static bool is_keyword(const char *name)
{
    static const char *const words[] = {"ALL",    "DEFAULT",  "HIGH",   "MEDIUM", "LOW",    "ECDHE",
                                        "AESGCM", "kEECDH",   "EECDH",  "aRSA",   "aECDSA", "AES",
                                        "EDH",    "CHACHA20", "AES128", "AES256", "TLSv1.2"};
    return strpbrk(name, "!+@") || is_among(name, words, sizeof words / sizeof *words);
}

static enum nu_err unknown(struct nu_conf *conf, const struct nu_node *node,
                           const struct kind *kind, const char *name)
{
    const char *names[KNOWN_MAX];
    const char *key = kind->elsewhere ? kind->elsewhere(name) : NULL;
    if (key) {
        nu_conf_error(conf, node, "%s belongs to \"%s\"", name, key);
        return NU_ERR_CONFIG;
    }
    const char *meant = kind->meant ? kind->meant(name) : NULL;
    nu_conf_error(
        conf, node, "unknown %s \"%s\"%s", kind->what, name,
        kind->meant && !meant && is_keyword(name)
            ? ": keywords are not taken, name the ciphers (\"openssl ciphers\" lists them)"
            : "");
    size_t count = kind->candidates(names);
    nu_conf_guess(conf, meant ? meant : nu_did_you_mean(name, names, count));
    return NU_ERR_CONFIG;
}

/* A name, or several with colons between as other programs write them. */
static enum nu_err parse_names(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, const struct kind *kind, void *out)
{
    enum nu_err err = NU_OK;
    if (node->kind != NU_NODE_SCALAR || nu_node_is_null(node) || !*node->text) {
        nu_conf_error(conf, node, "expected the name of a %s", kind->what);
        return NU_ERR_CONFIG;
    }
    for (const char *at = node->text; at;) {
        const char *colon = strchr(at, ':');
        size_t len = colon ? (size_t)(colon - at) : strlen(at);
        char name[NAME_MAX_];
        snprintf(name, sizeof name, "%.*s", (int)(len < NAME_MAX_ ? len : NAME_MAX_ - 1), at);
        if (len >= NAME_MAX_ || !kind->known(name))
            err = unknown(conf, node, kind, name);
        at = colon ? colon + 1 : NULL;
    }
    *(const char **)out = nu_arena_strdup(arena, node->text);
    return err;
}

static size_t list_ciphers(const char *out[static KNOWN_MAX])
{
    return known_ciphers(false, out);
}

static size_t list_suites(const char *out[static KNOWN_MAX])
{
    return known_ciphers(true, out);
}

static bool is_cipher(const char *name)
{
    const char *names[KNOWN_MAX];
    size_t count = list_ciphers(names);
    return is_among(name, names, count);
}

static bool is_suite(const char *name)
{
    const char *names[KNOWN_MAX];
    size_t count = list_suites(names);
    return is_among(name, names, count);
}

static const char *suites_key(const char *name)
{
    return is_suite(name) ? "ciphersuites" : NULL;
}

static const char *ciphers_key(const char *name)
{
    return is_cipher(name) ? "ciphers" : NULL;
}

static size_t list_groups(const char *out[static KNOWN_MAX])
{
    static const char *const names[] = {
        "X25519",    "X448",      "P-256",     "P-384",     "P-521",      "ffdhe2048", "ffdhe3072",
        "ffdhe4096", "ffdhe6144", "ffdhe8192", "secp256r1", "prime256v1", "secp384r1", "secp521r1"};
    memcpy(out, names, sizeof names);
    return sizeof names / sizeof *names;
}

static size_t list_sigalgs(const char *out[static KNOWN_MAX])
{
    static const char *const names[] = {"ecdsa_secp256r1_sha256",
                                        "ecdsa_secp384r1_sha384",
                                        "ecdsa_secp521r1_sha512",
                                        "ed25519",
                                        "ed448",
                                        "rsa_pss_rsae_sha256",
                                        "rsa_pss_rsae_sha384",
                                        "rsa_pss_rsae_sha512",
                                        "rsa_pss_pss_sha256",
                                        "rsa_pss_pss_sha384",
                                        "rsa_pss_pss_sha512",
                                        "rsa_pkcs1_sha256",
                                        "rsa_pkcs1_sha384",
                                        "rsa_pkcs1_sha512",
                                        "ECDSA+SHA256",
                                        "ECDSA+SHA384",
                                        "RSA+SHA256",
                                        "RSA+SHA384"};
    memcpy(out, names, sizeof names);
    return sizeof names / sizeof *names;
}

static bool is_group(const char *name)
{
    bool known = SSL_CTX_set1_groups_list(probe(), name) == 1;
    ERR_clear_error();
    return known;
}

static bool is_sigalg(const char *name)
{
    bool known = SSL_CTX_set1_sigalgs_list(probe(), name) == 1;
    ERR_clear_error();
    return known;
}

/* By the name that RFCs and other programs have for it. */
static const char *by_standard_name(const char *name)
{
    const char *ours = OPENSSL_cipher_name(name);
    return is_cipher(ours) ? ours : NULL;
}

static const struct kind cipher_kind = {"cipher of TLS 1.2", is_cipher, list_ciphers, suites_key,
                                        by_standard_name};
static const struct kind suite_kind = {"cipher suite of TLS 1.3", is_suite, list_suites,
                                       ciphers_key, NULL};
static const struct kind group_kind = {"group", is_group, list_groups, NULL, NULL};
static const struct kind sigalg_kind = {"signature algorithm", is_sigalg, list_sigalgs, NULL, NULL};

enum nu_err tls_parse_cipher(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    return parse_names(conf, arena, node, &cipher_kind, out);
}

enum nu_err tls_parse_suite(struct nu_conf *conf, struct nu_arena *arena,
                            const struct nu_node *node, void *out)
{
    return parse_names(conf, arena, node, &suite_kind, out);
}

enum nu_err tls_parse_group(struct nu_conf *conf, struct nu_arena *arena,
                            const struct nu_node *node, void *out)
{
    return parse_names(conf, arena, node, &group_kind, out);
}

enum nu_err tls_parse_sigalg(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    return parse_names(conf, arena, node, &sigalg_kind, out);
}

enum nu_err tls_parse_alpn(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                           void *out)
{
    bool good = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node) && *node->text &&
                strlen(node->text) <= ALPN_MAX;
    if (!good) {
        nu_conf_error(conf, node, "expected a protocol like h2 or http/1.1, of 1 to 255 bytes");
        return NU_ERR_CONFIG;
    }
    *(const char **)out = nu_arena_strdup(arena, node->text);
    return NU_OK;
}

/* --- across keys --- */

static const char *join(struct nu_arena *arena, const struct nu_vec *names)
{
    const char *const *name = names->items;
    const char *all = names->count ? name[0] : NULL;
    for (size_t i = 1; i < names->count; i++)
        all = nu_arena_printf(arena, "%s:%s", all, name[i]);
    return all;
}

static void make_alpn(struct nu_arena *arena, struct tls_params *p)
{
    const char *const *name = p->alpn.items;
    for (size_t i = 0; i < p->alpn.count; i++)
        p->alpn_len += 1 + (unsigned)strlen(name[i]);
    if (p->alpn_len == 0)
        return;
    unsigned char *at = p->alpn_wire = nu_arena_alloc(arena, p->alpn_len);
    for (size_t i = 0; i < p->alpn.count; i++) {
        size_t len = strlen(name[i]);
        *at++ = (unsigned char)len;
        memcpy(at, name[i], len);
        at += len;
    }
}

void tls_params_default_alpn(struct tls_params *p, struct nu_arena *arena, const char *protocol)
{
    const char **only = nu_arena_alloc(arena, sizeof *only);
    if (p->alpn.count)
        return;
    *only = protocol;
    p->alpn = (struct nu_vec){only, 1};
    make_alpn(arena, p);
    p->alpn_lenient = true;
}

/* Puts it all into the SSL_CTX; the key that OpenSSL takes no offence at one by one, but as a whole
 * (a group twice), or NULL. */
static const char *apply(SSL_CTX *ctx, const struct tls_params *p)
{
    bool good = SSL_CTX_set_min_proto_version(ctx, versions[p->min]) == 1 &&
                SSL_CTX_set_max_proto_version(ctx, versions[p->max]) == 1;
    nu_assert(good);
    SSL_CTX_set_security_level(ctx, TLS_SECURITY_LEVEL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    if (SSL_CTX_set_cipher_list(ctx, p->cipher_list) != 1)
        return "ciphers";
    if (SSL_CTX_set_ciphersuites(ctx, p->suite_list) != 1)
        return "ciphersuites";
    if (SSL_CTX_set1_groups_list(ctx, p->group_list) != 1)
        return "groups";
    return !p->sigalg_list || SSL_CTX_set1_sigalgs_list(ctx, p->sigalg_list) == 1 ? NULL
                                                                                  : "sigalgs";
}

static int count_usable(SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    nu_assert(ssl != NULL);
    STACK_OF(SSL_CIPHER) *usable = SSL_get1_supported_ciphers(ssl);
    int count = usable ? sk_SSL_CIPHER_num(usable) : 0;
    sk_SSL_CIPHER_free(usable);
    SSL_free(ssl);
    return count;
}

/* Whether these lists have been found usable just now: ten thousand chains have mostly the same. */
static bool is_known(const struct tls_params *p, struct nu_arena *arena, char **known, char **text)
{
    *text = nu_arena_printf(arena, "%d %d %s %s %s %s", p->min, p->max, p->cipher_list,
                            p->suite_list, p->group_list, p->sigalg_list ? p->sigalg_list : "");
    return *known && strcmp(*known, *text) == 0;
}

/* Lists that OpenSSL does not take, or that leave nothing to speak. */
static enum nu_err check_usable(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, const struct tls_params *p)
{
    static char *known;
    char *text;
    if (is_known(p, arena, &known, &text))
        return NU_OK;
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    nu_assert(ctx != NULL);
    const char *bad = apply(ctx, p);
    bool none = !bad && count_usable(ctx) == 0;
    SSL_CTX_free(ctx);
    ERR_clear_error();
    if (!bad && !none) {
        free(known);
        known = strdup(text);
        return NU_OK;
    }
    const struct nu_node *at = nu_node_get(node, bad ? bad : "ciphers");
    nu_conf_error(conf, at ? at : node,
                  bad ? "the list cannot be used: a name twice, or too weak a one"
                      : "no cipher is left that these versions could use");
    return NU_ERR_CONFIG;
}

enum nu_err tls_params_check(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, struct tls_params *p)
{
    if (p->min > p->max) {
        const struct nu_node *at = nu_node_get(node, "min_version");
        nu_conf_error(conf, at ? at : nu_node_get(node, "max_version"),
                      "min_version %s is newer than max_version %s", tls_version_names[p->min],
                      tls_version_names[p->max]);
        return NU_ERR_CONFIG;
    }
    p->cipher_list = join(arena, &p->ciphers);
    p->suite_list = join(arena, &p->ciphersuites);
    p->group_list = join(arena, &p->groups);
    p->sigalg_list = join(arena, &p->sigalgs);
    make_alpn(arena, p);
    return check_usable(conf, arena, node, p);
}

SSL_CTX *tls_params_ctx(const struct tls_params *p, const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    nu_assert(ctx != NULL);
    nu_assert(apply(ctx, p) == NULL); /* it was tried when the config was read */
    return ctx;
}
