/* Reading along with OpenSSL: of every version, cipher and kind of handshake the plain bytes must
 * come out as they went in, however the sealed ones are cut. */
#include "tests/unit/tls/unseal_listener.h"

#include <stdio.h>

/* --- versions x ciphers x what connections do --- */

static const struct connection {
    int version;
    const char *cipher;
    unsigned flags;
} connections[] = {
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256",  BULK                            },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384",  RESUME                          },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384",  RESUME | BY_ID                  },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384",  CLIENT_CERT | SMALL             },
    {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305",  BULK                            },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM",         BULK                            },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-CCM",         0                               },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM8",        0                               },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-CCM8",        NO_EMS                          },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA",         BULK                            },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA",         MAC_INSIDE                      },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256",      MAC_INSIDE | RESUME             },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384",      0                               },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384",      MAC_INSIDE                      },
    {TLS1_2_VERSION, "ECDHE-ECDSA-CAMELLIA256-SHA384", 0                               },
    {TLS1_2_VERSION, "ECDHE-ECDSA-ARIA128-GCM-SHA256", 0                               },
    {TLS1_2_VERSION, "DHE-RSA-AES256-GCM-SHA384",      RSA_KEY                         },
    {TLS1_2_VERSION, "DHE-RSA-AES128-SHA256",          RSA_KEY                         },
    {TLS1_2_VERSION, "DHE-RSA-AES128-CCM",             RSA_KEY                         },
    {TLS1_2_VERSION, "DHE-RSA-CHACHA20-POLY1305",      RSA_KEY                         },
    {TLS1_2_VERSION, "AES128-GCM-SHA256",              RSA_KEY                         },
    {TLS1_2_VERSION, "AES256-CCM",                     RSA_KEY                         },
    {TLS1_2_VERSION, "AES256-SHA",                     RSA_KEY | NO_EMS                },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256",  AGAIN                           },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA",         AGAIN                           },
    {TLS1_1_VERSION, "ECDHE-ECDSA-AES256-SHA",         BULK                            },
    {TLS1_1_VERSION, "ECDHE-ECDSA-AES128-SHA",         MAC_INSIDE | RESUME             },
    {TLS1_VERSION,   "ECDHE-ECDSA-AES128-SHA",         BULK                            },
    {TLS1_VERSION,   "ECDHE-ECDSA-AES256-SHA",         MAC_INSIDE | BULK               },
    {TLS1_VERSION,   "AES128-SHA",                     RSA_KEY | RESUME                },
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",         BULK                            },
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384",         BULK | UPDATE                   },
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256",   UPDATE                          },
    {TLS1_3_VERSION, "TLS_AES_128_CCM_SHA256",         BULK                            },
    {TLS1_3_VERSION, "TLS_AES_128_CCM_8_SHA256",       UPDATE                          },
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384",         RETRY                           },
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",         CLIENT_CERT | SMALL             },
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",         PADDED                          },
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",         RESUME                          },
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384",         RESUME | EARLY                  },
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",         RESUME | EARLY | UPDATE | PADDED},
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",         RESUME | EARLY_LOST             },
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",         RESUME | RETRY                  },
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",         RESUME | RETRY | EARLY_LOST     },
};

static void check_facts(const struct connection *c)
{
    const struct nu_unseal_facts *f = nu_unseal_facts(u);
    bool resumed = c->flags & RESUME;
    assert_string_equal(f->sni, "name.test");
    assert_int_equal(f->alpn_count, 2);
    assert_string_equal(f->alpn[0], "h2");
    assert_string_equal(f->alpn[1], "foo");
    assert_string_equal(f->alpn_chosen, "foo");
    assert_int_equal(f->version, c->version);
    assert_string_equal(f->cipher_name, c->cipher);
    assert_int_equal(strlen(f->ja3), 32);
    assert_int_equal(strlen(f->ja4), 36);
    assert_int_equal(f->resumed, resumed);
    assert_int_equal(f->retried, (c->flags & RETRY) != 0);
    assert_int_equal(f->early_data, (c->flags & EARLY) != 0);
    assert_int_equal(f->close_notify[0] && f->close_notify[1], true);
    if (!resumed)
        assert_string_equal(f->server_subject, "CN=server.test");
    assert_int_equal(f->client_cert_asked, (c->flags & CLIENT_CERT) != 0);
    if (c->flags & CLIENT_CERT)
        assert_string_equal(f->client_subject, "CN=client.test");
    assert_int_equal(f->plain[0], wire.plain[0].len);
}

static void every_connection_however_cut(void **state)
{
    struct seeded random = seeded_start("every_connection_however_cut");
    static const size_t sizes[] = {TEXT_MAX, 1, 0, 0};
    for (size_t i = 0; i < sizeof connections / sizeof *connections; i++) {
        const struct connection *c = &connections[i];
        char what[96];
        snprintf(what, sizeof what, "row %zu, %s, flags %u", i, c->cipher, c->flags);
        kit_make(c->version, c->cipher, c->flags);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            begin_with_keys();
            feed_steps(0, wire.steps, sizes[k], &random);
            end_both();
            assert_all_heard(what);
            check_facts(c);
            done();
        }
    }
}

#define OF_TLS13      30 /* the first of the rows above */
#define ROWS_OF_TLS13 (sizeof connections / sizeof *connections - OF_TLS13)

/* What was said first is told first, also when keys come last of all. */
static void keys_that_come_late(void **state)
{
    for (size_t i = 0; i < sizeof connections / sizeof *connections; i++) {
        const struct connection *c = &connections[i];
        if (c->flags & BULK)
            continue;
        kit_make(c->version, c->cipher, c->flags);
        begin(NU_UNSEAL_SEALED_MAX, NU_UNSEAL_SEALED_TOTAL_MAX);
        feed_steps(0, wire.steps, TEXT_MAX, NULL);
        end_both();
        assert_true(nu_unseal_waits(u));
        assert_int_equal(nu_unseal_facts(u)->reason, NU_UNSEAL_NO_KEYS);
        nu_secrets_feed(secrets, wire.keys.data, wire.keys.len);
        assert_false(nu_unseal_waits(u));
        assert_all_heard(c->cipher);
        check_facts(c);
        assert_true(strncmp(heard.order, "cscs", 4) == 0);
        done();
    }
}

/* In the midst of it, line by line. */
static void keys_that_come_one_by_one(void **state)
{
    struct seeded random = seeded_start("keys_that_come_one_by_one");
    for (unsigned round = 0; round < 40; round++) {
        const struct connection *c = &connections[OF_TLS13 + round % ROWS_OF_TLS13];
        kit_make(c->version, c->cipher, c->flags & ~(unsigned)BULK);
        begin(NU_UNSEAL_SEALED_MAX, NU_UNSEAL_SEALED_TOTAL_MAX);
        size_t fed = 0;
        for (unsigned i = 0; i < wire.steps; i++) {
            feed_steps(i, i + 1, 0, &random);
            size_t n = seeded_below(&random, 120), left = wire.keys.len - fed;
            n = n < left ? n : left;
            nu_secrets_feed(secrets, wire.keys.data + fed, n);
            fed += n;
        }
        end_both();
        nu_secrets_feed(secrets, wire.keys.data + fed, wire.keys.len - fed);
        assert_all_heard(c->cipher);
        done();
    }
}

/* The lines whose label begins so, or all others. */
static void feed_keys(const char *label, bool others)
{
    const char *at = (const char *)wire.keys.data, *end = at + wire.keys.len;
    while (at < end) {
        const char *next = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        if ((strncmp(at, label, strlen(label)) == 0) != others)
            nu_secrets_feed(secrets, at, (size_t)(next - at));
        at = next;
    }
}

/* A server knows the secret for what a client will say a round trip behind its own: whenever the
 * one that is last comes, and however few of the others were logged, the order is kept. */
static void keys_of_one_side_that_come_late(void **state)
{
    static const char *const lates[] = {"CLIENT_TRAFFIC", "SERVER_TRAFFIC"};
    for (size_t i = OF_TLS13; i < sizeof connections / sizeof *connections; i++) {
        const struct connection *c = &connections[i];
        if (c->flags & (BULK | EARLY))
            continue;
        kit_make(c->version, c->cipher, c->flags);
        for (unsigned k = 0; k < 2 * (wire.steps + 1); k++) {
            const char *late = lates[k % 2];
            begin(NU_UNSEAL_SEALED_MAX, NU_UNSEAL_SEALED_TOTAL_MAX);
            feed_steps(0, k / 2, TEXT_MAX, NULL);
            feed_keys(late, true);
            feed_steps(k / 2, wire.steps, TEXT_MAX, NULL);
            end_both();
            feed_keys(late, false);
            assert_all_heard(c->cipher);
            assert_true(strncmp(heard.order, "cscs", 4) == 0);
            done();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_connection_however_cut),
        cmocka_unit_test(keys_that_come_late),
        cmocka_unit_test(keys_that_come_one_by_one),
        cmocka_unit_test(keys_of_one_side_that_come_late),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_free();
    return failed;
}
