/* Contexts from a config's text: found again by it, swapped when files change, freed with the last
 * who keeps them; and which certificate they show. Handshakes are two SSLs face to face. */
#include "core/conf/schema.h"
#include "core/worker.h"
#include "tests/unit/folder.h"
#include "tests/unit/tls/pki.h"
#include "tls/context_priv.h"

#include <openssl/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *ec_key, *rsa_key;
static char folder[FOLDER_MAX];

/* Something that `tls` may stand in. */
struct owner {
    const struct nu_node *name;
    void **ext;
};
static struct nu_ext *owner_exts;
static const struct nu_field owner_fields[] = {
    {.key = "name", .type = NU_NODE},
    {0            }
};
static const struct nu_schema owner_schema = {
    .name = "owner",
    .doc = "",
    .size = sizeof(struct owner),
    .fields = owner_fields,
    .ext = &owner_exts,
    .ext_offset = offsetof(struct owner, ext),
};

static int set_up(void **state)
{
    nu_workers_init(1);
    ec_key = EVP_EC_gen("P-256");
    rsa_key = EVP_RSA_gen(2048);
    nu_schema_extend(&owner_schema, &nu_tls_of_listener);
    return !ec_key || !rsa_key || !folder_make(folder);
}

static int tear_down(void **state)
{
    folder_remove(folder);
    EVP_PKEY_free(ec_key);
    EVP_PKEY_free(rsa_key);
    nu_workers_free();
    return 0;
}

/* What the text says, kept by the arena; NULL: it is wrong, and says so in `report`. */
static struct tls_context *parse(struct nu_arena *arena, const char *text, char report[1024])
{
    struct owner owner = {.ext = NULL};
    struct nu_conf *conf = nu_conf_from_text("test", folder, text, strlen(text));
    enum nu_err err = nu_schema_parse(&owner_schema, conf, arena, nu_conf_root(conf), &owner);
    snprintf(report, 1024, "%s", nu_conf_report(conf));
    nu_conf_free(conf);
    return err ? NULL : nu_ext_get(owner.ext, &nu_tls_of_listener);
}

static struct tls_context *must_parse(struct nu_arena *arena, const char *text)
{
    char report[1024];
    struct tls_context *context = parse(arena, text, report);
    if (!context)
        fail_msg("%s", report);
    return context;
}

/* The serial number of the certificate that a client is shown; 0: no handshake. */
static long shown(struct tls_context *context, const char *name, const char *sigalgs)
{
    long serial = 0;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(ctx), *server = SSL_new(context->view[0].ctx);
    BIO *left, *right;
    assert_int_equal(BIO_new_bio_pair(&left, 0, &right, 0), 1);
    SSL_set_bio(client, left, left);
    SSL_set_bio(server, right, right);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    if (name)
        SSL_set_tlsext_host_name(client, name);
    if (sigalgs)
        SSL_set1_sigalgs_list(client, sigalgs);
    for (int i = 0; i < 6; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    if (SSL_is_init_finished(server))
        serial = ASN1_INTEGER_get(X509_get0_serialNumber(SSL_get0_peer_certificate(client)));
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return serial;
}

static long serial_of(struct tls_context *context, size_t i)
{
    X509 *leaf = tls_context_cert(context, i)->now->leaf;
    return ASN1_INTEGER_get(X509_get0_serialNumber(leaf));
}

static void certificate_by_name(void **state)
{
    struct nu_arena *arena = nu_arena_new(4096);
    pki_make(folder, "default", ec_key, "default", "DNS:default.test");
    pki_make(folder, "ec", ec_key, "a", "DNS:a.test,DNS:also.test");
    pki_make(folder, "rsa", rsa_key, "a", "DNS:A.TEST");
    pki_make(folder, "wild", ec_key, "b", "DNS:*.b.test,DNS:bad name,DNS:10.0.0.1");
    struct tls_context *c =
        must_parse(arena, "tls: {certificates: [default.pem, ec.pem, rsa.pem, wild.pem]}");
    static const struct {
        const char *name, *sigalgs;
        size_t cert;
    } rows[] = {
        {NULL,         NULL,             0},
        {"a.test",     NULL,             1},
        {"a.test",     "RSA-PSS+SHA256", 2},
        {"also.test",  NULL,             1},
        {"x.b.test",   NULL,             3},
        {"x.y.b.test", NULL,             0},
        {"10.0.0.1",   NULL,             0},
        {"other.test", NULL,             0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(shown(c, rows[i].name, rows[i].sigalgs), serial_of(c, rows[i].cert));
    assert_int_equal(shown(c, "also.test", "RSA-PSS+SHA256"), 0); /* there is none for it */
    nu_arena_free(arena);
}

/* A second parse of the same words is the same object, with what the files hold now. */
static void the_same_text_is_the_same_object(void **state)
{
    struct nu_arena *one = nu_arena_new(4096), *two = nu_arena_new(4096);
    pki_make(folder, "own", ec_key, "a", "DNS:a.test");
    struct tls_context *a = must_parse(one, "tls: {certificates: own.pem}");
    struct tls_context *b = must_parse(two, "tls: {certificates:   own.pem} # the same");
    assert_ptr_equal(a, b);
    assert_int_equal(a->refs, 2);
    SSL_CTX *kept = a->view[0].ctx;
    nu_arena_free(two);
    two = nu_arena_new(4096);
    assert_ptr_equal(must_parse(two, "tls: {certificates: own.pem}")->view[0].ctx, kept);
    pki_make(folder, "own", ec_key, "a", "DNS:a.test"); /* nobody watches here */
    assert_ptr_not_equal(must_parse(two, "{name: x, tls: {certificates: own.pem}}"), a);
    assert_ptr_equal(must_parse(two, "tls: {certificates: own.pem}"), a);
    nu_arena_free(two);
    assert_int_equal(a->refs, 2); /* the arena's, and that of the swap under way */
    nu_arena_free(one);
}

static void chains_keep_it(void **state)
{
    struct nu_arena *listener = nu_arena_new(4096), *chain = nu_arena_new(4096);
    struct nu_place place;
    pki_make(folder, "kept", ec_key, "a", "DNS:a.test");
    struct tls_context *context = must_parse(listener, "tls: {certificates: kept.pem}");
    nu_tls_of_listener.place(context, chain, &place);
    assert_ptr_equal(place.conf, &context->pub);
    nu_arena_free(listener);
    assert_int_equal(context->refs, 1);
    assert_int_not_equal(shown(context, NULL, NULL), 0);
    nu_arena_free(chain);
}

/* All mistakes of a map at once, each at its place; nothing stays behind. */
static void all_mistakes_are_told(void **state)
{
    struct nu_arena *arena = nu_arena_new(4096);
    char report[1024];
    pki_make(folder, "good", ec_key, "a", "DNS:a.test");
    assert_null(parse(arena,
                      "tls:\n  certificates: [good.pem, none.pem, {cert: good.pem, kee: x}]\n"
                      "  groups: [X25591]\n  min_version: \"1.1\"\n",
                      report));
    assert_non_null(strstr(report, "none.pem: No such file"));
    assert_non_null(strstr(report, "did you mean \"key\"?"));
    assert_non_null(strstr(report, "did you mean \"X25519\"?"));
    assert_non_null(strstr(report, "min_version"));
    nu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificate_by_name),
        cmocka_unit_test(the_same_text_is_the_same_object),
        cmocka_unit_test(chains_keep_it),
        cmocka_unit_test(all_mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
