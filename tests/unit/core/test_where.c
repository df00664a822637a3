/* Conditions over a table of fields: what they say of records, what is sure early, and mistakes. */
#include "core/where.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { EARLY = 1, LATE = 2 };

/* A record: what is missing is NULL or negative. */
struct record {
    const char *host, *tag, *client;
    int64_t status, took, size;
    int plain;
    bool early; /* what is late may not be looked at */
};

static bool put(const char *text, struct nu_where_value *out)
{
    out->text = nu_text(text ? text : "", text ? strlen(text) : 0);
    return text != NULL;
}

static bool get_host(const void *record, struct nu_where_value *out)
{
    return put(((const struct record *)record)->host, out);
}

static bool get_status(const void *record, struct nu_where_value *out)
{
    const struct record *r = record;
    assert_false(r->early);
    out->number = r->status;
    return r->status >= 0;
}

static bool get_took(const void *record, struct nu_where_value *out)
{
    out->number = ((const struct record *)record)->took;
    return true;
}

static bool get_size(const void *record, struct nu_where_value *out)
{
    out->number = ((const struct record *)record)->size;
    return true;
}

static bool get_plain(const void *record, struct nu_where_value *out)
{
    out->number = ((const struct record *)record)->plain;
    return out->number >= 0;
}

static bool get_client(const void *record, struct nu_where_value *out)
{
    const struct record *r = record;
    return r->client && nu_addr_parse(&out->addr, r->client, -1) == NU_OK;
}

static bool get_tag(const void *record, struct nu_text name, struct nu_where_value *out)
{
    return nu_text_is(name, "x-tag") && put(((const struct record *)record)->tag, out);
}

static const struct nu_where_field field[] = {
    {"host",   NU_WHERE_TEXT,   "", get_host,   EARLY},
    {"status", NU_WHERE_NUMBER, "", get_status, LATE },
    {"took",   NU_WHERE_TIME,   "", get_took,   EARLY},
    {"size",   NU_WHERE_BYTES,  "", get_size,   EARLY},
    {"plain",  NU_WHERE_BOOL,   "", get_plain,  0    },
    {"client", NU_WHERE_ADDR,   "", get_client, EARLY},
};
static const struct nu_where_family family[] = {
    {"request.", "", get_tag, LATE}
};
static const struct nu_where_fields fields = {.field = field,
                                              .count = sizeof field / sizeof *field,
                                              .family = family,
                                              .families = 1,
                                              .record = "a record",
                                              .listed = "see the list"};

static const struct record sample = {.host = "a.test",
                                     .tag = "blue \"one\"",
                                     .client = "10.1.2.3:4000",
                                     .status = 404,
                                     .took = 1500000000,
                                     .size = 65536,
                                     .plain = 0};

static struct nu_where *read_one(const char *text)
{
    char *error = (char *)"";
    struct nu_where *w = nu_where_new(&fields, "x", text, &error);
    if (!w)
        fail_msg("%s", error);
    assert_null(error);
    return w;
}

static void passes(void **state)
{
    static const struct {
        const char *text;
        bool is;
    } rows[] = {
        {"host == \"a.test\"",                             true },
        {"host == 'a.test' and status != 404",             false},
        {"host contains \"test\"",                         true },
        {"host contains \"\"",                             true },
        {"host contains \"b\" or status >= 404",           true },
        {"status < 404 || status > 404",                   false},
        {"status <= 404",                                  true },
        {"!status",                                        false},
        {"not plain",                                      true },
        {"plain == false",                                 true },
        {"took == 1.5s && took > 1499ms && took < 2s",     true },
        {"took < 0.5m && took > 100us && took != 1500ns",  true },
        {"size == 64KiB && size < 66k && size > 65535B",   true },
        {"client == \"10.1.2.3\"",                         true },
        {"client == \"10.0.0.0/8\"",                       true },
        {"client != \"10.0.0.0/8\"",                       false},
        {"client == \"10.1.2.3:4001\"",                    false},
        {"client == \"10.1.2.3:4000\"",                    true },
        {"request.x-tag == \"blue \\\"one\\\"\"",          true },
        {"request.other",                                  false},
        {"request.other == \"\" || request.other != \"\"", false},
        {"status == 404 || status == 1 && host == \"b\"",  true },
        {"(status == 404 || status == 1) && host == 'b'",  false},
        {"!!host && !(!host)\n\t&& request.x-tag",         true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_where *w = read_one(rows[i].text);
        if (nu_where_passes(w, &sample) != rows[i].is)
            fail_msg("%s", rows[i].text);
        nu_where_free(w);
    }
    (void)state;
}

/* What a record lacks compares with nothing. */
static void absent(void **state)
{
    static const char *const none[] = {"host == 'a'",     "host != 'a'", "status < 1",
                                       "status >= 0",     "plain",       "host",
                                       "client == '::/0'"};
    struct record empty = {.status = -1, .plain = -1};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct nu_where *w = read_one(none[i]);
        assert_false(nu_where_passes(w, &empty));
        nu_where_free(w);
    }
    (void)state;
}

/* Before the late fields are known; `stages` of the condition beside. */
static void early(void **state)
{
    static const struct {
        const char *text;
        enum nu_where_answer is;
        unsigned stages;
    } rows[] = {
        {"host == 'a.test'",                     NU_WHERE_YES,   EARLY       },
        {"plain",                                NU_WHERE_NO,    0           },
        {"status == 404",                        NU_WHERE_LATER, LATE        },
        {"request.x-tag == 'blue'",              NU_WHERE_LATER, LATE        },
        {"!status",                              NU_WHERE_LATER, LATE        },
        {"host == 'b' && status == 404",         NU_WHERE_NO,    EARLY | LATE},
        {"status == 404 && host == 'b'",         NU_WHERE_NO,    EARLY | LATE},
        {"status == 404 && host == 'a.test'",    NU_WHERE_LATER, EARLY | LATE},
        {"host == 'a.test' && status == 404",    NU_WHERE_LATER, EARLY | LATE},
        {"host == 'a.test' || status == 404",    NU_WHERE_YES,   EARLY | LATE},
        {"status == 404 || host == 'a.test'",    NU_WHERE_YES,   EARLY | LATE},
        {"status == 404 || host == 'b'",         NU_WHERE_LATER, EARLY | LATE},
        {"!(host == 'a.test' || status == 404)", NU_WHERE_NO,    EARLY | LATE},
    };
    struct record r = sample;
    r.early = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_where *w = read_one(rows[i].text);
        if (nu_where_early(w, EARLY, &r) != rows[i].is)
            fail_msg("%s: %s", rows[i].text, nu_where_answer_str(nu_where_early(w, EARLY, &r)));
        assert_int_equal(nu_where_stages(w), rows[i].stages);
        nu_where_free(w);
    }
    (void)state;
}

static void mistakes(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"hosst",                         "x:1:1: unknown field \"hosst\" (see the list)\n"
                  "    1 | hosst\n      | ^^^^^ did you mean \"host\"?\n"                               },
        {"host >= 'a'",
         "x:1:6: >= does not fit: host is a text\n    1 | host >= 'a'\n      |      ^^\n"                                },
        {"plain &&\n status == x",
         "x:2:12: status is a number, and this is none\n    2 |  status == x\n"
         "      |            ^\n"                                                                                        },
        {"== 'a'",                        "x:1:1: here should stand a field (see the list)\n    1 | == 'a'\n      | ^^\n"},
        {"took == 5 && size == 'x' && (",
         "x:1:9: took is a duration, and this is none\n"
         "    1 | took == 5 && size == 'x' && (\n      |         ^\n"
         "x:1:22: size is a size, and this is none\n"
         "    1 | took == 5 && size == 'x' && (\n      |                      ^^^\n"
         "x:1:30: it ends where a field should stand\n"
         "    1 | took == 5 && size == 'x' && (\n      |                              ^\n"                               },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *error;
        assert_null(nu_where_new(&fields, "x", rows[i].text, &error));
        assert_string_equal(error, rows[i].error);
        free(error);
    }
    (void)state;
}

/* Both bounds are reached, neither is passed. */
static void bounds(void **state)
{
    char text[16 * NU_WHERE_NODES], *error;
    size_t at = 0;
    for (int i = 0; i < NU_WHERE_NODES / 2; i++)
        at += (size_t)sprintf(text + at, "%shost", i ? "&&" : "");
    struct nu_where *w = read_one(text);
    assert_true(nu_where_passes(w, &sample));
    nu_where_free(w);
    strcpy(text + at, "||host");
    assert_null(nu_where_new(&fields, "x", text, &error));
    assert_non_null(strstr(error, "longer than 256"));
    free(error);

    memset(text, '!', NU_WHERE_DEPTH);
    strcpy(text + NU_WHERE_DEPTH - 1, "host");
    nu_where_free(read_one(text));
    strcpy(text + NU_WHERE_DEPTH - 1, "!host");
    assert_null(nu_where_new(&fields, "x", text, &error));
    assert_non_null(strstr(error, "deeper than 64"));
    free(error);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes),   cmocka_unit_test(absent), cmocka_unit_test(early),
        cmocka_unit_test(mistakes), cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
