/* Byte classes against the RFCs' grammar, scans against the simplest loop, at every length and
 * offset: the tests of test_chars.c, and of test_chars_plain.c without SSE2. */
#ifndef NU_TESTS_CHARS_CASES_H
#define NU_TESTS_CHARS_CASES_H

#include "protocols/http/chars_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool is_alnum(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool one_of(int c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static unsigned classes_of(int c)
{
    unsigned is = 0;
    is |= is_alnum(c) || one_of(c, "!#$%&'*+-.^_`|~") ? CH_TOKEN : 0;
    is |= c >= '0' && c <= '9' ? CH_DIGIT : 0;
    is |= one_of(c, "0123456789abcdefABCDEF") ? CH_HEX : 0;
    is |= c > 0x20 && c < 0x7f && c != '#' ? CH_TARGET : 0;
    is |= is_alnum(c) || one_of(c, "-._~!$&'()*+,;=%") ? CH_HOST : 0;
    is |= is_alnum(c) || one_of(c, "+-.") ? CH_SCHEME : 0;
    is |= is_alnum(c) || one_of(c, "-._~") ? CH_UNRESERVED : 0;
    return is;
}

static void the_table_is_the_grammar(void **state)
{
    for (int c = 0; c < 256; c++)
        assert_int_equal(nu_chars[c], classes_of(c));
}

/* One odd byte among ordinary ones, at every place of every length; the buffer ends where the text
 * does, so that the address sanitizer sees a look beyond. */
static void each_scan_stops_at_its_byte(void **state)
{
    for (size_t len = 0; len <= 40; len++) {
        char *p = malloc(len ? len : 1);
        assert_non_null(p);
        for (size_t at = 0; at <= len; at++)
            for (int c = 0; c < 256; c++) {
                memset(p, 'a', len);
                if (at < len)
                    p[at] = (char)c;
                bool control = (c < 0x20 && c != '\t') || c == 0x7f;
                assert_int_equal(ch_text(p, len), control ? at : len);
                assert_int_equal(ch_target(p, len), nu_chars[c] & CH_TARGET ? len : at);
                assert_int_equal(ch_span(p, len, CH_TOKEN), nu_chars[c] & CH_TOKEN ? len : at);
                assert_int_equal(ch_unreserved(p, len), nu_chars[c] & CH_UNRESERVED ? len : at);
                assert_int_equal(ch_before(p, len, ':'), c == ':' ? at : len);
            }
        free(p);
    }
}

static void two_odd_bytes(void **state)
{
    char p[24];
    for (size_t at = 0; at < sizeof p; at++)
        for (size_t tab = 0; tab < sizeof p; tab++) {
            memset(p, 0xff, sizeof p);
            p[at] = 0x7f;
            p[tab] = '\t';
            assert_int_equal(ch_text(p, sizeof p), at == tab ? sizeof p : at);
            memset(p, ':' ^ 1, sizeof p);
            p[at] = p[tab] = ':';
            assert_int_equal(ch_before(p, sizeof p, ':'), at < tab ? at : tab);
        }
}

/* Letters fold, nothing else does: each byte of a name replaced by each byte there is. */
static void names_fold_only_letters(void **state)
{
    static const char *const names[] = {"te",
                                        "host",
                                        "accept",
                                        "x-real-ip",
                                        "accept-encoding",
                                        "sec-websocket-extensions",
                                        "http2-settings"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i]);
        for (size_t at = 0; at < len; at++)
            for (int c = 0; c < 256; c++) {
                char name[32];
                memcpy(name, names[i], len);
                name[at] = (char)c;
                bool same = c == names[i][at] || (c >= 'A' && c <= 'Z' && (c | 32) == names[i][at]);
                assert_int_equal(ch_is_name(name, names[i], len), same);
            }
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_the_grammar),
        cmocka_unit_test(each_scan_stops_at_its_byte),
        cmocka_unit_test(two_odd_bytes),
        cmocka_unit_test(names_fold_only_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
