/* Fields of a head: lookups, edits that cannot forge a line, lists, and where bytes live. */
#include "protocols/http/head.h"

#include "core/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define T(literal) NU_TEXT(literal)

static struct nu_arena *arena;
static struct nu_http_head *head;

static int setup(void **state)
{
    arena = nu_arena_new(256);
    head = nu_http_head_new(arena);
    return 0;
}

static int teardown(void **state)
{
    nu_arena_free(arena);
    return 0;
}

static void add(const char *name, const char *value)
{
    assert_int_equal(nu_http_add(head, nu_text(name, strlen(name)), nu_text(value, strlen(value))),
                     NU_OK);
}

/* All fields as "name: value" lines. */
static void assert_fields(const char *want)
{
    char text[512] = "";
    for (const struct nu_http_field *f = nu_http_each(head, NULL); f; f = nu_http_each(head, f))
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s: %.*s\n", f->name_len,
                 f->name, (int)f->value_len, f->value);
    assert_string_equal(text, want);
}

static void fields_by_number_and_by_name(void **state)
{
    add("Accept", "a");
    add("X-One", "1");
    add("accept", "b");
    add("x-one", "2");
    add("Host", "h");
    const struct nu_http_field *f = nu_http_get(head, NU_HDR_ACCEPT);
    assert_true(nu_text_is(nu_http_field_value(f), "a"));
    f = nu_http_next(head, f);
    assert_true(nu_text_is(nu_http_field_value(f), "b"));
    assert_null(nu_http_next(head, f));
    assert_null(nu_http_next(head, nu_http_get(head, NU_HDR_HOST)));
    f = nu_http_find(head, T("X-ONE"));
    assert_true(nu_text_is(nu_http_field_value(f), "1"));
    f = nu_http_next(head, f);
    assert_true(nu_text_is(nu_http_field_value(f), "2"));
    assert_null(nu_http_next(head, f));
    assert_ptr_equal(nu_http_find(head, T("HOST")), nu_http_get(head, NU_HDR_HOST));
    assert_null(nu_http_find(head, T("x-on")));
    assert_null(nu_http_get(head, NU_HDR_COOKIE));
    assert_true(nu_text_is(nu_http_value(head, NU_HDR_HOST), "h"));
    assert_int_equal(nu_http_value(head, NU_HDR_COOKIE).len, 0);
}

static void removing_and_setting(void **state)
{
    add("a", "1");
    add("te", "x");
    add("A", "2");
    add("te", "y");
    assert_int_equal(nu_http_remove(head, T("A")), 2);
    assert_int_equal(nu_http_remove(head, T("a")), 0);
    assert_fields("te: x\nte: y\n");
    assert_int_equal(nu_http_remove_known(head, NU_HDR_TE), 2);
    assert_int_equal(nu_http_remove_known(head, NU_HDR_TE), 0);
    assert_null(nu_http_get(head, NU_HDR_TE));
    assert_fields("");
    add("te", "z");
    assert_true(nu_text_is(nu_http_value(head, NU_HDR_TE), "z"));
    assert_int_equal(nu_http_set(head, T("b"), T("1")), NU_OK);
    assert_int_equal(nu_http_set(head, T("B"), T("2")), NU_OK);
    assert_int_equal(nu_http_set_known(head, NU_HDR_TE, T("q")), NU_OK);
    assert_int_equal(nu_http_set_known(head, NU_HDR_HOST, T("h")), NU_OK);
    assert_int_equal(nu_http_add_known(head, NU_HDR_VIA, T("v")), NU_OK);
    assert_fields("B: 2\nte: q\nhost: h\nvia: v\n");
}

/* A value may be taken from the field that it replaces. */
static void setting_from_itself(void **state)
{
    add("x-forwarded-for", "10.0.0.1, 10.0.0.2");
    struct nu_text list = nu_http_value(head, NU_HDR_XFF), first;
    assert_true(nu_http_list_next(&list, &first));
    assert_int_equal(nu_http_set_known(head, NU_HDR_XFF, first), NU_OK);
    assert_fields("x-forwarded-for: 10.0.0.1\n");
}

static void what_must_not_stand_in_a_field(void **state)
{
    static const struct nu_text names[] = {T(""), T("a b"), T("a:"), T("a\r"), T("a\0"), T("\xe9")};
    static const struct nu_text values[] = {T("a\r\nb: c"), T("a\n"), T("a\rb"), T("\0"),   T(" a"),
                                            T("a "),        T("\ta"), T("\x7f"), T("a\x01")};
    add("a", "1");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(nu_http_add(head, names[i], T("v")), NU_ERR_SYNTAX);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(nu_http_add(head, T("b"), values[i]), NU_ERR_SYNTAX);
        assert_int_equal(nu_http_set(head, T("a"), values[i]), NU_ERR_SYNTAX);
        assert_int_equal(nu_http_set_known(head, NU_HDR_VIA, values[i]), NU_ERR_SYNTAX);
    }
    assert_int_equal(nu_http_add(head, T("b"), T("\xff \t \x80")), NU_OK);
    assert_int_equal(nu_http_add(head, T("c"), T("")), NU_OK);
    assert_fields("a: 1\nb: \xff \t \x80\nc: \n");
}

static void edits_have_a_limit(void **state)
{
    static char name[NU_HTTP_NAME_MAX_BYTES + 1];
    memset(name, 'n', sizeof name);
    assert_int_equal(nu_http_add(head, nu_text(name, sizeof name), T("")), NU_ERR_LIMIT);
    assert_int_equal(nu_http_add(head, nu_text(name, sizeof name - 1), T("")), NU_OK);
    for (int i = 1; i < NU_HTTP_FIELDS_MAX; i++)
        add("x", "y");
    assert_int_equal(nu_http_add(head, T("x"), T("y")), NU_ERR_LIMIT);
    assert_int_equal(nu_http_set(head, T("x"), T("y")), NU_ERR_LIMIT);
    assert_false(nu_http_append(head, NU_HDR_OTHER, T("x"), T("y")));
}

static void a_clone_is_edited_alone(void **state)
{
    add("a", "1");
    head->status = 200;
    struct nu_http_head *clone = nu_http_head_clone(head, arena);
    nu_http_set(clone, T("a"), T("2"));
    nu_http_add(clone, T("via"), T("x"));
    assert_fields("a: 1\n");
    assert_null(nu_http_get(head, NU_HDR_VIA));
    assert_int_equal(clone->status, 200);
    head = clone;
    assert_fields("a: 2\nvia: x\n");
}

static void hop_by_hop_is_marked(void **state)
{
    add("Keep-Alive", "1");
    add("accept", "1");
    assert_int_equal(nu_http_get(head, NU_HDR_KEEP_ALIVE)->flags, NU_HTTP_FIELD_HOP);
    assert_int_equal(nu_http_get(head, NU_HDR_ACCEPT)->flags, 0);
}

static const struct {
    const char *list, *elements; /* joined by "|" */
} lists[] = {
    {"",                    ""                   },
    {" , ,\t,",             ""                   },
    {"a",                   "a|"                 },
    {" a ,\tb\t, ,c",       "a|b|c|"             },
    {"a b,c",               "a b|c|"             },
    {"\"a,b\",c",           "\"a,b\"|c|"         },
    {"\"a\\\",b\" ,c",      "\"a\\\",b\"|c|"     },
    {"\"open, c",           "\"open, c|"         },
    {"a;q=\"x,y\";r, \"\\", "a;q=\"x,y\";r|\"\\|"},
};

static void lists_are_taken_apart(void **state)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct nu_text rest = nu_text(lists[i].list, strlen(lists[i].list)), element;
        char got[64] = "";
        while (nu_http_list_next(&rest, &element))
            snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s|", (int)element.len,
                     element.at);
        assert_string_equal(got, lists[i].elements);
    }
}

static void texts_compare(void **state)
{
    assert_true(nu_text_is(T("a"), "a"));
    assert_false(nu_text_is(T("A"), "a"));
    assert_false(nu_text_is(T("ab"), "a"));
    assert_true(nu_text_is((struct nu_text){0}, ""));
    assert_true(nu_text_is_fold(T("KEEP-Alive"), "keep-alive"));
    assert_false(nu_text_is_fold(T("keep_alive"), "keep-alive"));
    assert_false(nu_text_is_fold(T("keep-alives"), "keep-alive"));
    assert_true(nu_text_is_fold((struct nu_text){0}, ""));
}

static void a_host_with_a_port(void **state)
{
    static const char *const good[] = {"a:1", "a.test:443", "[::1]:65535", "%41:1"};
    static const char *const bad[] = {"",      "a",     "a:",    "a:0",   "a:65536",
                                      "a:1x",  ":1",    "::1:1", "[a]:1", "[::1]",
                                      "u@a:1", "a b:1", "%4:1",  "a/:1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(nu_http_is_host_port(nu_text(good[i], strlen(good[i]))));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(nu_http_is_host_port(nu_text(bad[i], strlen(bad[i]))));
}

static void enums_have_names(void **state)
{
    assert_string_equal(nu_http_version_str(NU_HTTP_1_0), "HTTP/1.0");
    assert_string_equal(nu_http_version_str(NU_HTTP_1_1), "HTTP/1.1");
    assert_string_equal(nu_http_version_str(NU_HTTP_2), "HTTP/2");
    assert_string_equal(nu_http_body_str(NU_BODY_TUNNEL), "tunnel");
    assert_string_equal(nu_http_form_str(NU_FORM_ASTERISK), "asterisk");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_by_number_and_by_name),
        TEST(removing_and_setting),
        TEST(setting_from_itself),
        TEST(what_must_not_stand_in_a_field),
        TEST(edits_have_a_limit),
        TEST(a_clone_is_edited_alone),
        TEST(hop_by_hop_is_marked),
        TEST(lists_are_taken_apart),
        TEST(texts_compare),
        TEST(a_host_with_a_port),
        TEST(enums_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
