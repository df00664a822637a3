/* What stands in a ClientHello: extensions, names and fields, good and malformed. */
#include "protocols/tls/client_hello.h"

#include "tests/unit/protocols/tls/hello_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_text(const struct nu_client_hello *ch, struct nu_hello_span span,
                        const char *text)
{
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(nu_hello_bytes(ch, span), text, span.len);
}

static void a_hello_may_have_no_extensions(void **state)
{
    struct nu_client_hello ch;
    struct bytes *body = &exts;
    struct nu_hello_ext ext;
    unsigned at = 0;
    start();
    put_fixed_part(body);
    put_message(&msg, 1, body->data, body->len);
    put_records(&wire, msg.data, msg.len, 16384);
    nu_client_hello_init(&ch);
    assert_int_equal(nu_client_hello_feed(&ch, wire.data, wire.len), NU_OK);
    assert_false(ch.has_sni);
    assert_int_equal(ch.sni.len + ch.alpn.len + ch.versions.len, 0);
    assert_false(nu_hello_ext_next(&ch, &at, &ext));
}

/* Bytes and their count. */
#define E(text) text, sizeof(text) - 1
/* A block of extensions, and how a hello with it ends; reason NULL = fine. */
static const struct {
    const char *data;
    size_t len;
    const char *reason;
} extension_blocks[] = {
    {E(""),                               NULL                                      },
    {E("\0\x17\0\0"),                     NULL                                      },
    {E("\0"),                             "truncated extension"                     },
    {E("\0\x17\0"),                       "truncated extension"                     },
    {E("\0\x17\0\1"),                     "truncated extension"                     },
    {E("\0\x17\0\0\0\x17\0\0"),           "duplicate extension"                     },
    {E("\x1a\x1a\0\0\x1a\x1a\0\0"),       "duplicate extension"                     },
    {E("\0\x16\0\0\0\x17\0\0\0\x16\0\0"), "duplicate extension"                     },
    {E("\x1a\x1a\0\0\x2a\x2a\0\0"),       NULL                                      },
    {E("\0\0\0\0"),                       "malformed server_name extension"         },
    {E("\0\0\0\2\0\0"),                   "malformed server_name extension"         },
    {E("\0\0\0\6\0\4\0\0\2a"),            "malformed server_name extension"         },
    {E("\0\0\0\6\0\3\0\0\1a"),            "malformed server_name extension"         },
    {E("\0\0\0\6\0\5\0\0\1a"),            "malformed server_name extension"         },
    {E("\0\0\0\5\0\3\0\0\0"),             "empty server name"                       },
    {E("\0\0\0\6\0\4\0\0\1."),            "empty server name"                       },
    {E("\0\0\0\7\0\5\0\0\2a\0"),          "server name with bytes that no name has" },
    {E("\0\0\0\7\0\5\0\0\2a "),           "server name with bytes that no name has" },
    {E("\0\0\0\7\0\5\0\0\2\xc3\xa4"),     "server name with bytes that no name has" },
    {E("\0\0\0\7\0\5\0\0\2\x7f"
       "a"),
     "server name with bytes that no name has"                                      },
    {E("\0\0\0\x0a\0\x8\0\0\1a\0\0\1b"),  "more than one server name"               },
    {E("\0\0\0\x0a\0\x8\1\0\1a\0\0\1b"),  NULL                                      },
    {E("\0\x10\0\0"),                     "malformed ALPN extension"                },
    {E("\0\x10\0\2\0\0"),                 "malformed ALPN extension"                },
    {E("\0\x10\0\3\0\1\0"),               "malformed ALPN extension"                },
    {E("\0\x10\0\4\0\2\2h"),              "malformed ALPN extension"                },
    {E("\0\x10\0\5\0\2\1hx"),             "malformed ALPN extension"                },
    {E("\0\x10\0\4\0\2\1h"),              NULL                                      },
    {E("\0\x0a\0\0"),                     "malformed supported_groups extension"    },
    {E("\0\x0a\0\2\0\0"),                 "malformed supported_groups extension"    },
    {E("\0\x0a\0\3\0\1\0"),               "malformed supported_groups extension"    },
    {E("\0\x0a\0\5\0\2\0\x1d\0"),         "malformed supported_groups extension"    },
    {E("\0\x0d\0\2\0\0"),                 "malformed signature_algorithms extension"},
    {E("\0\x0d\0\3\0\2\4"),               "malformed signature_algorithms extension"},
    {E("\0\x2b\0\1\0"),                   "malformed supported_versions extension"  },
    {E("\0\x2b\0\2\1\3"),                 "malformed supported_versions extension"  },
    {E("\0\x2b\0\4\2\3\4\0"),             "malformed supported_versions extension"  },
    {E("\0\x0b\0\1\0"),                   "malformed ec_point_formats extension"    },
    {E("\0\x0b\0\3\1\0\0"),               "malformed ec_point_formats extension"    },
};

static void extensions_are_fine_or_refused_with_a_reason(void **state)
{
    for (size_t i = 0; i < sizeof extension_blocks / sizeof *extension_blocks; i++) {
        struct nu_client_hello ch;
        const char *want = extension_blocks[i].reason;
        start();
        put(&exts, extension_blocks[i].data, extension_blocks[i].len);
        make_wire();
        nu_client_hello_init(&ch);
        enum nu_err err = nu_client_hello_feed(&ch, wire.data, wire.len);
        if (err != (want ? NU_ERR_SYNTAX : NU_OK) || (want && strcmp(ch.reason, want)))
            fail_msg("row %zu: %s, %s", i, nu_err_str(err), ch.reason ? ch.reason : "-");
        nu_client_hello_free(&ch);
    }
}

/* The fixed part with one field bent, and what that is called. */
static const struct {
    size_t at;
    uint8_t value;
    const char *reason;
} bent_fields[] = {
    {0,  2,    "no TLS version in the ClientHello"},
    {34, 33,   "malformed session id"             },
    {34, 0xff, "malformed session id"             },
    {36, 0,    "malformed cipher suites"          },
    {36, 3,    "malformed cipher suites"          },
    {35, 0xff, "malformed cipher suites"          },
    {41, 0,    "malformed compression methods"    },
    {41, 200,  "malformed compression methods"    },
    {44, 1,    "malformed extensions"             },
    {43, 1,    "malformed extensions"             },
};

static void fields_that_do_not_add_up_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof bent_fields / sizeof *bent_fields; i++) {
        struct nu_client_hello ch;
        start();
        put_usual_extensions();
        put_hello(&msg, exts.data, exts.len);
        msg.data[4 + bent_fields[i].at] = bent_fields[i].value;
        put_records(&wire, msg.data, msg.len, 16384);
        nu_client_hello_init(&ch);
        assert_int_equal(nu_client_hello_feed(&ch, wire.data, wire.len), NU_ERR_SYNTAX);
        assert_string_equal(ch.reason, bent_fields[i].reason);
    }
}

static void a_message_cut_anywhere_is_refused(void **state)
{
    struct nu_client_hello ch;
    start();
    put_usual_extensions();
    put_hello(&msg, exts.data, exts.len);
    for (size_t body = 0; body < msg.len - 4; body++) {
        static struct bytes cut;
        cut.len = wire.len = 0;
        put_message(&cut, 1, msg.data + 4, body);
        put_records(&wire, cut.data, cut.len, 16384);
        nu_client_hello_init(&ch);
        enum nu_err err = nu_client_hello_feed(&ch, wire.data, wire.len);
        assert_int_equal(err, body == 43 ? NU_OK : NU_ERR_SYNTAX); /* 43: no extensions at all */
    }
}

/* Server names as they come, and what we make of them. */
static const struct {
    const char *sent, *name;
    bool is_ip, had_dot;
} names[] = {
    {"a.test",          "a.test",      false, false},
    {"A.TEST.",         "A.TEST",      false, true },
    {"10.0.0.1",        "",            true,  false},
    {"10.0.0.1.",       "",            true,  true },
    {"::1",             "",            true,  false},
    {"[2001:db8::1]",   "",            true,  false},
    {"::ffff:10.0.0.1", "",            true,  false},
    {"10.0.0.256",      "10.0.0.256",  false, false},
    {"10.0.0",          "10.0.0",      false, false},
    {"a.test:443",      "a.test:443",  false, false},
    {"_x.a-b.test",     "_x.a-b.test", false, false},
};

static void server_names_lose_dot_and_ip_literals(void **state)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct nu_client_hello ch;
        start();
        put_sni(&exts, 0, names[i].sent, strlen(names[i].sent));
        make_wire();
        nu_client_hello_init(&ch);
        assert_int_equal(nu_client_hello_feed(&ch, wire.data, wire.len), NU_OK);
        assert_text(&ch, ch.sni, names[i].name);
        assert_true(ch.has_sni);
        assert_int_equal(ch.sni_is_ip, names[i].is_ip);
        assert_int_equal(ch.sni_had_dot, names[i].had_dot);
    }
}

static void a_server_name_has_253_bytes_at_most(void **state)
{
    char name[256];
    memset(name, 'a', sizeof name);
    for (size_t len = 250; len < 256; len++) {
        struct nu_client_hello ch;
        start();
        put_sni(&exts, 0, name, len);
        make_wire();
        nu_client_hello_init(&ch);
        enum nu_err err = nu_client_hello_feed(&ch, wire.data, wire.len);
        assert_int_equal(err, len <= 253 ? NU_OK : NU_ERR_SYNTAX);
    }
}

static void every_kind_of_grease_is_noted(void **state)
{
    struct nu_client_hello ch;
    start();
    put_ext(&exts, 0x5a5a, "", 0);
    put_ext(&exts, 10, "\0\2\x4a\x4a", 4);
    put_ext(&exts, 13, "\0\2\xfa\xfa", 4);
    put_ext(&exts, 16, "\0\3\2\xca\xca", 5);
    put_ext(&exts, 43, "\2\xba\xba", 3);
    put_hello(&msg, exts.data, exts.len);
    memcpy(msg.data + 4 + 37, "\x0a\x0a", 2);
    put_records(&wire, msg.data, msg.len, 16384);
    nu_client_hello_init(&ch);
    assert_int_equal(nu_client_hello_feed(&ch, wire.data, wire.len), NU_OK);
    assert_int_equal(ch.grease, 63);
    assert_false(nu_hello_is_grease(0x0a1a));
    assert_false(nu_hello_is_grease(0x1301));
    assert_false(nu_hello_is_grease(0x0b0b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_may_have_no_extensions),
        cmocka_unit_test(extensions_are_fine_or_refused_with_a_reason),
        cmocka_unit_test(fields_that_do_not_add_up_are_refused),
        cmocka_unit_test(a_message_cut_anywhere_is_refused),
        cmocka_unit_test(server_names_lose_dot_and_ip_literals),
        cmocka_unit_test(a_server_name_has_253_bytes_at_most),
        cmocka_unit_test(every_kind_of_grease_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
