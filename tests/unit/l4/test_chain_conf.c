/* Filter lists: what they become, and what is said about wrong ones. */
#include "l4/chain_conf.h"

#include "tests/unit/l4/conf_types.h"

struct got {
    struct nu_conf *conf;
    struct nu_arena *arena;
    const struct nu_place *places;
    unsigned count;
    enum nu_err err;
};

static struct nu_ext *extensions;
static const struct nu_schema extendable = {.ext = &extensions};

/* `text` is the value of "filters". */
static struct got read_text(const char *text)
{
    struct got got = {.arena = nu_arena_new(256)};
    got.conf = conf_of(text);
    const struct nu_node *root = nu_conf_root(got.conf);
    assert_non_null(root);
    got.err = nu_chain_conf_filters(
        NULL, got.conf, got.arena, NU_FACE_BYTES, nu_node_get(root, "filters"), root,
        &(struct nu_ext_values){&extendable, NULL}, &got.places, &got.count);
    assert_int_equal(got.err != NU_OK, nu_conf_failed(got.conf));
    return got;
}

static void done(struct got *got)
{
    nu_conf_free(got->conf);
    nu_arena_free(got->arena);
}

static void a_list_becomes_places(void **state)
{
    struct got got = read_text("filters:\n"
                               "  - plain\n"
                               "  - trial: {word: a, size: 2KiB}\n"
                               "  - plain:\n"
                               "  - trial:\n"
                               "      word: b\n"
                               "  - bytes_end: {}\n");
    assert_report(got.conf, "");
    assert_int_equal(got.count, 5);
    assert_ptr_equal(got.places[0].type, &plain);
    assert_null(got.places[0].conf);
    const struct trial_conf *a = got.places[1].conf, *b = got.places[3].conf;
    nu_conf_free(got.conf);
    got.conf = NULL;
    assert_string_equal(a->word, "a"); /* outlives the text */
    assert_int_equal(a->size, 2048);
    assert_int_equal(a->prepared, 1);
    assert_string_equal(b->word, "b");
    assert_int_equal(b->size, 1024);
    assert_ptr_equal(got.places[4].type, &bytes_end);
    done(&got);
}

static void a_bare_filter_is_a_list_of_one(void **state)
{
    struct got got = read_text("filters: bytes_end\n");
    assert_int_equal(got.count, 1);
    done(&got);
    got = read_text("filters: {bytes_end: }\n");
    assert_int_equal(got.count, 1);
    done(&got);
}

static const struct mistake mistakes[] = {
    {"filters: [byte_end]\n",                              "t.yaml:1:11: filters[0]: unknown filter \"byte_end\"\n"
                              "    1 | filters: [byte_end]\n"
                              "      |           ^^^^^^^^ did you mean \"bytes_end\"?\n"                      },
    {"filters: [{plian: {}}, bytes_end]\n",                "t.yaml:1:12: filters[0]: unknown filter \"plian\"\n"
                                            "    1 | filters: [{plian: {}}, bytes_end]\n"
                                            "      |            ^^^^^ did you mean \"plain\"?\n"},
    {"filters: [inside, bytes_end]\n",                     "t.yaml:1:11: filters[0]: unknown filter \"inside\"\n"
                                       "    1 | filters: [inside, bytes_end]\n"
                                       "      |           ^^^^^^\n"                                  },
    {"filters: [websocket, bytes_end]\n",
     "t.yaml:1:11: filters[0]: filter \"websocket\" is not in this version\n"
     "    1 | filters: [websocket, bytes_end]\n"
     "      |           ^^^^^^^^^\n"                                                                                                       },
    {"filters: [trial, bytes_end]\n",                      "t.yaml:1:11: filters[0].trial: missing key \"word\"\n"
                                      "    1 | filters: [trial, bytes_end]\n"
                                      "      |           ^^^^^\n"                                     },
    {"filters: [{trial: {wort: x}}, bytes_end]\n",
     "t.yaml:1:20: filters[0].trial: unknown key \"wort\"\n"
     "    1 | filters: [{trial: {wort: x}}, bytes_end]\n"
     "      |                    ^^^^ did you mean \"word\"?\n"                                                                            },
    {"filters: [{trial: {word: wrong}}, bytes_end]\n",
     "t.yaml:1:19: filters[0].trial: prepare says no\n"
     "    1 | filters: [{trial: {word: wrong}}, bytes_end]\n"
     "      |                   ^\n"                                                                                                       },
    {"filters: [{plain: {x: 1}}, bytes_end]\n",
     "t.yaml:1:19: filters[0].plain: plain has no options\n"
     "    1 | filters: [{plain: {x: 1}}, bytes_end]\n"
     "      |                   ^\n"                                                                                                       },
    {"filters: [{plain: {}, trial: {}}, bytes_end]\n",
     "t.yaml:1:11: filters[0]: found 2 keys, expected one: a filter's name and its options\n"
     "    1 | filters: [{plain: {}, trial: {}}, bytes_end]\n"
     "      |           ^\n"                                                                                                               },
    {"filters: [[plain], bytes_end]\n",
     "t.yaml:1:11: filters[0]: expected a filter: a name, or {name: options}\n"
     "    1 | filters: [[plain], bytes_end]\n"
     "      |           ^\n"                                                                                                               },
    {"filters: [~, {}]\n",
     "t.yaml:1:11: filters[0]: expected a filter: a name, or {name: options}\n"
     "    1 | filters: [~, {}]\n"
     "      |           ^\n"
     "t.yaml:1:14: filters[1]: expected a filter: a name, or {name: options}\n"
     "    1 | filters: [~, {}]\n"
     "      |              ^\n"                                                                                                            },
    {"filters: [bytes_end, plain]\n",
     "t.yaml:1:22: filters[1]: wrong chain order: nothing can stand behind bytes_end, which ends "
     "the chain\n"
     "    1 | filters: [bytes_end, plain]\n"
     "      |                      ^^^^^\n"                                                                                                },
    {"filters: [plain, of_http]\n",
     "t.yaml:1:18: filters[1]: wrong chain order: of_http takes HTTP, but it gets bytes here\n"
     "    1 | filters: [plain, of_http]\n"
     "      |                  ^^^^^^^\n"                                                                                                  },
    {"filters: [to_http, of_http]\n",
     "t.yaml:1:20: filters[1]: wrong chain order: the chain has no filter that ends it (tcp_proxy, "
     "echo)\n"
     "    1 | filters: [to_http, of_http]\n"
     "      |                    ^^^^^^^\n"                                                                                                },
    {"filters: plain\n",
     "t.yaml:1:10: filters: wrong chain order: the chain has no filter that ends it (tcp_proxy, "
     "echo)\n"
     "    1 | filters: plain\n"
     "      |          ^^^^^\n"                                                                                                            },
    {"filters: []\n",                                      "t.yaml:1:10: filters: a chain needs a filter\n"
                      "    1 | filters: []\n"
                      "      |          ^\n"                                                                          },
    {"name: x\n",                                          "t.yaml:1:1: missing key \"filters\"\n"
                  "    1 | name: x\n"
                  "      | ^\n"                                                                                           },
    {"filters:\n  - trial:\n    word: x\n  - bytes_end\n",
     "t.yaml:3:5: filters[0]: \"word\" stands beside \"trial\": a filter's options are indented "
     "below its name\n"
     "    3 |     word: x\n"
     "      |     ^^^^\n"                                                                                                                  },
};

static void mistakes_are_shown_at_their_place(void **state)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct got got = read_text(mistakes[i].text);
        assert_report(got.conf, mistakes[i].report);
        assert_null(got.places);
        done(&got);
    }
}

static void a_chain_has_a_cap(void **state)
{
    for (unsigned extra = 0; extra < 2; extra++) {
        char text[2048] = "filters:\n";
        for (unsigned i = 0; i < NU_CHAIN_CONF_MAX_FILTERS - 1 + extra; i++)
            strcat(text, "  - plain\n");
        strcat(text, "  - bytes_end\n");
        struct got got = read_text(text);
        assert_int_equal(got.err, extra ? NU_ERR_CONFIG : NU_OK);
        assert_int_equal(
            strstr(nu_conf_report(got.conf), "at most 20 filters, this one has 21") != NULL, extra);
        done(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_becomes_places),
        cmocka_unit_test(a_bare_filter_is_a_list_of_one),
        cmocka_unit_test(mistakes_are_shown_at_their_place),
        cmocka_unit_test(a_chain_has_a_cap),
    };
    register_trials();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
