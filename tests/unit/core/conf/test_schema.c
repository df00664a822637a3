/* Nodes into structs: defaults, lists, short forms, nested objects, extensions, and what a map may
 * not have or lacks. */
#include "tests/unit/core/conf/conf_help.h"
#include "tests/unit/core/conf/sample.h"

/* A config parsed by the sample schema. */
struct parsed {
    struct nu_conf *conf;
    struct nu_arena *arena;
    struct sample s;
    enum nu_err err;
};

static struct parsed parse(const char *text)
{
    struct parsed p = {.conf = conf_of(text), .arena = nu_arena_new(1024)};
    p.err = nu_schema_parse(&sample_schema, p.conf, p.arena, nu_conf_root(p.conf), &p.s);
    assert_int_equal(p.err, nu_conf_failed(p.conf) ? NU_ERR_CONFIG : NU_OK);
    return p;
}

static void done(struct parsed *p)
{
    nu_arena_free(p->arena);
    nu_conf_free(p->conf);
}

static void assert_wrong(const char *text, const char *report)
{
    struct parsed p = parse(text);
    assert_report(p.conf, report);
    done(&p);
}

static void absent_keys_have_their_defaults(void **state)
{
    struct parsed p = parse("");
    struct nu_vec *names = &p.s.names;
    assert_int_equal(p.err, NU_OK);
    assert_true(p.s.on && p.s.checked);
    assert_int_equal(p.s.count, 7);
    assert_int_equal(p.s.wait, 90000);
    assert_int_equal(p.s.size, 0);
    assert_true(p.s.share > 0.0999 && p.s.share < 0.1001);
    assert_null(p.s.name);
    assert_int_equal(p.s.mode, 2);
    assert_int_equal(p.s.address.kind, NU_ADDR_NONE);
    assert_string_equal(p.s.path, "/etc/a.log");
    assert_int_equal(p.s.limits.pending, 1024);
    assert_string_equal(p.s.limits.home.name, "~");
    assert_int_equal(p.s.limits.home.weight, 1);
    assert_null(p.s.more);
    assert_int_equal(names->count, 2);
    assert_string_equal(((const char **)names->items)[1], "b|c");
    assert_int_equal(p.s.targets.count, 0);
    assert_int_equal(*(int64_t *)p.s.waits.items, 1000);
    done(&p);
}

static void no_node_means_defaults(void **state)
{
    struct parsed p = parse("");
    struct sample s = {0};
    assert_int_equal(nu_schema_parse(&sample_schema, p.conf, p.arena, NULL, &s), NU_OK);
    assert_int_equal(s.count, 7);
    assert_true(s.checked);
    done(&p);
}

static void null_is_an_empty_map_or_list(void **state)
{
    struct parsed p = parse("limits:\nmore: ~\nnames:\nwaits: []\nraws: null\nraw:\n");
    assert_int_equal(p.err, NU_OK);
    assert_int_equal(p.s.limits.pending, 1024);
    assert_int_equal(p.s.more->pending, 1024);
    assert_int_equal(p.s.names.count + p.s.waits.count + p.s.raws.count, 0);
    assert_true(nu_node_is_null(p.s.raw));
    done(&p);
}

static void a_bare_value_is_a_list_of_one(void **state)
{
    struct parsed p = parse("names: x\ntargets: web\nmaybes: {name: api, weight: 9}\n"
                            "raws: {a: 1}\nletters: q\n");
    struct target *t = p.s.targets.items, **maybe = p.s.maybes.items;
    assert_int_equal(p.err, NU_OK);
    assert_int_equal(p.s.names.count, 1);
    assert_int_equal(p.s.targets.count, 1);
    assert_string_equal(t->name, "web");
    assert_int_equal(t->weight, 1);
    assert_int_equal(maybe[0]->weight, 9);
    assert_string_equal((*(const struct nu_node **)p.s.raws.items)->child[0]->key, "a");
    assert_int_equal(*(char *)p.s.letters.items, 'q');
    done(&p);
}

static void lists_are_back_to_back(void **state)
{
    struct parsed p = parse("targets: [a, {name: b, weight: 5}, c]\nwaits: [1s, 0, 2m]\n"
                            "letters: [x, y]\nraws: [1, [2]]\n");
    struct target *t = p.s.targets.items;
    int64_t *waits = p.s.waits.items;
    assert_int_equal(p.err, NU_OK);
    assert_int_equal(p.s.targets.count, 3);
    assert_string_equal(t[2].name, "c");
    assert_int_equal(t[1].weight, 5);
    assert_int_equal(waits[0] + waits[1] + waits[2], 121000);
    assert_memory_equal(p.s.letters.items, "xy", 2);
    assert_int_equal(((const struct nu_node **)p.s.raws.items)[1]->kind, NU_NODE_LIST);
    done(&p);
}

static void objects_nest(void **state)
{
    struct parsed p = parse("limits: {pending: 5, home: {name: x}}\nmore: {home: y}\n");
    assert_int_equal(p.err, NU_OK);
    assert_int_equal(p.s.limits.pending, 5);
    assert_string_equal(p.s.limits.home.name, "x");
    assert_int_equal(p.s.more->pending, 1024);
    assert_string_equal(p.s.more->home.name, "y");
    done(&p);
}

static void unknown_keys_are_errors_with_a_guess(void **state)
{
    assert_wrong("limits:\n  pendign: 5\nxyz: 1\n",
                 "t.yaml:2:3: limits: unknown key \"pendign\"\n    2 |   pendign: 5\n"
                 "      |   ^^^^^^^ did you mean \"pending\"?\n"
                 "t.yaml:3:1: unknown key \"xyz\"\n    3 | xyz: 1\n      | ^^^\n");
    assert_wrong("tomorow: on\n", /* what is not there yet is no good guess */
                 "t.yaml:1:1: unknown key \"tomorow\"\n    1 | tomorow: on\n      | ^^^^^^^\n");
}

static void keys_of_later_versions_say_so(void **state)
{
    assert_wrong("tomorrow: on\n", "t.yaml:1:1: \"tomorrow\" is not in this version\n"
                                   "    1 | tomorrow: on\n      | ^^^^^^^^\n");
}

static void missing_keys_are_told_at_their_map(void **state)
{
    assert_wrong("targets:\n  - {weight: 5}\nmore:\n  home: {}\n",
                 "t.yaml:2:5: targets[0]: missing key \"name\"\n    2 |   - {weight: 5}\n"
                 "      |     ^\n"
                 "t.yaml:4:3: more.home: missing key \"name\"\n    4 |   home: {}\n"
                 "      |   ^^^^\n");
    assert_wrong("targets: {nmae: x}\n", /* the typo is enough */
                 "t.yaml:1:11: targets: unknown key \"nmae\"\n    1 | targets: {nmae: x}\n"
                 "      |           ^^^^ did you mean \"name\"?\n");
}

static void wrong_shapes(void **state)
{
    assert_wrong("[a]\n", "t.yaml:1:1: found a list, expected a map with keys like \"on\"\n"
                          "    1 | [a]\n      | ^\n");
    assert_wrong("limits: 5\n", "t.yaml:1:9: limits: found \"5\", expected a map with keys like "
                                "\"pending\"\n    1 | limits: 5\n      |         ^\n");
    assert_wrong("targets: [[a]]\n", "t.yaml:1:11: targets[0]: found a list, expected a string\n"
                                     "    1 | targets: [[a]]\n      |           ^\n");
    assert_wrong("targets: []\n", "t.yaml:1:10: targets: the list must not be empty\n"
                                  "    1 | targets: []\n      |          ^\n");
    assert_wrong("letter: xy\n", "t.yaml:1:9: letter: not one letter\n    1 | letter: xy\n"
                                 "      |         ^^\n");
}

static void all_mistakes_are_told_at_once(void **state)
{
    struct parsed p = parse("names: [a, [b], c, {d: e}]\ncount: 0\nwaits: [1, 2s, x]\n"
                            "more: {home: {weight: 0}}\n");
    assert_int_equal(nu_conf_error_count(p.conf), 7);
    assert_false(p.s.checked); /* only what is whole is checked */
    done(&p);
}

static void broken_nodes_are_told_once(void **state)
{
    assert_wrong("count: &a 7\nlimits: !x {pending: z}\nnames: &y [1]\nname: &z b\n<<: *a\n",
                 "t.yaml:1:8: count: anchors (&name) are not supported: write the value out, or "
                 "quote it\n    1 | count: &a 7\n      |        ^^^^\n"
                 "t.yaml:2:9: limits: tags (!name) are not supported: leave it out, or quote the "
                 "value\n    2 | limits: !x {pending: z}\n      |         ^^^^\n"
                 "t.yaml:3:8: names: anchors (&name) are not supported: write the value out, or "
                 "quote it\n    3 | names: &y [1]\n      |        ^^^^\n"
                 "t.yaml:4:7: name: anchors (&name) are not supported: write the value out, or "
                 "quote it\n    4 | name: &z b\n      |       ^^^^\n"
                 "t.yaml:5:1: merge keys (<<) are not supported: write the keys out\n"
                 "    5 | <<: *a\n      | ^^\n");
}

static void checks_come_after_all_fields(void **state)
{
    assert_wrong("on: yes\ncount: 13\n", "t.yaml:1:1: 13 brings bad luck\n    1 | on: yes\n"
                                         "      | ^\n");
}

static void extensions_add_keys(void **state)
{
    static struct nu_ext deep = {
        .field = {.key = "tls", .type = NU_OBJECT, .flags = NU_PTR, .sub = &target_schema}
    };
    static struct nu_ext word = {
        .field = {.key = "word", .type = NU_STRING, .fallback = "w"}
    };
    nu_schema_extend(&sample_schema, &deep);
    nu_schema_extend(&sample_schema, &word);
    struct parsed p = parse("tls: web\n");
    struct target *t = nu_ext_get(p.s.ext, &deep);
    assert_int_equal(p.err, NU_OK);
    assert_string_equal(t->name, "web");
    assert_string_equal(nu_ext_get(p.s.ext, &word), "w");
    done(&p);
    p = parse("");
    assert_null(nu_ext_get(p.s.ext, &deep));
    assert_null(nu_ext_get(NULL, &deep));
    done(&p);
    assert_wrong("tsl: 1\n", "t.yaml:1:1: unknown key \"tsl\"\n    1 | tsl: 1\n"
                             "      | ^^^ did you mean \"tls\"?\n");
    assert_wrong("tls: {}\n", "t.yaml:1:1: tls: missing key \"name\"\n    1 | tls: {}\n"
                              "      | ^^^\n");
    sample_exts = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_have_their_defaults),
        cmocka_unit_test(no_node_means_defaults),
        cmocka_unit_test(null_is_an_empty_map_or_list),
        cmocka_unit_test(a_bare_value_is_a_list_of_one),
        cmocka_unit_test(lists_are_back_to_back),
        cmocka_unit_test(objects_nest),
        cmocka_unit_test(unknown_keys_are_errors_with_a_guess),
        cmocka_unit_test(keys_of_later_versions_say_so),
        cmocka_unit_test(missing_keys_are_told_at_their_map),
        cmocka_unit_test(wrong_shapes),
        cmocka_unit_test(all_mistakes_are_told_at_once),
        cmocka_unit_test(broken_nodes_are_told_once),
        cmocka_unit_test(checks_come_after_all_fields),
        cmocka_unit_test(extensions_add_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
