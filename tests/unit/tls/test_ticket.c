/* Ticket keys: how files hold them, how they age, and which tickets they open; a client and a
 * server face to face resume, or do not. */
#include "tests/unit/folder.h"
#include "tests/unit/tls/tls_kit.h"
#include "tls/ticket_keys.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* --- as files hold them --- */

static enum nu_err parse(const void *text, size_t len, unsigned *count, unsigned *seal)
{
    struct nu_ticket_key keys[3];
    const char *why;
    enum nu_err err = nu_ticket_keys_parse(text, len, keys, 3, count, seal, &why);
    assert_int_equal(err == NU_OK, why == NULL);
    return err;
}

static void raw_forms(void **state)
{
    uint8_t raw[80];
    struct nu_ticket_key key;
    unsigned count, seal;
    const char *why;
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)i;
    assert_int_equal(nu_ticket_keys_parse(raw, 80, &key, 1, &count, &seal, &why), NU_OK);
    assert_int_equal(key.half, 32);
    assert_memory_equal(key.name, raw, 16);
    assert_memory_equal(key.hmac, raw + 16, 32);
    assert_memory_equal(key.aes, raw + 48, 32);
    assert_int_equal(nu_ticket_keys_parse(raw, 48, &key, 1, &count, &seal, &why), NU_OK);
    assert_int_equal(key.half, 16);
    assert_memory_equal(key.aes, raw + 16, 16);
    assert_memory_equal(key.hmac, raw + 32, 16);
    for (size_t len = 0; len <= 80; len++)
        assert_int_equal(parse(raw, len, &count, &seal) == NU_OK, len == 48 || len == 80);
}

static void lines_of_base64(void **state)
{
    uint8_t raw[80] = {1}, line[200], text[1000];
    unsigned count, seal;
    size_t len = 0;
    int n = EVP_EncodeBlock(line, raw, sizeof raw);
    for (unsigned i = 1; i <= 3; i++) {
        memcpy(text + len, line, (size_t)n);
        len += (size_t)n;
        assert_int_equal(parse(text, len, &count, &seal), NU_OK); /* no newline at the end */
        assert_int_equal(count, i);
        assert_int_equal(seal, i == 1 ? 0 : i - 2); /* as HAProxy has it */
        memcpy(text + len, "\r\n\n", 3);
        len += 3;
        assert_int_equal(parse(text, len, &count, &seal), NU_OK);
    }
    memcpy(text + len, line, (size_t)n);
    assert_int_equal(parse(text, len + (size_t)n, &count, &seal), NU_ERR_LIMIT);
}

static void what_is_no_key(void **state)
{
    static const char *const texts[] = {
        "",
        "\n\n",
        "AAAA",
        "====",
        "A",
        "AAA=\n",
        "not base64 at all",
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")};
    unsigned count, seal;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(parse(texts[i], strlen(texts[i]), &count, &seal), NU_ERR_SYNTAX);
}

/* --- at work --- */

static SSL_SESSION *kept; /* the client's newest */

/* Takes the reference. */
static void keep(SSL_SESSION *session)
{
    SSL_SESSION_free(kept);
    kept = session;
}

static void offer(struct nu_tls_conn *conn)
{
    if (kept)
        nu_assert(SSL_set_session(conn->ssl, kept) == 1);
}

static int setup(void **state)
{
    tls_kit_setup(state);
    SSL_CTX_set_session_cache_mode(kit->client.ctx, SSL_SESS_CACHE_OFF);
    kit->client.prepare = offer;
    return 0;
}

static int teardown(void **state)
{
    keep(NULL);
    return tls_kit_teardown(state);
}

/* Whether a connection resumes the kept session; it is kept anew where the server says so. */
static bool resumes(void)
{
    int64_t before = tls_kit_stat(&kit->server, NU_TLS_SESSION_REUSED);
    kit->left = kit->right = nu_endpoint_idle();
    kit->left.to_send = kit->right.to_send = 10;
    tls_kit_chain(NULL, 0);
    tls_kit_run(10);
    keep(SSL_get1_session(
        tls_kit_of(0)->conn.ssl)); /* OpenSSL tells of a renewed one of 1.2 no other way */
    nu_endpoint_finish(&kit->left, NU_CAUSE_CLIENT_FIN);
    nu_endpoint_finish(&kit->right, NU_CAUSE_UPSTREAM_FIN);
    tls_kit_run(10);
    assert_null(kit->chain);
    assert_int_equal(kit->result.how, NU_CLEAN);
    return tls_kit_stat(&kit->server, NU_TLS_SESSION_REUSED) > before;
}

static void settings(const struct nu_tls_ticket_conf *conf)
{
    nu_tls_tickets_put(nu_tls_tickets_get("in", conf));
}

static void a_session_is_resumed(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        tls_kit_versions(versions[i]);
        assert_false(resumes());
        assert_true(resumes() && resumes());
        keep(NULL);
    }
}

/* Default: a key seals for 4 hours; its tickets are good for 8. */
static void keys_age(void **state)
{
    static const int64_t hour = INT64_C(3600) * 1000;
    tls_kit_versions(TLS1_2_VERSION);
    assert_false(resumes());
    SSL_SESSION *old = kept;
    SSL_SESSION_up_ref(old);
    nu_tls_tickets_advance(3 * hour);
    assert_true(resumes());
    assert_ptr_equal(kept, old); /* the newest key's ticket is good as it is */
    nu_tls_tickets_advance(2 * hour);
    assert_true(resumes());
    assert_ptr_not_equal(kept, old); /* the key is old: a new ticket */
    SSL_SESSION *renewed = kept;
    SSL_SESSION_up_ref(renewed);
    SSL_SESSION_up_ref(old);
    keep(old);
    nu_tls_tickets_advance(
        9 * hour); /* the first key sealed until then: so long its tickets may live */
    assert_false(resumes());
    keep(renewed);
    assert_true(resumes());
    SSL_SESSION_free(old);
}

static void a_key_may_seal_for_ever(void **state)
{
    const struct nu_tls_ticket_conf conf = {.rotate_ms = 0, .lifetime_ms = 3600 * 1000};
    settings(&conf);
    tls_kit_versions(TLS1_2_VERSION);
    assert_false(resumes());
    SSL_SESSION *old = kept;
    nu_tls_tickets_advance(INT64_C(1000) * 3600 * 1000);
    assert_true(resumes());
    assert_ptr_equal(kept, old);
}

/* Keys of one kind are none of the other; a set that nobody holds any more is forgotten. */
static void sets_are_known_by_name(void **state)
{
    assert_false(resumes());
    assert_true(resumes());
    settings(NULL);
    assert_true(resumes());
    SSL_CTX_free(kit->server.ctx);
    nu_tls_tickets_put(kit->server.pub.tickets);
    nu_stats_put(kit->server.pub.stats);
    tls_kit_context(&kit->server, NU_TLS_SERVER);
    assert_false(resumes());
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void keys_of_files(void **state)
{
    char folder[FOLDER_MAX], path[256], why[512], first[80], second[80];
    const char *name = path;
    struct nu_tls_ticket_conf conf = {
        .keys = {.items = &name, .count = 1},
          .lifetime_ms = 3600000
    };
    assert_true(folder_make(folder));
    snprintf(path, sizeof path, "%s/keys", folder);
    memset(first, 'a', sizeof first);
    memset(second, 'b', sizeof second);
    tls_kit_versions(TLS1_2_VERSION);
    assert_false(resumes());
    settings(&conf);
    assert_false(nu_tls_tickets_load(kit->server.pub.tickets, why, sizeof why));
    assert_non_null(strstr(why, path));
    assert_false(resumes() || resumes()); /* there is no key */
    write_file(path, first, sizeof first);
    assert_true(nu_tls_tickets_load(kit->server.pub.tickets, why, sizeof why));
    assert_false(resumes());
    assert_true(resumes());
    write_file(path, "short", 5);
    assert_false(nu_tls_tickets_load(kit->server.pub.tickets, why, sizeof why));
    assert_true(resumes());
    write_file(path, second, sizeof second);
    assert_true(nu_tls_tickets_load(kit->server.pub.tickets, why, sizeof why));
    assert_false(resumes());
    folder_remove(folder);
}

#define TICKET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_forms),
        cmocka_unit_test(lines_of_base64),
        cmocka_unit_test(what_is_no_key),
        TICKET_TEST(a_session_is_resumed),
        TICKET_TEST(keys_age),
        TICKET_TEST(a_key_may_seal_for_ever),
        TICKET_TEST(sets_are_known_by_name),
        TICKET_TEST(keys_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
