/* Accept-Encoding: what is chosen, and why. */
#include "protocols/coding/accept.h"

#include "core/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define GZ NU_CODING_GZIP
#define BR NU_CODING_BROTLI
#define ID NU_CODING_IDENTITY

/* With br before gzip on offer; a line for each field of the name. */
static const struct {
    const char *fields;
    enum nu_coding coding;
    enum nu_accept_why why;
} rows[] = {
    {NULL,                               ID, NU_ACCEPT_NONE    },
    {"",                                 ID, NU_ACCEPT_NOT     },
    {"gzip",                             GZ, NU_ACCEPT_NAMED   },
    {"GZIP",                             GZ, NU_ACCEPT_NAMED   },
    {"x-gzip",                           GZ, NU_ACCEPT_NAMED   },
    {"gzip, br",                         BR, NU_ACCEPT_NAMED   },
    {"gzip\nbr",                         BR, NU_ACCEPT_NAMED   },
    {"gzip, deflate, br, zstd",          BR, NU_ACCEPT_NAMED   },
    {"gzip;q=1.0, br;q=0.9",             GZ, NU_ACCEPT_NAMED   },
    {"gzip ; q=0.8 , br; Q=0.801",       BR, NU_ACCEPT_NAMED   },
    {"br;q=0, gzip",                     GZ, NU_ACCEPT_NAMED   },
    {"br;q=0.000, gzip;q=0.001",         GZ, NU_ACCEPT_NAMED   },
    {"gzip;q=0",                         ID, NU_ACCEPT_NOT     },
    {"gzip;q=0, gzip",                   ID, NU_ACCEPT_NOT     },
    {"deflate",                          ID, NU_ACCEPT_NOT     },
    {"*",                                BR, NU_ACCEPT_WILDCARD},
    {"*;q=0.1, br;q=0",                  GZ, NU_ACCEPT_WILDCARD},
    {"*;q=0",                            ID, NU_ACCEPT_NOT     },
    {"*;q=0, gzip",                      GZ, NU_ACCEPT_NAMED   },
    {"identity",                         ID, NU_ACCEPT_IDENTITY},
    {"identity, gzip;q=0.5",             ID, NU_ACCEPT_IDENTITY},
    {"identity;q=0.5, gzip",             GZ, NU_ACCEPT_NAMED   },
    {"identity, gzip",                   GZ, NU_ACCEPT_NAMED   },
    {"identity;q=0",                     ID, NU_ACCEPT_NOT     },
    {"gzip;q=2",                         ID, NU_ACCEPT_NOT     },
    {"gzip;q=1.001",                     ID, NU_ACCEPT_NOT     },
    {"gzip;q=0.1234",                    ID, NU_ACCEPT_NOT     },
    {"gzip;q=-1, br;q=x, gzip;q=",       ID, NU_ACCEPT_NOT     },
    {"gzip;q=1.",                        GZ, NU_ACCEPT_NAMED   },
    {"gzip;level=9;q=0.1, br;a=b;q=0.2", BR, NU_ACCEPT_NAMED   },
    {",,gzip,,",                         GZ, NU_ACCEPT_NAMED   },
    {";;;, =, ;q=1, *x, gzip x, br\"",   ID, NU_ACCEPT_NOT     },
    {"gzipped, xgzip, b",                ID, NU_ACCEPT_NOT     },
};

static void add(struct nu_http_head *head, enum nu_hdr id, const char *lines)
{
    while (lines) {
        const char *end = strchrnul(lines, '\n');
        assert_int_equal(nu_http_add_known(head, id, nu_text(lines, (size_t)(end - lines))), NU_OK);
        lines = *end ? end + 1 : NULL;
    }
}

static void as_the_client_weighs(void **state)
{
    static const enum nu_coding offered[] = {BR, GZ};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_arena *arena = nu_arena_new(512);
        struct nu_http_head *head = nu_http_head_new(arena);
        enum nu_accept_why why;
        add(head, NU_HDR_ACCEPT_ENCODING, rows[i].fields);
        enum nu_coding coding = nu_accept_coding(nu_accept_copy(head, arena), offered, 2, &why);
        if (coding != rows[i].coding || why != rows[i].why)
            fail_msg("%s: %s, %s", rows[i].fields, nu_coding_str(coding), nu_accept_why_str(why));
        nu_arena_free(arena);
    }
}

static void only_what_is_on_offer(void **state)
{
    static const enum nu_coding gzip[] = {GZ}, brotli[] = {BR}, other[] = {GZ, BR};
    struct nu_arena *arena = nu_arena_new(512);
    struct nu_http_head *head = nu_http_head_new(arena);
    enum nu_accept_why why;
    add(head, NU_HDR_ACCEPT_ENCODING, "gzip, br");
    assert_int_equal(nu_accept_coding(nu_accept_copy(head, arena), gzip, 1, &why), GZ);
    assert_int_equal(nu_accept_coding(nu_accept_copy(head, arena), brotli, 1, &why), BR);
    assert_int_equal(nu_accept_coding(nu_accept_copy(head, arena), other, 2, &why), GZ);
    assert_int_equal(nu_accept_coding(nu_accept_copy(head, arena), other, 0, &why), ID);
    assert_int_equal(why, NU_ACCEPT_NOT);
    nu_arena_free(arena);
}

static void tokens_in_lists(void **state)
{
    struct nu_arena *arena = nu_arena_new(512);
    struct nu_http_head *head = nu_http_head_new(arena);
    assert_false(nu_field_has(head, NU_HDR_CACHE_CONTROL, "no-transform"));
    add(head, NU_HDR_CACHE_CONTROL, "max-age=5\nprivate=\"a, b\" ,No-Transform");
    assert_true(nu_field_has(head, NU_HDR_CACHE_CONTROL, "no-transform"));
    assert_true(nu_field_has(head, NU_HDR_CACHE_CONTROL, "max-age"));
    assert_false(nu_field_has(head, NU_HDR_CACHE_CONTROL, "b"));
    assert_false(nu_field_has(head, NU_HDR_CACHE_CONTROL, "transform"));
    nu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_client_weighs),
        cmocka_unit_test(only_what_is_on_offer),
        cmocka_unit_test(tokens_in_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
