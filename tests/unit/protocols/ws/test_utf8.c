/* UTF-8 by pieces and under a mask, beside a plain reading of RFC 3629. */
#include "protocols/ws/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    bool good, whole;
} rows[] = {
    {"",                                      true,  true },
    {"plain text that is longer than a word", true,  true },
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",  true,  true },
    {"\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",  true,  true }, /* around the surrogates */
    {"\xf4\x8f\xbf\xbf",                      true,  true },
    {"\xf4\x90",                              false, false}, /* over U+10FFFF */
    {"\xed\xa0",                              false, false},
    {"\xc0",                                  false, false},
    {"\xc1\xbf",                              false, false},
    {"\xe0\x9f",                              false, false},
    {"\xf0\x8f",                              false, false},
    {"\xf5",                                  false, false},
    {"\xff",                                  false, false},
    {"\x80",                                  false, false},
    {"\xc3(",                                 false, false},
    {"\xe2\x82(",                             false, false},
    {"\xc3plain text in its middle",          false, false},
    {"twelve bytes\xc3",                      true,  false},
    {"\xe2\x82",                              true,  false},
    {"\xf0\x9f\x98",                          true,  false},
};

static void rows_at_every_cut_and_mask(void **state)
{
    static const uint8_t mask[4] = {0xff, 0x80, 0x01, 0x5a};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t len = strlen(rows[i].text), cut = 0; cut <= len; cut++) {
            uint8_t plain[64], masked[64];
            memcpy(plain, rows[i].text, len + 1);
            for (size_t k = 0; k < len; k++)
                masked[k] = plain[k] ^ mask[k & 3];
            struct nu_utf8 a = {0}, b = {0};
            bool good = nu_utf8_check(&a, plain, cut, NULL, 0) &&
                        nu_utf8_check(&a, plain + cut, len - cut, NULL, cut);
            bool same = nu_utf8_check(&b, masked, cut, mask, 0) &&
                        nu_utf8_check(&b, masked + cut, len - cut, mask, cut);
            if (good != rows[i].good || same != good)
                fail_msg("row %zu, cut %zu", i, cut);
            if (good && (nu_utf8_whole(&a) != rows[i].whole || nu_utf8_whole(&b) != rows[i].whole))
                fail_msg("row %zu, cut %zu: whole", i, cut);
        }
}

/* Encodes as the table of RFC 3629 3 has it; surrogates too, which are none. */
static size_t encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 63));
    out[0] = (uint8_t)((0xf0 << (3 - more)) | c);
    return more + 1;
}

static void every_character(void **state)
{
    for (uint32_t c = 0; c < 0x120000; c++) {
        uint8_t bytes[4];
        struct nu_utf8 u = {0};
        bool exists = c < 0xd800 || (c > 0xdfff && c < 0x110000);
        size_t len = encode(c, bytes);
        if ((nu_utf8_check(&u, bytes, len, NULL, 0) && nu_utf8_whole(&u)) != exists)
            fail_msg("U+%X", c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_at_every_cut_and_mask),
        cmocka_unit_test(every_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
