/* How errors look: the form, the order, carets under odd characters, long lines, caps. */
#include "tests/unit/core/conf/conf_help.h"

static const char edge[] = "listeners:\n"
                           "  - bind: 0.0.0.0:80\n"
                           "    filters:\n"
                           "      - tcp_proxy:\n"
                           "          clster: web\n";

static struct nu_node *find(struct nu_conf *conf, const char *key)
{
    struct nu_node *listener = nu_node_get(nu_conf_root(conf), "listeners")->child[0];
    if (strcmp(key, "bind") == 0)
        return nu_node_get(listener, key);
    struct nu_node *proxy = nu_node_get(nu_node_get(listener, "filters")->child[0], "tcp_proxy");
    return strcmp(key, "tcp_proxy") == 0 ? proxy : nu_node_get(proxy, key);
}

static void an_error_names_the_place_shows_it_and_guesses(void **state)
{
    struct nu_conf *conf = conf_of(edge);
    nu_conf_error_key(conf, find(conf, "clster"), "unknown key \"%s\"", "clster");
    nu_conf_guess(conf, "cluster");
    assert_report(conf, "t.yaml:5:11: listeners[0].filters[0].tcp_proxy: unknown key \"clster\"\n"
                        "    5 |           clster: web\n"
                        "      |           ^^^^^^ did you mean \"cluster\"?\n");
    nu_conf_free(conf);
}

static void places_are_the_value_the_key_or_the_map(void **state)
{
    struct nu_conf *conf = conf_of(edge);
    nu_conf_error_in(conf, find(conf, "tcp_proxy"), "in");
    nu_conf_error(conf, find(conf, "clster"), "value");
    nu_conf_error_key(conf, find(conf, "bind")->parent, "no key");
    nu_conf_error_key(conf, nu_conf_root(conf), "root");
    nu_conf_error(conf, NULL, "file");
    assert_report(conf, "t.yaml: file\n"
                        "t.yaml:1:1: root\n    1 | listeners:\n      | ^\n"
                        "t.yaml:2:5: listeners[0]: no key\n    2 |   - bind: 0.0.0.0:80\n"
                        "      |     ^\n"
                        "t.yaml:4:9: listeners[0].filters[0].tcp_proxy: in\n"
                        "    4 |       - tcp_proxy:\n      |         ^^^^^^^^^\n"
                        "t.yaml:5:19: listeners[0].filters[0].tcp_proxy.clster: value\n"
                        "    5 |           clster: web\n      |                   ^^^\n");
    assert_int_equal(nu_conf_error_count(conf), 5);
    nu_conf_free(conf);
}

static void order_is_the_files_then_that_of_reporting(void **state)
{
    struct nu_conf *conf = conf_of("a: 1\nb: 2\n");
    struct nu_node *a = nu_conf_root(conf)->child[0], *b = nu_conf_root(conf)->child[1];
    nu_conf_error(conf, b, "one");
    nu_conf_warn(conf, a, "two");
    nu_conf_error(conf, b, "three");
    assert_report(conf, "t.yaml:1:4: warning: a: two\n    1 | a: 1\n      |    ^\n"
                        "t.yaml:2:4: b: one\n    2 | b: 2\n      |    ^\n"
                        "t.yaml:2:4: b: three\n    2 | b: 2\n      |    ^\n");
    nu_conf_error_key(conf, a, "four"); /* the report grows */
    assert_memory_equal(nu_conf_report(conf), "t.yaml:1:1: four\n", 17);
    nu_conf_free(conf);
}

static void a_warning_fails_nothing(void **state)
{
    struct nu_conf *conf = conf_of("a: 1\n");
    nu_conf_warn(conf, nu_conf_root(conf)->child[0], "old");
    assert_false(nu_conf_failed(conf));
    assert_int_equal(nu_conf_error_count(conf), 0);
    nu_conf_free(conf);
}

/* Tabs and controls are escaped, wide characters take two columns, combining ones none. */
static void carets_stand_right(void **state)
{
    struct nu_conf *conf = conf_of("{\"\xe6\x97\xa5\xe6\x9c\xac\": e\xcc\x81,\t\"\xe2\x80\xaex\": "
                                   "\xc3\xa9\xc3\xa9, \xc2\xa0z: 1}");
    struct nu_node *root = nu_conf_root(conf);
    for (int i = 0; i < 3; i++)
        nu_conf_error(conf, root->child[i], "%d", i);
    assert_report(
        conf, "t.yaml:1:8: \"\xe6\x97\xa5\xe6\x9c\xac\": 0\n"
              "    1 | {\"\xe6\x97\xa5\xe6\x9c\xac\": e\xcc\x81,\\t\"\\u202ex\": \xc3\xa9\xc3\xa9, "
              "\xc2\xa0z: 1}\n"
              "      |          ^\n"
              "t.yaml:1:18: \"\\u202ex\": 1\n"
              "    1 | {\"\xe6\x97\xa5\xe6\x9c\xac\": e\xcc\x81,\\t\"\\u202ex\": \xc3\xa9\xc3\xa9, "
              "\xc2\xa0z: 1}\n"
              "      |                         ^^\n"
              "t.yaml:1:26: \"\xc2\xa0z\": 2\n"
              "    1 | {\"\xe6\x97\xa5\xe6\x9c\xac\": e\xcc\x81,\\t\"\\u202ex\": \xc3\xa9\xc3\xa9, "
              "\xc2\xa0z: 1}\n"
              "      |                                 ^\n");
    nu_conf_free(conf);
}

static void long_lines_are_cut_around_the_place(void **state)
{
    char text[2000] = "{a: x", expected[1000], window[200];
    memset(text + 5, 'x', 1000);
    strcpy(text + 1005, ", bad: 1, c: ");
    memset(text + 1018, 'y', 500);
    strcpy(text + 1518, "}");
    struct nu_conf *conf = conf_of(text);
    nu_conf_error_key(conf, nu_conf_root(conf)->child[1], "bad");
    memcpy(window, text + 1007 - 70, 140);
    window[140] = 0;
    snprintf(expected, sizeof expected, "t.yaml:1:1008: bad\n    1 | ...%s...\n      | %*s^^^\n",
             window, 73, "");
    assert_report(conf, expected);
    nu_conf_free(conf);
}

static void lines_end_where_yaml_ends_them(void **state)
{
    struct nu_conf *conf = conf_of("a: 1\r\nb: 2\rc: 3\nd: 4\xe2\x80\xa8"
                                   "e: 5\xc2\x85"
                                   "f: 6");
    struct nu_node *root = nu_conf_root(conf);
    assert_int_equal(root->count, 6);
    nu_conf_error(conf, root->child[5], "last");
    nu_conf_error(conf, root->child[1], "second");
    assert_report(conf, "t.yaml:2:4: b: second\n    2 | b: 2\n      |    ^\n"
                        "t.yaml:6:4: f: last\n    6 | f: 6\n      |    ^\n");
    nu_conf_free(conf);
}

static void hostile_words_are_escaped_and_cut(void **state)
{
    struct nu_conf *conf = nu_conf_from_text("a\nb.yaml", NULL, "k: 1\n", 5);
    char long_text[3000];
    memset(long_text, 'z', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    nu_conf_error(conf, NULL, "found \"\x1b[31m\xff\n\"");
    nu_conf_error(conf, NULL, "%s", long_text);
    const char *report = nu_conf_report(conf);
    assert_non_null(strstr(report, "a\\nb.yaml: found \"\\x1b[31m\\xff\\n\"\n"));
    assert_in_range(strlen(report), 1000, 1200);
    nu_conf_free(conf);
}

static void long_paths_are_cut(void **state)
{
    char text[2000], *p = text;
    for (int i = 0; i < 6; i++)
        p += sprintf(p, "{\"%0100d\": ", i);
    strcpy(p, "x}}}}}}");
    struct nu_conf *conf = conf_of(text);
    struct nu_node *node = nu_conf_root(conf);
    while (node->count)
        node = node->child[0];
    nu_conf_error(conf, node, "deep");
    const char *report = nu_conf_report(conf), *cut = strstr(report, "...: deep\n");
    assert_non_null(cut);
    assert_in_range(cut - report, 390, 420);
    nu_conf_free(conf);
}

static void shown_errors_have_a_cap(void **state)
{
    struct nu_conf *conf = conf_of("a: 1\n");
    struct nu_node *a = nu_conf_root(conf)->child[0];
    for (int i = 0; i < NU_CONF_MAX_ERRORS + 23; i++)
        nu_conf_error(conf, a, "no %d", i);
    nu_conf_guess(conf, "not shown");
    nu_conf_warn(conf, a, "still shown");
    const char *report = nu_conf_report(conf);
    assert_non_null(strstr(report, "t.yaml: 23 more errors\n"));
    assert_non_null(strstr(report, "still shown"));
    assert_null(strstr(report, "not shown"));
    assert_null(strstr(report, "no 100\n"));
    assert_int_equal(nu_conf_error_count(conf), 123);
    nu_conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_names_the_place_shows_it_and_guesses),
        cmocka_unit_test(places_are_the_value_the_key_or_the_map),
        cmocka_unit_test(order_is_the_files_then_that_of_reporting),
        cmocka_unit_test(a_warning_fails_nothing),
        cmocka_unit_test(carets_stand_right),
        cmocka_unit_test(long_lines_are_cut_around_the_place),
        cmocka_unit_test(lines_end_where_yaml_ends_them),
        cmocka_unit_test(hostile_words_are_escaped_and_cut),
        cmocka_unit_test(long_paths_are_cut),
        cmocka_unit_test(shown_errors_have_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
