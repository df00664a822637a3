/* Printing: what is read again is the same, as it was written and normalized. */
#include "tests/unit/core/conf/conf_help.h"
#include "tests/unit/core/conf/sample.h"

static void assert_same(const struct nu_node *a, const struct nu_node *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->quoted, b->quoted);
    assert_int_equal(a->count, b->count);
    if (a->kind == NU_NODE_SCALAR)
        assert_string_equal(a->text, b->text);
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->kind == NU_NODE_MAP)
            assert_string_equal(a->child[i]->key, b->child[i]->key);
        assert_same(a->child[i], b->child[i]);
    }
}

static void printed_nodes_read_back(void **state)
{
    static const char *const texts[] = {
        "a: 1\nb: [x, [y, {z: 1}], {}, []]\nc: {d: {e: ~}, f: }\n",
        "- - - 1\n    - 2\n- a: 1\n  b: 2\n-\n- {}\n",
        "a: \"q\\\"b\\\\\\t\\n\\r\\x01\\u2028\\U0001f600\\xe9\"\n",
        "a: 'x'\nb: ''\nc: '~'\nd: '- x'\ne: '#'\n",
        "a: |\n  one\n  two\nb: >-\n  folded\n  text\n",
        "a: x y, z\nb: a:b\nc: -1\nd: \"-x\"\ne: http://h/p?q#f\n",
        "\"k: x\": 1\n\"\": 2\n\"- y\": 3\n\"<<\": 4\n\"a\\nb\": 5\n'#': 6\n\"${X}\": 7\n",
        "just text\n",
        "'quoted'\n",
        "[]\n",
        "{}\n",
        "\"...\": 1\n\"--- x\": 2\n",
    };
    struct nu_arena *arena = nu_arena_new(1024);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct nu_conf *a = conf_of(texts[i]);
        assert_report(a, "");
        char *printed = nu_node_print(arena, nu_conf_root(a));
        struct nu_conf *b = conf_of(printed);
        assert_report(b, "");
        assert_same(nu_conf_root(a), nu_conf_root(b));
        assert_string_equal(nu_node_print(arena, nu_conf_root(b)), printed);
        nu_conf_free(a);
        nu_conf_free(b);
    }
    nu_arena_free(arena);
}

static void the_style_is_block(void **state)
{
    struct nu_conf *conf = conf_of("{l: [{a: 1, b: [x, [y, z]]}, {}], m: {n: \"o\", p: []}, q: }");
    struct nu_arena *arena = nu_arena_new(1024);
    assert_string_equal(nu_node_print(arena, nu_conf_root(conf)), "l:\n"
                                                                  "  - a: 1\n"
                                                                  "    b:\n"
                                                                  "      - x\n"
                                                                  "      - - y\n"
                                                                  "        - z\n"
                                                                  "  - {}\n"
                                                                  "m:\n"
                                                                  "  n: \"o\"\n"
                                                                  "  p: []\n"
                                                                  "q: \n");
    nu_arena_free(arena);
    nu_conf_free(conf);
}

static void dollars_are_escaped_again(void **state)
{
    static const char *const rows[] = {"$${x}",      "\"a$$$$b\"", "a$$$b",        "x$",
                                       "$$$${x:-y}", "${NU_T_X}",  "\"${NU_T_X}\""};
    struct nu_arena *arena = nu_arena_new(1024);
    setenv("NU_T_X", "${x}$$$", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_conf *a = conf_of(rows[i]);
        struct nu_conf *b = conf_of(nu_node_print(arena, nu_conf_root(a)));
        assert_report(b, "");
        assert_string_equal(nu_conf_root(a)->text, nu_conf_root(b)->text);
        nu_conf_free(a);
        nu_conf_free(b);
    }
    nu_arena_free(arena);
}

static const char normal[] = "on: false\n"
                             "count: 7\n"
                             "share: 0.5%\n"
                             "wait: 1500ms\n"
                             "size: 64KiB\n"
                             "rate: 1MiB\n"
                             "name: \"007\"\n"
                             "mode: optional\n"
                             "address: \"[::1]:80\"\n"
                             "network: 10.0.0.0/8\n"
                             "path: /etc/a.log\n"
                             "limits:\n"
                             "  pending: 1024\n"
                             "  home:\n"
                             "    name: \"~\"\n"
                             "    weight: 1\n"
                             "more:\n"
                             "  pending: 3\n"
                             "  home:\n"
                             "    name: x\n"
                             "    weight: 1\n"
                             "raw:\n"
                             "  - b: 1.0s\n"
                             "  - a\n"
                             "letter: z\n"
                             "names:\n"
                             "  - a\n"
                             "  - b|c\n"
                             "targets:\n"
                             "  - name: web\n"
                             "    weight: 1\n"
                             "raws: []\n"
                             "waits:\n"
                             "  - 1m\n"
                             "  - 0\n";

static char *normalized(const char *text, struct nu_arena *arena)
{
    struct nu_conf *conf = conf_of(text);
    struct sample s = {0};
    assert_int_equal(nu_schema_parse(&sample_schema, conf, arena, nu_conf_root(conf), &s), NU_OK);
    char *out = nu_schema_print(&sample_schema, conf, arena, nu_conf_root(conf));
    assert_report(conf, "");
    nu_conf_free(conf);
    return out;
}

static void the_normal_form_is_in_schema_order_with_defaults(void **state)
{
    struct nu_arena *arena = nu_arena_new(1024);
    char *once = normalized("waits: [60s, 0ms]\nraw: [{b: 1.0s}, a]\ntargets: web\nletter: z\n"
                            "more: {home: x, pending: 03}\nnetwork: 10.0.0.0/8\nraws:\n"
                            "address: '[0::1]:80'\nname: \"007\"\nrate: 1024KiB/s\nsize: 65536\n"
                            "wait: 1.5s\nshare: 0.50%\non: No\n",
                            arena);
    assert_string_equal(once, normal);
    assert_string_equal(normalized(once, arena), normal);
    nu_arena_free(arena);
}

static void the_normal_form_of_nothing_is_the_defaults(void **state)
{
    struct nu_conf *conf = conf_of("");
    struct nu_arena *arena = nu_arena_new(1024);
    assert_string_equal(nu_schema_print(&limits_schema, conf, arena, NULL),
                        "pending: 1024\nhome:\n  name: \"~\"\n  weight: 1\n");
    nu_arena_free(arena);
    nu_conf_free(conf);
}

static void owners_can_put_their_own_normal_form_in(void **state)
{
    struct nu_conf *conf = conf_of("raw: {home: y}\n");
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_node *root = nu_schema_normalize(&sample_schema, conf, arena, nu_conf_root(conf));
    struct nu_node *raw = nu_node_get(root, "raw");
    struct nu_node *better = nu_schema_normalize(&limits_schema, conf, arena, raw);
    better->key = raw->key;
    root->child[raw->index] = better;
    assert_non_null(strstr(nu_node_print(arena, root),
                           "\nraw:\n  pending: 1024\n  home:\n    name: y\n    weight: 1\n"));
    nu_arena_free(arena);
    nu_conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed_nodes_read_back),
        cmocka_unit_test(the_style_is_block),
        cmocka_unit_test(dollars_are_escaped_again),
        cmocka_unit_test(the_normal_form_is_in_schema_order_with_defaults),
        cmocka_unit_test(the_normal_form_of_nothing_is_the_defaults),
        cmocka_unit_test(owners_can_put_their_own_normal_form_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
