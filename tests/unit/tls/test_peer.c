/* What is told of a certificate: bounded, printable, whatever its owner put in. */
#include "tls/peer.h"

#include "tests/unit/tls/pki.h"
#include "tls/allow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *key;
static struct nu_arena *arena;

static int make_key(void **state)
{
    key = EVP_EC_gen("P-256");
    arena = nu_arena_new(4096);
    return key == NULL;
}

static int free_key(void **state)
{
    EVP_PKEY_free(key);
    nu_arena_free(arena);
    return 0;
}

static void names_of_all_kinds(void **state)
{
    X509 *cert = pki_cert(key, "me, myself",
                          "DNS:a.test,DNS:*.b.test,URI:spiffe://mesh/web,email:me@a.test,"
                          "IP:10.0.0.1,IP:2001:db8::1");
    const struct nu_tls_peer *peer = nu_tls_peer_new(cert, true, arena);
    assert_string_equal(peer->subject, "CN=me\\, myself");
    assert_string_equal(peer->issuer, peer->subject);
    assert_string_equal(peer->dns, "a.test,*.b.test");
    assert_string_equal(peer->uri, "spiffe://mesh/web");
    assert_string_equal(peer->email, "me@a.test");
    assert_string_equal(peer->ip, "10.0.0.1,2001:db8::1");
    assert_int_equal(strlen(peer->sha256), 64);
    assert_int_equal(strtol(peer->serial, NULL, 16),
                     ASN1_INTEGER_get(X509_get0_serialNumber(cert)));
    assert_int_equal(peer->not_after_s - peer->not_before_s, 86400 + 3600);
    assert_true(peer->verified);
    X509_free(cert);
}

/* As a header takes it: no blank, no line break, nothing that a URL would read otherwise. */
static void whole_certificates(void **state)
{
    static const char begin[] = "-----BEGIN%20CERTIFICATE-----%0AMII";
    X509 *cert = pki_cert(key, "me", NULL), *other = pki_cert(key, "ca", NULL);
    STACK_OF(X509) *chain = sk_X509_new_null();
    struct nu_tls_peer *peer = nu_tls_peer_new(cert, true, arena);
    assert_null(peer->pem);
    nu_tls_peer_pem(peer, cert, NULL, arena);
    assert_memory_equal(peer->pem, begin, sizeof begin - 1);
    assert_string_equal(peer->pem, peer->chain_pem);
    assert_string_equal(peer->pem + strcspn(peer->pem, "\n +/=\",;"), "");
    sk_X509_push(chain, cert);
    sk_X509_push(chain, other);
    nu_tls_peer_pem(peer, cert, chain, arena);
    assert_memory_equal(peer->chain_pem, peer->pem, strlen(peer->pem));
    const char *second = peer->chain_pem + strlen(peer->pem);
    assert_memory_equal(second, begin, sizeof begin - 1);
    assert_null(strstr(second + 1, begin));
    for (int i = 0; i < 100; i++)
        sk_X509_push(chain, other);
    peer->chain_pem = NULL;
    nu_tls_peer_pem(peer, cert, chain, arena);
    assert_null(peer->chain_pem);
    sk_X509_free(chain);
    X509_free(cert);
    X509_free(other);
}

static void no_names(void **state)
{
    X509 *cert = pki_cert(key, "\xc3\xbc\n", NULL);
    const struct nu_tls_peer *peer = nu_tls_peer_new(cert, false, arena);
    assert_string_equal(peer->subject, "CN=\\C3\\BC\\0A");
    assert_string_equal(peer->dns, "");
    assert_string_equal(peer->ip, "");
    X509_free(cert);
}

static void add_dns(GENERAL_NAMES *names, const char *bytes, int len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, bytes, len);
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, name);
}

/* Bytes that would end a line, a list or a string. */
static void hostile_names(void **state)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    struct tls_san wanted[] = {
        {.kind = TLS_NAME_DNS, .pattern = "a.test"}
    };
    const struct tls_allow allow = {
        .dns = {wanted, 1}
    };
    add_dns(names, "a.test\0.evil", 12);
    add_dns(names, "b,a.test", 8);
    add_dns(names, "c\\d\n\x7f", 5);
    X509 *cert = pki_cert(key, "x", NULL);
    X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND);
    GENERAL_NAMES_free(names);
    assert_string_equal(nu_tls_peer_new(cert, false, arena)->dns,
                        "a.test\\x00.evil,b\\x2ca.test,c\\x5cd\\x0a\\x7f");
    assert_false(tls_allow_name(&allow, cert));
    assert_false(tls_server_is_host(cert, "a.test"));
    X509_free(cert);
}

/* More names than anybody reads, the allowed one behind those that are looked at. */
static void many_names(void **state)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    struct tls_san wanted[] = {
        {.kind = TLS_NAME_DNS, .pattern = "last.test"}
    };
    const struct tls_allow allow = {
        .dns = {wanted, 1}
    };
    char name[32];
    for (int i = 0; i < TLS_SANS_MAX; i++) {
        int len = snprintf(name, sizeof name, "n%d.test", i);
        add_dns(names, name, len);
    }
    add_dns(names, "last.test", 9);
    X509 *cert = pki_cert(key, "x", NULL);
    X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND);
    GENERAL_NAMES_free(names);
    const struct nu_tls_peer *peer = nu_tls_peer_new(cert, false, arena);
    size_t len = strlen(peer->dns);
    assert_in_range(len, NU_TLS_PEER_NAMES_MAX - 32, NU_TLS_PEER_NAMES_MAX);
    assert_string_equal(peer->dns + len - 4, ",...");
    assert_false(tls_allow_name(&allow, cert));
    X509_free(cert);
}

static void hashes(void **state)
{
    struct tls_hash wanted[2] = {{{0}}};
    struct tls_allow allow = {
        .sha256 = {wanted, 2}
    };
    X509 *cert = pki_cert(key, "x", NULL), *other = pki_cert(key, "y", NULL);
    assert_false(tls_allow_hash(&allow, cert));
    assert_true(nu_tls_cert_sha256(cert, wanted[1].byte));
    assert_true(tls_allow_hash(&allow, cert));
    assert_false(tls_allow_hash(&allow, other));
    allow = (struct tls_allow){
        .spki = {wanted, 1}
    };
    assert_false(tls_allow_hash(&allow, other));
    assert_true(nu_tls_spki_sha256(cert, wanted[0].byte));
    assert_true(tls_allow_hash(&allow, other)); /* the same key */
    X509_free(cert);
    X509_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_all_kinds), cmocka_unit_test(whole_certificates),
        cmocka_unit_test(no_names),           cmocka_unit_test(hostile_names),
        cmocka_unit_test(many_names),         cmocka_unit_test(hashes),
    };
    return cmocka_run_group_tests(tests, make_key, free_key);
}
