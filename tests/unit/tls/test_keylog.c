/* The key log: real handshakes of OpenSSL with itself in memory, and the lines they leave. */
#include "tls/keylog.h"

#include "core/log.h"
#include "core/logfile.h"
#include "tests/unit/core/chain_kit.h"
#include "tests/unit/folder.h"
#include "tls/context.h"

#include <stdio.h>
#include <sys/stat.h>

static char folder[FOLDER_MAX], path[FOLDER_MAX + 8];
static struct nu_tls_context server, client;
static struct nu_addr here, endpoint;

static char *content(void)
{
    static char text[1 << 16];
    FILE *in = fopen(path, "r");
    size_t n = in ? fread(text, 1, sizeof text - 1, in) : 0;
    if (in)
        fclose(in);
    text[n] = 0;
    return text;
}

static struct nu_addr addr(const char *text)
{
    struct nu_addr a;
    assert_int_equal(nu_addr_parse(&a, text, -1), NU_OK);
    return a;
}

static SSL_CTX *make_ctx(const SSL_METHOD *method, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    nu_keylog_install(ctx);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static SSL *make_ssl(SSL_CTX *ctx, struct nu_tls_conn *conn, BIO *bio)
{
    SSL *ssl = SSL_new(ctx);
    SSL_set_app_data(ssl, conn);
    SSL_set_bio(ssl, bio, bio);
    if (conn->context->role == NU_TLS_SERVER)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    SSL_CTX_free(ctx);
    return conn->ssl = ssl;
}

/* A whole handshake between a connection of each context, both on one chain. */
static void shake(int version)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_right, &kit->a[1]}
    };
    struct nu_facts_exchange exchange = {.upstream = &endpoint};
    const struct nu_facts facts = {
        .client = addr("10.0.0.7:99"), .local = here, .exchange = &exchange};
    struct nu_chain *chain = nu_chain_new(&kit->loop, places, 2, &facts, NULL, NULL);
    struct nu_tls_conn conns[2] = {{.context = &server}, {.context = &client}};
    conns[0].filter = conns[1].filter = nu_chain_end(chain, NU_FWD);
    BIO *near, *far;
    assert_int_equal(BIO_new_bio_pair(&near, 0, &far, 0), 1);
    SSL *a = make_ssl(make_ctx(TLS_server_method(), version), &conns[0], near);
    SSL *b = make_ssl(make_ctx(TLS_client_method(), version), &conns[1], far);
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(b);
        SSL_do_handshake(a);
    }
    assert_true(SSL_is_init_finished(a) && SSL_is_init_finished(b));
    SSL_free(a);
    SSL_free(b);
    nu_loop_settle(&kit->loop); /* lines are there at the turn's end */
    nu_chain_abort(chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
}

static unsigned lines_with(const char *label)
{
    unsigned n = 0;
    for (const char *p = content(); (p = strstr(p, label)); p++)
        n += p == content() || p[-1] == '\n';
    return n;
}

static struct nu_keylog *keylog_for(struct nu_addr *clients, struct nu_addr *servers)
{
    struct nu_keylog_conf conf = {
        path, {clients, clients != NULL},
         {servers, servers != NULL}
    };
    struct nu_keylog *keylog = nu_keylog_new(&conf);
    assert_true(nu_keylog_open(keylog));
    assert_true(nu_keylog_open(keylog));
    return keylog;
}

static void done(void)
{
    nu_keylog_free(server.keylog);
    nu_keylog_free(client.keylog);
    server.keylog = client.keylog = NULL;
}

static void secrets_of_both_versions(void **state)
{
    struct stat st;
    server.keylog = keylog_for(NULL, NULL);
    shake(TLS1_2_VERSION);
    assert_int_equal(lines_with("CLIENT_RANDOM "), 1);
    assert_int_equal(strlen(content()), 14 + 64 + 1 + 96 + 1);
    shake(TLS1_3_VERSION);
    assert_int_equal(lines_with("CLIENT_HANDSHAKE_TRAFFIC_SECRET "), 1);
    assert_int_equal(lines_with("SERVER_HANDSHAKE_TRAFFIC_SECRET "), 1);
    assert_int_equal(lines_with("CLIENT_TRAFFIC_SECRET_0 "), 1);
    assert_int_equal(lines_with("SERVER_TRAFFIC_SECRET_0 "), 1);
    assert_int_equal(lines_with("EXPORTER_SECRET "), 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    done();
}

static void nothing_where_nobody_asked(void **state)
{
    shake(TLS1_3_VERSION);
    server.keylog = keylog_for(NULL, NULL);
    assert_string_equal(content(), "");
    done();
}

/* client 10.0.0.7; the listener 192.0.2.1, the endpoint 192.0.2.2 */
static void only_the_networks_asked_for(void **state)
{
    static const struct {
        const char *clients, *servers;
        bool listener, cluster;
    } cases[] = {
        {"10.0.0.0/8",  NULL,           true,  true },
        {"10.0.0.8/32", NULL,           false, false},
        {NULL,          "192.0.2.1/32", true,  false},
        {NULL,          "192.0.2.2/32", false, true },
        {"10.0.0.7/32", "192.0.2.0/24", true,  true },
        {"11.0.0.0/8",  "192.0.2.0/24", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nu_addr clients, servers;
        if (cases[i].clients)
            assert_int_equal(nu_addr_parse_cidr(&clients, cases[i].clients), NU_OK);
        if (cases[i].servers)
            assert_int_equal(nu_addr_parse_cidr(&servers, cases[i].servers), NU_OK);
        for (int side = 0; side < 2; side++) {
            struct nu_tls_context *context = side ? &client : &server;
            context->keylog =
                keylog_for(cases[i].clients ? &clients : NULL, cases[i].servers ? &servers : NULL);
            assert_int_equal(truncate(path, 0), 0);
            shake(TLS1_3_VERSION);
            assert_int_equal(*content() != 0, side ? cases[i].cluster : cases[i].listener);
            done();
        }
    }
}

static void without_a_path_there_is_none(void **state)
{
    assert_null(nu_keylog_new(NULL));
    assert_null(nu_keylog_new(&(struct nu_keylog_conf){.path = NULL}));
    assert_true(nu_keylog_open(NULL));
    nu_keylog_free(NULL);
    struct nu_keylog *keylog = nu_keylog_new(&(struct nu_keylog_conf){.path = "/no/such/file"});
    assert_false(nu_keylog_open(keylog));
    server.keylog = keylog;
    shake(TLS1_3_VERSION);
    done();
}

static int make_folder(void **state)
{
    assert_true(folder_make(folder));
    snprintf(path, sizeof path, "%s/keys", folder);
    return kit_setup(state);
}

static int drop_folder(void **state)
{
    folder_remove(folder);
    return kit_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)

static void no_log(const char *line, void *ctx)
{
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(secrets_of_both_versions),
        TEST(nothing_where_nobody_asked),
        TEST(only_the_networks_asked_for),
        TEST(without_a_path_there_is_none),
    };
    nu_log_set_sink(no_log, NULL);
    nu_stats_init(1);
    nu_logfiles_init(1);
    server.role = NU_TLS_SERVER;
    client.role = NU_TLS_CLIENT;
    here = addr("192.0.2.1:443");
    endpoint = addr("192.0.2.2:443");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
