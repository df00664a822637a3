/* Log operators of TLS: what they show of facts, and what of facts that are not there. */
#include "tls/log_ops.h"

#include "core/logfmt.h"
#include "tests/unit/core/chain_kit.h"

/* One line in the format about a chain with these facts. */
static const char *line_of(const char *format, const struct nu_facts *facts)
{
    static char text[2048];
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_logbuf line = {.data = NULL};
    struct nu_logfmt *compiled;
    const char *error;
    if (nu_logfmt_text(&compiled, arena, format, &error) != NU_OK)
        fail_msg("%s", error);
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_right, &kit->a[1]}
    };
    struct nu_chain *chain = nu_chain_new(&kit->loop, places, 2, facts, NULL, NULL);
    nu_logfmt_write(compiled, &line, chain);
    snprintf(text, sizeof text, "%.*s", (int)line.len, line.data);
    nu_logbuf_free(&line);
    nu_arena_free(arena);
    nu_chain_abort(chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    return text;
}

static const struct nu_tls_peer peer = {
    .subject = "CN=me\nCN=\"you\"",
    .issuer = "CN=ca",
    .serial = "0A",
    .sha256 = "ab",
    .dns = "a.test,b.test",
    .uri = "spiffe://mesh/web",
    .email = "a@b.test",
    .ip = "::1",
    .not_before_s = 1700000000,
    .not_after_s = 253402300799, /* no certificate lives longer (RFC 5280 4.1.2.5) */
};
static const struct nu_tls_peer ours = {.subject = "CN=us", .dns = "", .uri = "u:us"};
static struct nu_tls_facts tls = {.version = "TLSv1.3",
                                  .cipher = "TLS_AES_128_GCM_SHA256",
                                  .group = "X25519",
                                  .alpn = "h2",
                                  .session_id = "c0ffee",
                                  .peer = &peer,
                                  .local = &ours,
                                  .resumed = true};

static const struct {
    const char *part, *shown;
} rows[] = {
    {"TLS_VERSION",           "TLSv1.3"                   },
    {"TLS_CIPHER",            "TLS_AES_128_GCM_SHA256"    },
    {"TLS_GROUP",             "X25519"                    },
    {"TLS_ALPN",              "h2"                        },
    {"TLS_SESSION_ID",        "c0ffee"                    },
    {"TLS_RESUMED",           "yes"                       },
    {"PEER_SUBJECT",          "CN=me\\x0aCN=\\x22you\\x22"},
    {"PEER_ISSUER",           "CN=ca"                     },
    {"PEER_SERIAL",           "0A"                        },
    {"PEER_FINGERPRINT_256",  "ab"                        },
    {"PEER_DNS_SAN",          "a.test,b.test"             },
    {"PEER_URI_SAN",          "spiffe://mesh/web"         },
    {"PEER_EMAIL_SAN",        "a@b.test"                  },
    {"PEER_IP_SAN",           "::1"                       },
    {"PEER_CERT_V_START",     "2023-11-14T22:13:20.000Z"  },
    {"PEER_CERT_V_START(%Y)", "2023"                      },
    {"PEER_CERT_V_END",       "9999-12-31T23:59:59.000Z"  },
    {"LOCAL_SUBJECT",         "CN=us"                     },
    {"LOCAL_URI_SAN",         "u:us"                      },
    {"LOCAL_DNS_SAN",         "-"                         },
    {"LOCAL_EMAIL_SAN",       "-"                         },
    {"LOCAL_IP_SAN",          "-"                         },
};

/* Each for either side: with facts, with facts of the other side, and with a bare handshake. */
static void both_sides_are_told_apart(void **state)
{
    static struct nu_tls_facts bare = {.version = "TLSv1.2"};
    struct nu_facts_exchange plain = {.upstream_tls = &bare}, full = {.upstream_tls = &tls};
    const struct nu_facts client = {.tls = &tls, .exchange = &plain};
    const struct nu_facts server = {.tls = &bare, .exchange = &full};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char format[128], expected[160];
        bool always = strcmp(rows[i].part, "TLS_VERSION") == 0;
        bool no = strcmp(rows[i].part, "TLS_RESUMED") == 0;
        const char *other = always ? "TLSv1.2" : no ? "no" : "-";
        snprintf(format, sizeof format, "%%DOWNSTREAM_%s%% %%UPSTREAM_%s%%", rows[i].part,
                 rows[i].part);
        snprintf(expected, sizeof expected, "%s %s\n", rows[i].shown, other);
        assert_string_equal(line_of(format, &client), expected);
        snprintf(expected, sizeof expected, "%s %s\n", other, rows[i].shown);
        assert_string_equal(line_of(format, &server), expected);
        assert_string_equal(line_of(format, NULL), "- -\n");
    }
    assert_true(nu_tls_local_wanted());
}

static void hellos_and_failures(void **state)
{
    static const char format[] = "%TLS_JA3_FINGERPRINT% %TLS_JA4_FINGERPRINT% "
                                 "%DOWNSTREAM_TRANSPORT_FAILURE_REASON% "
                                 "%UPSTREAM_TRANSPORT_FAILURE_REASON%";
    struct nu_facts_more more = {
        .ja3 = "3", .ja4 = "4", .tls_failure = "bad\ncert", .upstream_tls_failure = "late"};
    assert_string_equal(line_of(format, &(struct nu_facts){.more = &more}),
                        "3 4 bad\\x0acert late\n");
    assert_string_equal(line_of(format, &(struct nu_facts){.more = NULL}), "- - - -\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(both_sides_are_told_apart),
        KIT_TEST(hellos_and_failures),
    };
    nu_log_ops_tls();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
