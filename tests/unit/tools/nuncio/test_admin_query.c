/* Queries of requests to the admin, and what pages have to say about them. */
#include "tools/nuncio/admin_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static enum nu_err parse(const char *target, struct nu_arena *arena, char *path,
                         struct nu_query *query)
{
    struct nu_text text;
    enum nu_err err = nu_query_parse(nu_text(target, strlen(target)), arena, &text, query);
    snprintf(path, 64, "%.*s", (int)text.len, text.at);
    return err;
}

static void splits_and_decodes(void **state)
{
    static const struct {
        const char *target, *path, *said; /* "name=value;" */
        enum nu_err err;
    } rows[] = {
        {"/stats",                               "/stats", "",                      NU_OK        },
        {"/stats?",                              "/stats", "",                      NU_OK        },
        {"/stats?&&",                            "/stats", "",                      NU_OK        },
        {"/stats?usedonly",                      "/stats", "usedonly=;",            NU_OK        },
        {"/stats?usedonly&filter=a.b",           "/stats", "usedonly=;filter=a.b;", NU_OK        },
        {"/s?filter=%5Ea%2bb+c%20=d?e",          "/s",     "filter=^a+b c =d?e;",   NU_OK        },
        {"/s?%66ilter=x",                        "/s",     "filter=x;",             NU_OK        },
        {"/s?=x",                                "/s",     "=x;",                   NU_OK        },
        {"/s?f=%c3%A4",                          "/s",     "f=\xc3\xa4;",           NU_OK        },
        {"/s%3f?a",                              "/s%3f",  "a=;",                   NU_OK        },
        {"",                                     "",       "",                      NU_OK        },
        {"?",                                    "",       "",                      NU_OK        },
        {"/s?a=%",                               "/s",     "",                      NU_ERR_SYNTAX},
        {"/s?a=%4",                              "/s",     "",                      NU_ERR_SYNTAX},
        {"/s?a=%4g",                             "/s",     "",                      NU_ERR_SYNTAX},
        {"/s?a=%g4",                             "/s",     "",                      NU_ERR_SYNTAX},
        {"/s?a=%00",                             "/s",     "",                      NU_ERR_SYNTAX},
        {"/s?a%0d%0a=",                          "/s",     "",                      NU_ERR_SYNTAX},
        {"/s?a=%7f",                             "/s",     "",                      NU_ERR_SYNTAX},
        {"/s?a=1&a=2",                           "/s",     "a=1;",                  NU_ERR_EXISTS},
        {"/s?0&1&2&3&4&5&6&7&8&9&a&b&c&d&e&f&g", "/s",
         "0=;1=;2=;3=;4=;5=;6=;7=;8=;9=;a=;b=;c=;d=;e=;f=;",                        NU_ERR_LIMIT },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_arena *arena = nu_arena_new(512);
        struct nu_query query;
        char path[64], said[128] = "";
        assert_int_equal(parse(rows[i].target, arena, path, &query), rows[i].err);
        for (unsigned k = 0; k < query.count; k++) {
            size_t len = strlen(said);
            snprintf(said + len, sizeof said - len, "%s=%s;", query.params[k].name,
                     query.params[k].value);
        }
        assert_string_equal(path, rows[i].path);
        assert_string_equal(said, rows[i].said);
        nu_arena_free(arena);
    }
}

/* Any bytes: nothing is read beyond them, and what comes out has no control bytes. */
static void stands_any_bytes(void **state)
{
    static const char alphabet[] = "%%%&=?+/a4fG\x01\xff";
    unsigned seed = 20261123;
    for (int round = 0; round < 20000; round++) {
        struct nu_arena *arena = nu_arena_new(512);
        struct nu_query query;
        struct nu_text path;
        size_t len = (size_t)rand_r(&seed) % 24;
        char *bytes = malloc(len + 1); /* of its very size: ASan looks on */
        for (size_t i = 0; i < len; i++)
            bytes[i] = alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
        nu_query_parse(nu_text(bytes, len), arena, &path, &query);
        assert_true(path.len <= len && query.count <= NU_QUERY_PARAMS_MAX);
        for (unsigned i = 0; i < query.count; i++)
            for (const char *c = query.params[i].value; *c; c++)
                assert_true((unsigned char)*c >= 0x20);
        free(bytes);
        nu_arena_free(arena);
    }
}

static void knows_switches(void **state)
{
    static const char *const on[] = {"/s?u", "/s?u=", "/s?u=1", "/s?u=on", "/s?u=true"};
    static const char *const off[] = {"/s", "/s?u=0", "/s?u=off", "/s?u=False", "/s?v"};
    struct nu_arena *arena = nu_arena_new(512);
    struct nu_query query;
    char path[64];
    for (size_t i = 0; i < sizeof on / sizeof *on; i++) {
        parse(on[i], arena, path, &query);
        assert_true(nu_query_flag(&query, "u"));
        parse(off[i], arena, path, &query);
        assert_false(nu_query_flag(&query, "u"));
    }
    nu_arena_free(arena);
}

/* Status and text for a query of a page; the caller frees the text. */
static unsigned check(const char *target, char **said)
{
    struct nu_arena *arena = nu_arena_new(512);
    struct nu_query query;
    struct nu_text path;
    size_t len;
    FILE *out = open_memstream(said, &len);
    assert_int_equal(nu_query_parse(nu_text(target, strlen(target)), arena, &path, &query), NU_OK);
    const struct nu_admin_page *page = nu_admin_page_find(path);
    assert_non_null(page);
    unsigned status = nu_admin_page_check(page, &query, out);
    fclose(out);
    nu_arena_free(arena);
    return status;
}

static void pages_take_no_other_names(void **state)
{
    static const struct {
        const char *target, *said; /* "" = fine */
    } rows[] = {
        {"/stats?filter=x&usedonly&format=json", ""                                                                       },
        {"/stats?format=text",                   ""                                                                       },
        {"/server_info?format=json",             ""                                                                       },
        {"/ready?verbose",                       ""                                                                       },
        {"/stats?used",                          "error: /stats has no \"used\", but: filter=REGEX usedonly format=json\n"},
        {"/stats?filte=r",
         "error: /stats has no \"filte\", but: filter=REGEX usedonly format=json\n"                                       },
        {"/stats?",                              ""                                                                       },
        {"/stats?=x",                            "error: /stats has no \"\", but: filter=REGEX usedonly format=json\n"    },
        {"/certs?x",                             "error: /certs has no \"x\" in its query\n"                              },
        {"/stats?format=xml",                    "error: format is json or text\n"                                        },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *said;
        assert_int_equal(check(rows[i].target, &said), *rows[i].said ? 400 : 0);
        assert_string_equal(said, rows[i].said);
        free(said);
    }
}

static void every_page_is_whole(void **state)
{
    const struct nu_admin_page *page;
    size_t i;
    for (i = 0; (page = nu_admin_page_at(i)); i++) {
        assert_ptr_equal(nu_admin_page_find(nu_text(page->path, strlen(page->path))), page);
        assert_true(*page->path == '/' && *page->doc);
        assert_int_equal((page->run != NULL) + (page->source != NULL),
                         page->need != NU_ADMIN_RELOAD);
    }
    assert_true(i > 10);
    assert_null(nu_admin_page_find(NU_TEXT("/stat")));
    assert_null(nu_admin_page_find(NU_TEXT("/stats/")));
    assert_null(nu_admin_page_find(nu_text("", 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_and_decodes),  cmocka_unit_test(stands_any_bytes),
        cmocka_unit_test(knows_switches),      cmocka_unit_test(pages_take_no_other_names),
        cmocka_unit_test(every_page_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
