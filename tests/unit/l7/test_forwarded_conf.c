/* The config of headers about the way: what is told when it is wrong, and what it has TLS make. */
#include "core/facts.h"
#include "l7/forwarded.h"
#include "tests/unit/core/conf/conf_help.h"

struct whole {
    struct nu_forwarded_conf forwarded;
};

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    return nu_forwarded_check(conf, node, &((struct whole *)out)->forwarded);
}

static const struct nu_field fields[] = {NU_FORWARDED_FIELDS(struct whole, forwarded), {0}};
static const struct nu_schema schema = {
    .name = "whole", .size = sizeof(struct whole), .fields = fields, .check = check};

static enum nu_err read(const char *text, struct nu_arena *arena, struct whole *out,
                        const char *report)
{
    struct nu_conf *conf = conf_of(text);
    memset(out, 0, sizeof *out);
    enum nu_err err = nu_schema_parse(&schema, conf, arena, nu_conf_root(conf), out);
    assert_report(conf, report);
    nu_conf_free(conf);
    return err;
}

static void defaults_and_words(void **state)
{
    struct nu_arena *arena = nu_arena_new(1024);
    struct whole w;
    assert_int_equal(read("{}", arena, &w, ""), NU_OK);
    assert_int_equal(w.forwarded.xfcc, NU_XFCC_SANITIZE);
    assert_true(w.forwarded.request_id && !w.forwarded.keep_request_id);
    assert_string_equal(w.forwarded.server, "nuncio");
    assert_null(w.forwarded.via);
    assert_int_equal(w.forwarded.trusted_hops, 0);
    assert_false(nu_facts_wanted(NU_WANT_LOCAL_CERT) || nu_facts_wanted(NU_WANT_PEM));
    assert_int_equal(read("{forward_client_cert: always_forward_only, server_name: \"\", "
                          "via: \"edge.test:8080\", trusted_hops: 32}",
                          arena, &w, ""),
                     NU_OK);
    assert_int_equal(w.forwarded.xfcc, NU_XFCC_ALWAYS_FORWARD);
    assert_string_equal(w.forwarded.server, "");
    assert_false(nu_facts_wanted(NU_WANT_LOCAL_CERT));
    assert_int_equal(
        read("{forward_client_cert: sanitize_set, client_cert_details: [subject, uri]}", arena, &w,
             ""),
        NU_OK);
    assert_int_equal(w.forwarded.xfcc_details.count, 2);
    assert_true(nu_facts_wanted(NU_WANT_LOCAL_CERT) && !nu_facts_wanted(NU_WANT_PEM));
    read("{forward_client_cert: append_forward, client_cert_details: chain}", arena, &w, "");
    assert_true(nu_facts_wanted(NU_WANT_PEM));
    nu_arena_free(arena);
}

static void mistakes(void **state)
{
    static const struct mistake rows[] = {
        {"{via: a b}",                 "t.yaml:1:7: via: expected one word, or a host name and its port\n"
                       "    1 | {via: a b}\n"
                       "      |       ^^^\n"                                       },
        {"{via: \"a:b\"}",             "t.yaml:1:7: via: expected one word, or a host name and its port\n"
                           "    1 | {via: \"a:b\"}\n"
                           "      |       ^^^^^\n"                             },
        {"{server_name: \"a\\nb\"}",   "t.yaml:1:15: server_name: no header can have that value\n"
                                     "    1 | {server_name: \"a\\nb\"}\n"
                                     "      |               ^^^^^^\n"},
        {"{client_cert_details: uri}",
         "t.yaml:1:2: nothing is said of certificates with forward_client_cert: sanitize\n"
         "    1 | {client_cert_details: uri}\n"
         "      |  ^^^^^^^^^^^^^^^^^^^\n"                                                                },
    };
    struct nu_arena *arena = nu_arena_new(1024);
    struct whole w;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(read(rows[i].text, arena, &w, rows[i].report), NU_ERR_CONFIG);
    nu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_words),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
