/* What real programs send, as captured in the fuzzers' corpora (make_corpus.py), read by the
 * codecs. Runs in the top folder. */
#include "protocols/proxy_protocol.h"
#include "protocols/tls/client_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CORPUS "tests/fuzz/corpus/"

static size_t load(const char *folder, const char *name, uint8_t *out, size_t cap)
{
    char path[256];
    snprintf(path, sizeof path, CORPUS "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: run the test in the top folder", path);
    size_t len = fread(out, 1, cap, file);
    fclose(file);
    return len;
}

static const struct {
    const char *file, *sni, *alpn; /* alpn: the first name, "" = none */
    bool has_sni, is_ip, had_dot;
    unsigned version; /* the highest offered in supported_versions, 0 = no such extension */
} hellos[] = {
    {"openssl-sni",    "a.test",     "",           true,  false, false, 0x0304},
    {"openssl-no-sni", "",           "",           false, false, false, 0x0304},
    {"openssl-alpn",   "a.test",     "h2",         true,  false, false, 0x0304},
    {"openssl-tls12",  "b.test",     "",           true,  false, false, 0     },
    {"openssl-tls10",  "b.test",     "",           true,  false, false, 0     },
    {"openssl-tls13",  "b.test",     "",           true,  false, false, 0x0304},
    {"openssl-split",  "split.test", "protocol-0", true,  false, false, 0x0304},
    {"curl-h2",        "www.test",   "h2",         true,  false, false, 0x0304},
    {"curl-h1",        "www.test",   "http/1.1",   true,  false, false, 0x0304},
    {"curl-ip",        "",           "h2",         false, false, false, 0x0304},
    {"wget-gnutls",    "localhost",  "",           true,  false, false, 0x0304},
};

static void check_text(const struct nu_client_hello *ch, struct nu_hello_span span,
                       const char *text)
{
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(nu_hello_bytes(ch, span), text, span.len);
}

static unsigned highest_version(const struct nu_client_hello *ch)
{
    unsigned best = 0;
    for (unsigned i = 0; i < ch->versions.len / 2u; i++) {
        unsigned version = nu_hello_u16(ch, ch->versions, i);
        best = !nu_hello_is_grease((uint16_t)version) && version > best ? version : best;
    }
    return best;
}

static void hellos_of_real_clients(void **state)
{
    for (size_t i = 0; i < sizeof hellos / sizeof *hellos; i++) {
        uint8_t data[4096];
        struct nu_client_hello ch;
        struct nu_hello_span alpn = {0};
        unsigned at = 0;
        size_t len = load("client_hello", hellos[i].file, data, sizeof data);
        nu_client_hello_init(&ch);
        if (nu_client_hello_feed(&ch, data, len) != NU_OK)
            fail_msg("%s: %s", hellos[i].file, ch.reason ? ch.reason : "not whole");
        assert_int_equal(ch.wire_bytes, len);
        check_text(&ch, ch.sni, hellos[i].sni);
        assert_int_equal(ch.has_sni, hellos[i].has_sni);
        assert_int_equal(ch.sni_is_ip, hellos[i].is_ip);
        assert_int_equal(ch.sni_had_dot, hellos[i].had_dot);
        nu_hello_alpn_next(&ch, &at, &alpn);
        check_text(&ch, alpn, hellos[i].alpn);
        assert_int_equal(highest_version(&ch), hellos[i].version);
        nu_client_hello_free(&ch);
    }
}

static const struct {
    const char *file, *ip; /* "-" = LOCAL */
    unsigned version;
    bool crc, unique_id, ssl, behind;
} headers[] = {
    {"haproxy-v1",       "127.0.0.1", 1, false, false, false, true },
    {"haproxy-v1-check", "127.0.0.1", 1, false, false, false, false},
    {"haproxy-v1-ip6",   "::1",       1, false, false, false, true },
    {"haproxy-v2",       "127.0.0.1", 2, false, false, false, true },
    {"haproxy-v2-check", "-",         2, false, false, false, false},
    {"haproxy-v2-crc",   "127.0.0.1", 2, true,  false, false, true },
    {"haproxy-v2-id",    "127.0.0.1", 2, true,  true,  false, true },
    {"haproxy-v2-ip6",   "::1",       2, false, false, false, true },
    {"haproxy-v2-ssl",   "127.0.0.1", 2, false, false, true,  true },
};

static void headers_of_a_real_proxy(void **state)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        uint8_t data[512];
        char ip[NU_ADDR_TEXT_MAX];
        struct nu_proxy_header h;
        struct nu_proxy_bytes value;
        size_t len = load("proxy_protocol", headers[i].file, data, sizeof data);
        assert_int_equal(nu_proxy_parse(data, len, &h), NU_OK);
        assert_int_equal(h.version, headers[i].version);
        assert_int_equal(h.local, strcmp(headers[i].ip, "-") == 0);
        assert_string_equal(nu_addr_str_ip(&h.src, ip), headers[i].ip);
        assert_string_equal(nu_addr_str_ip(&h.dst, ip), headers[i].ip);
        assert_true(h.local || (h.src.port && h.dst.port));
        assert_int_equal(nu_proxy_tlv_find(&h, NU_PROXY_TLV_CRC32C, &value), headers[i].crc);
        assert_int_equal(nu_proxy_tlv_find(&h, NU_PROXY_TLV_UNIQUE_ID, &value),
                         headers[i].unique_id);
        assert_int_equal(nu_proxy_tlv_find(&h, NU_PROXY_TLV_SSL, &value), headers[i].ssl);
        assert_int_equal(len - h.bytes, headers[i].behind ? 6 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos_of_real_clients),
        cmocka_unit_test(headers_of_a_real_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
