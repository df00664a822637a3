/* YAML into nodes: the tree, its places, and everything that a config may not have. */
#include "tests/unit/core/conf/conf_help.h"

#include "tests/unit/cost.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void tree_has_kinds_keys_and_places(void **state)
{
    struct nu_conf *conf = conf_of("# top\nbind: 1.2.3.4:80\nnames:\n  - \"a\\tb\"\n  - {x: ~}\n");
    struct nu_node *root = nu_conf_root(conf);
    assert_report(conf, "");
    assert_int_equal(root->kind, NU_NODE_MAP);
    assert_int_equal(root->count, 2);
    struct nu_node *bind = nu_node_get(root, "bind"), *names = nu_node_get(root, "names");
    assert_string_equal(bind->text, "1.2.3.4:80");
    assert_int_equal(bind->line * 100 + bind->column, 207);
    assert_int_equal(bind->key_line * 100 + bind->key_column, 201);
    assert_int_equal(bind->span, 10);
    assert_int_equal(bind->key_span, 4);
    assert_int_equal(names->kind, NU_NODE_LIST);
    assert_string_equal(names->child[0]->text, "a\tb");
    assert_true(names->child[0]->quoted);
    assert_int_equal(names->child[1]->index, 1);
    assert_int_equal(names->child[1]->line * 100 + names->child[1]->column, 505);
    struct nu_node *x = nu_node_get(names->child[1], "x");
    assert_true(nu_node_is_null(x));
    assert_ptr_equal(x->parent, names->child[1]);
    assert_null(nu_node_get(root, "nothing"));
    assert_null(nu_node_get(names, "x"));
    nu_conf_free(conf);
}

static void only_plain_scalars_are_null(void **state)
{
    struct nu_conf *conf =
        conf_of("- ~\n- null\n- Null\n- NULL\n-\n- ''\n- \"~\"\n- 'null'\n- no\n- {}\n- |-\n  ~\n");
    struct nu_node *root = nu_conf_root(conf);
    assert_non_null(root);
    assert_int_equal(root->count, 11);
    for (unsigned i = 0; i < root->count; i++)
        assert_int_equal(nu_node_is_null(root->child[i]), i < 5);
    nu_conf_free(conf);
}

static void paths_quote_what_is_no_word(void **state)
{
    struct nu_conf *conf = conf_of("a:\n  - [x, {\"*.b.test\": {c: 1}}]\n");
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_node *list = nu_node_get(nu_conf_root(conf), "a")->child[0];
    struct nu_node *c = nu_node_get(nu_node_get(list->child[1], "*.b.test"), "c");
    assert_string_equal(nu_node_path(arena, c), "a[0][1].\"*.b.test\".c");
    assert_string_equal(nu_node_path(arena, nu_conf_root(conf)), "");
    assert_string_equal(nu_conf_path(conf, arena, "x.pem"), "/etc/x.pem");
    assert_string_equal(nu_conf_path(conf, arena, "././x.pem"), "/etc/x.pem");
    assert_string_equal(nu_conf_path(conf, arena, "/a/x.pem"), "/a/x.pem");
    assert_string_equal(nu_node_kind_str(NU_NODE_LIST), "list");
    nu_arena_free(arena);
    nu_conf_free(conf);
}

static void nothing_is_an_empty_map(void **state)
{
    static const char *const nothings[] = {
        "", "\n", "# only words\n", "---\n", "~\n", "\xef\xbb\xbf", "{}", "---\n...\n"};
    for (size_t i = 0; i < COUNT(nothings); i++) {
        struct nu_conf *conf = conf_of(nothings[i]);
        assert_report(conf, "");
        assert_int_equal(nu_conf_root(conf)->kind, NU_NODE_MAP);
        assert_int_equal(nu_conf_root(conf)->count, 0);
        nu_conf_free(conf);
    }
}

static void a_byte_order_mark_moves_no_column(void **state)
{
    struct nu_conf *conf = conf_of("\xef\xbb\xbfkey: 1\n");
    struct nu_node *key = nu_node_get(nu_conf_root(conf), "key");
    assert_int_equal(key->key_column, 1);
    assert_int_equal(key->column, 6);
    nu_conf_free(conf);
}

static void a_config_may_not_have(void **state)
{
    static const struct mistake rows[] = {
        {"a: &x 1\nb: *x\n",                   "t.yaml:1:4: a: anchors (&name) are not supported: write the value "
                             "out, or quote it\n    1 | a: &x 1\n      |    ^^^^\n"
                             "t.yaml:2:4: b: aliases (*name) are not supported: write the value "
                             "out, or quote it\n    2 | b: *x\n      |    ^^\n"},
        {"<<: *x\n",                           "t.yaml:1:1: merge keys (<<) are not supported: write the keys out\n"
                     "    1 | <<: *x\n      | ^^\n"                                    },
        {"a: !!str 1\n",
         "t.yaml:1:4: a: tags (!name) are not supported: leave it out, or quote the "
         "value\n    1 | a: !!str 1\n      |    ^^^^^^^\n"                                                 },
        {"a: &x [1]\n",                        "t.yaml:1:4: a: anchors (&name) are not supported: write the value out, or "
                        "quote it\n    1 | a: &x [1]\n      |    ^^^^\n"            },
        {"a: !m {}\n",                         "t.yaml:1:4: a: tags (!name) are not supported: leave it out, or quote the "
                       "value\n    1 | a: !m {}\n      |    ^^^^\n"                  },
        {"*a : 1\n",                           "t.yaml:1:1: an alias (*name) as a key: quote a key that starts with *\n"
                     "    1 | *a : 1\n      | ^^\n"                                    },
        {"&a b: 1\n",                          "t.yaml:1:1: an anchor or a tag on a key: quote a key that starts with & or "
                      "!\n    1 | &a b: 1\n      | ^^^^\n"                            },
        {"b: 1\nm:\n  x: 1\n  y: 2\n  x: 3\n",
         "t.yaml:5:3: m: duplicate key \"x\", first in line 3\n    5 |   x: 3\n      |   ^\n"              },
        {"a: 1\n---\nb: 1\n",                  "t.yaml:2:1: a second document: a config is one; leave out the "
                              "\"---\"\n    2 | ---\n      | ^^^\n"           },
        {"a: {{x}}\n",                         "t.yaml:1:5: a: a list or map as a key: quote a value that starts with [ or "
                       "{\n    1 | a: {{x}}\n      |     ^\n"                        },
        {"a: \"x\\0y\"\n",
         "t.yaml:1:4: a: a NUL character in a value\n    1 | a: \"x\\0y\"\n      |    ^^^^^^\n"            },
        {"\"x\\0y\": 1\n",
         "t.yaml:1:1: a NUL character in a key\n    1 | \"x\\0y\": 1\n      | ^^^^^^\n"                    },
    };
    assert_mistakes(rows, COUNT(rows));
}

static void broken_yaml_is_told_in_plain_words(void **state)
{
    static const struct mistake rows[] = {
        {"a:\n\tb: 1\n",
         "t.yaml:2:1: a tab: YAML is indented with spaces\n    2 | \\tb: 1\n      | ^^\n"                  },
        {"a: 1\n\tb: 2\n",
         "t.yaml:2:1: a tab: YAML is indented with spaces\n    2 | \\tb: 2\n      | ^^\n"                  },
        {"a: @x\n",
         "t.yaml:1:4: a value that starts with @ must be quoted\n    1 | a: @x\n      |    ^\n"            },
        {"a: *.b.test\n",          "t.yaml:1:4: a value that starts with * must be quoted: "
                          "\"*.example.com\"\n    1 | a: *.b.test\n      |    ^\n"},
        {"a: [::1]:80\n",          "t.yaml:1:5: a value is missing here; an IPv6 address is quoted: "
                          "\"[::1]:8080\"\n    1 | a: [::1]:80\n      |     ^\n"  },
        {"x: 1\na: \"abc\nb: 2\n",
         "t.yaml:2:4: a quote is not closed\n    2 | a: \"abc\n      |    ^\n"                             },
        {"a: [x, y\nb: 3\n",       "t.yaml:2:2: a list in [ ] is not closed, or lacks a comma: [a, b] "
                             "(it began in line 1)\n    2 | b: 3\n      |  ^\n"},
        {"a: {x: 1\n",             "t.yaml:1:4: a map in { } is not closed, or lacks a comma: {a: 1, b: 2}\n"
                       "    1 | a: {x: 1\n      |    ^\n"                            },
        {"a: 1\nb\n",              "t.yaml:2:1: a key without \": \" behind it\n    2 | b\n      | ^\n"    },
        {"a: - x\n",               "t.yaml:1:4: a list's \"- \" must start a line of its own: check the "
                     "indentation\n    1 | a: - x\n      |    ^\n"                     },
        {"a: \"\\q\"\n",           "t.yaml:1:5: an unknown escape: write \\\\ for a backslash, or use "
                         "'single quotes'\n    1 | a: \"\\q\"\n      |     ^\n"    },
    };
    assert_mistakes(rows, COUNT(rows));
}

static void every_error_is_shown(void **state)
{
    struct nu_conf *conf = conf_of("a: 1\na: 2\nb: *x\nc: [&y 1, !z 2]\n");
    assert_int_equal(nu_conf_error_count(conf), 4);
    assert_non_null(nu_conf_root(conf)); /* so that schemas can go on finding mistakes */
    assert_true(nu_node_get(nu_conf_root(conf), "b")->broken);
    assert_string_equal(nu_node_get(nu_conf_root(conf), "a")->text, "1");
    nu_conf_free(conf);
}

static void bytes_that_are_no_text(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *report;
    } rows[] = {
        {"a: 1\nb: \0x\n",    11,
         "t.yaml:2:4: a NUL byte: is this a text file?\n"
         "    2 | b: \\x00x\n      |    ^^^^\n"   },
        {"a: \xc3(\n",        6,
         "t.yaml:1:4: not UTF-8 text: byte 0xc3\n    1 | a: \\xc3(\n"
         "      |    ^^^^\n"                      },
        {"\xff\xfe"
         "a\0",      4,
         "t.yaml:1:1: not UTF-8 text: byte 0xff\n    1 | \\xff\\xfea\\x00\n"
         "      | ^^^^\n"                         },
        {"a: \xc0\xaf",       5,
         "t.yaml:1:4: not UTF-8 text: byte 0xc0\n    1 | a: \\xc0\\xaf\n"
         "      |    ^^^^\n"                      },
        {"a: \xed\xa0\x80",   6,
         "t.yaml:1:4: not UTF-8 text: byte 0xed\n    1 | a: \\xed\\xa0\\x80\n"
         "      |    ^^^^\n"                      },
        {"a: \x1b[1m\n",      8,
         "t.yaml:1:4: control character U+001B; write it as \"\\x1b\"\n"
         "    1 | a: \\x1b[1m\n      |    ^^^^\n" },
        {"a: \xef\xbf\xbf\n", 7,
         "t.yaml:1:4: control character U+FFFF; write it as \"\\uffff\"\n"
         "    1 | a: \\uffff\n      |    ^^^^^^\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct nu_conf *conf = nu_conf_from_text("t.yaml", NULL, rows[i].text, rows[i].len);
        assert_report(conf, rows[i].report);
        assert_null(nu_conf_root(conf));
        nu_conf_free(conf);
    }
}

static void duplicates_are_found_in_large_maps(void **state)
{
    char text[40 * 1000], *p = text;
    for (int i = 0; i < 1000; i++)
        p += sprintf(p, "key%d: %d\n", i, i);
    strcpy(p, "key500: x\nkey999: y\n");
    struct nu_conf *conf = conf_of(text);
    assert_report(conf, "t.yaml:1001:1: duplicate key \"key500\", first in line 501\n"
                        " 1001 | key500: x\n      | ^^^^^^\n"
                        "t.yaml:1002:1: duplicate key \"key999\", first in line 1000\n"
                        " 1002 | key999: y\n      | ^^^^^^\n");
    assert_int_equal(nu_conf_root(conf)->count, 1000);
    assert_string_equal(nu_node_get(nu_conf_root(conf), "key500")->text, "500");
    nu_conf_free(conf);
}

static void long_keys_are_refused(void **state)
{
    char text[NU_CONF_MAX_KEY + 10];
    memset(text, 'k', sizeof text);
    strcpy(text + NU_CONF_MAX_KEY, ": 1");
    struct nu_conf *conf = conf_of(text);
    assert_false(nu_conf_failed(conf));
    nu_conf_free(conf);
    strcpy(text + NU_CONF_MAX_KEY, "k: 1");
    conf = conf_of(text);
    assert_non_null(strstr(nu_conf_report(conf), "t.yaml:1:1: a key longer than 250 bytes\n"));
    nu_conf_free(conf);
}

/* 10 MB of each kind of nesting; libyaml alone takes minutes. The bound is ten times what a
 * sanitizer build needs. */
static void nesting_is_refused_at_once(void **state)
{
    static const char *const units[] = {"[", "- ", "{a: ", "[\n", "? ", "{a: [", "- {a: "};
    size_t len = 10000000;
    char *text = malloc(len);
    for (size_t i = 0; i < COUNT(units); i++) {
        size_t n = strlen(units[i]);
        for (size_t at = 0; at < len; at++)
            text[at] = units[i][at % n];
        double start = cost_seconds();
        struct nu_conf *conf = nu_conf_from_text("t.yaml", NULL, text, len);
        assert_true(cost_seconds() - start < cost_bound(2));
        assert_true(nu_conf_failed(conf));
        assert_null(nu_conf_root(conf));
        if (*units[i] == '[')
            assert_non_null(strstr(nu_conf_report(conf), ": nested deeper than 64 levels\n"));
        nu_conf_free(conf);
    }
    free(text);
}

static void depth_is_allowed_up_to_its_cap(void **state)
{
    char text[2 * NU_CONF_MAX_DEPTH + 3] = "";
    for (int depth = NU_CONF_MAX_DEPTH; depth <= NU_CONF_MAX_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = 0;
        struct nu_conf *conf = conf_of(text);
        assert_int_equal(nu_conf_failed(conf), depth > NU_CONF_MAX_DEPTH);
        nu_conf_free(conf);
    }
}

static void size_has_a_cap(void **state)
{
    size_t len = NU_CONF_MAX_BYTES + 1;
    char *text = malloc(len);
    memset(text, '\n', len);
    struct nu_conf *conf = nu_conf_from_text("t.yaml", NULL, text, len);
    assert_report(conf, "t.yaml: larger than 64 MiB\n");
    assert_null(nu_conf_root(conf));
    nu_conf_free(conf);
    free(text);
}

/* 10,000 SNI chains and 10,000 endpoints, 2.8 MB. */
static char *big_config(void)
{
    char *text = malloc(8 << 20), *p = text;
    p += sprintf(p, "listeners:\n  - bind: 0.0.0.0:8443\n    chains:\n");
    for (int i = 0; i < 10000; i++)
        p += sprintf(p,
                     "      - name: chain%d\n        match: {sni: [h%d.example.test, "
                     "\"*.h%d.example.test\"]}\n        filters:\n          - ip_filter: {deny: "
                     "[192.0.2.0/24]}\n          - tcp_proxy: {cluster: c%d, idle_timeout: 1h}\n",
                     i, i, i, i % 100);
    p += sprintf(p, "clusters:\n");
    for (int i = 0; i < 10000; i++) {
        if (i % 100 == 0)
            p += sprintf(p, "  - name: c%d\n    endpoints:\n", i / 100);
        p += sprintf(p, "      - address: \"10.0.%d.%d:8443\"\n        weight: %d\n", i / 100,
                     i % 100, i % 9 + 1);
    }
    return text;
}

static void a_large_config_is_read_fast(void **state)
{
    char *text = big_config();
    double start = cost_seconds();
    struct nu_conf *conf = conf_of(text);
    double took = cost_seconds() - start;
    print_message("%zu bytes in %.1f ms\n", strlen(text), took * 1e3);
    assert_report(conf, "");
    assert_true(took < cost_bound(1)); /* 45 ms as built for use; what is quadratic takes minutes */
    struct nu_node *chains =
        nu_node_get(nu_node_get(nu_conf_root(conf), "listeners")->child[0], "chains");
    assert_int_equal(chains->count, 10000);
    assert_string_equal(nu_node_get(chains->child[9999], "name")->text, "chain9999");
    nu_conf_free(conf);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_has_kinds_keys_and_places),
        cmocka_unit_test(only_plain_scalars_are_null),
        cmocka_unit_test(paths_quote_what_is_no_word),
        cmocka_unit_test(nothing_is_an_empty_map),
        cmocka_unit_test(a_byte_order_mark_moves_no_column),
        cmocka_unit_test(a_config_may_not_have),
        cmocka_unit_test(broken_yaml_is_told_in_plain_words),
        cmocka_unit_test(every_error_is_shown),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(duplicates_are_found_in_large_maps),
        cmocka_unit_test(long_keys_are_refused),
        cmocka_unit_test(nesting_is_refused_at_once),
        cmocka_unit_test(depth_is_allowed_up_to_its_cap),
        cmocka_unit_test(size_has_a_cap),
        cmocka_unit_test(a_large_config_is_read_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
