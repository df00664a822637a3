/* An onlooker's HPACK: RFC 7541's own examples, and what is unknown to who missed some. */
#include "protocols/http2/hpack.h"

#include "core/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct diary {
    char text[4096];
    size_t len;
};

static void say(struct diary *d, struct nu_text text)
{
    d->len += (size_t)snprintf(d->text + d->len, sizeof d->text - d->len, "%.*s",
                               text.at ? (int)text.len : 1, text.at ? text.at : "?");
}

static void field(void *ctx, struct nu_text name, struct nu_text value)
{
    say(ctx, name);
    say(ctx, NU_TEXT("="));
    say(ctx, value);
    say(ctx, NU_TEXT("\n"));
}

static void expect(struct nu_hpack *h, const char *block, size_t len, enum nu_err err,
                   const char *fields)
{
    struct diary d = {.len = 0};
    assert_int_equal(nu_hpack_read(h, (const uint8_t *)block, len, field, &d), err);
    assert_string_equal(d.text, fields);
}
#define EXPECT(h, block, fields) expect(h, block, sizeof(block) - 1, NU_OK, fields)

/* C.4: three requests with Huffman codes, each of which refers to the ones before. */
#define FIRST  "\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"
#define SECOND "\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf"
#define THIRD                                                                                      \
    "\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4" \
    "\xbf"

static void requests_of_the_text(void **state)
{
    struct nu_hpack *h = nu_hpack_new();
    EXPECT(h, FIRST, ":method=GET\n:scheme=http\n:path=/\n:authority=www.example.com\n");
    EXPECT(h, SECOND,
           ":method=GET\n:scheme=http\n:path=/\n:authority=www.example.com\n"
           "cache-control=no-cache\n");
    EXPECT(h, THIRD,
           ":method=GET\n:scheme=https\n:path=/index.html\n:authority=www.example.com\n"
           "custom-key=custom-value\n");
    nu_hpack_free(h);
}

static void what_was_missed_is_unknown(void **state)
{
    struct nu_hpack *h = nu_hpack_new();
    EXPECT(h, SECOND, ":method=GET\n:scheme=http\n:path=/\n?=?\ncache-control=no-cache\n");
    EXPECT(h, "\xbe\xbf", "cache-control=no-cache\n?=?\n");
    EXPECT(h, "\x7f\x00\x01x\xbe", "?=x\n?=x\n"); /* a name that is not known, and its entry */
    nu_hpack_forget(h);
    EXPECT(h, "\xbe\x40\x01y\x01z\xbe", "?=?\ny=z\ny=z\n");
    nu_hpack_free(h);
}

/* One of 56 bytes, of none, and of more than is kept: entries go as they must. */
static void a_small_table_forgets(void **state)
{
    struct nu_hpack *h = nu_hpack_new();
    EXPECT(h,
           "\x3f\x19\x40\x01"
           "a\x01"
           "1\x40\x01"
           "b\x01"
           "2",
           "a=1\nb=2\n"); /* 56 bytes */
    EXPECT(h, "\xbe\xbf", "b=2\n?=?\n");
    EXPECT(h, "\x20\xbe", "?=?\n");
    EXPECT(h,
           "\x40\x01"
           "c\x01"
           "3\xbe",
           "c=3\n?=?\n");
    EXPECT(h,
           "\x3f\xe1\x1f\x40\x01"
           "d\x01"
           "4\xbe",
           "d=4\nd=4\n");
    nu_hpack_limit(h, 1u << 30);
    assert_true(nu_hpack_memory(h) < 16 * 1024);
    for (int i = 0; i < 5000; i++)
        EXPECT(h,
               "\x40\x01"
               "e\x01"
               "5",
               "e=5\n");
    assert_true(nu_hpack_memory(h) < 256 * 1024);
    nu_hpack_free(h);
}

/* Whatever block it is: no more after it is told than before it, and nothing is known then. */
static void broken_blocks(void **state)
{
    static const struct {
        const char *block;
        size_t len;
        const char *fields;
    } rows[] = {
#define ROW(block, fields) {block, sizeof(block) - 1, fields}
        ROW("\x80", ""),
        ROW("\x82\x40", ":method=GET\n"),
        ROW("\x40\x01", ""),
        ROW("\x40\x01z\x7f\xff\xff\xff\xff\xff\xff", ""),
        ROW("\xff\xff\xff\xff\xff\xff\xff", ""),
        ROW("\x41\x81\x00", ""), /* padding that is none */
        ROW("\x41\x82\xff\xff", ""),
        ROW("\x3f", ""),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_hpack *h = nu_hpack_new();
        EXPECT(h, "\x40\x01y\x01z", "y=z\n");
        expect(h, rows[i].block, rows[i].len, NU_ERR_SYNTAX, rows[i].fields);
        EXPECT(h, "\xbe", "?=?\n");
        EXPECT(h, FIRST, ":method=GET\n:scheme=http\n:path=/\n:authority=www.example.com\n");
        nu_hpack_free(h);
    }
}

/* A value that is longer than any is passed over, as is its end. */
static void a_long_string_is_unknown(void **state)
{
    struct nu_hpack *h = nu_hpack_new();
    size_t len = NU_HPACK_STRING_MAX + 1, head = 7;
    char *block = calloc(1, head + len + 1);
    nu_assert(block != NULL);
    memcpy(block, "\x40\x01x\x7f", 4);
    size_t rest = len - 127;
    for (size_t i = 4; i < head; i++, rest >>= 7)
        block[i] = (char)((rest & 127) | (i + 1 < head ? 128 : 0));
    block[head + len] = (char)0xbe;
    expect(h, block, head + len + 1, NU_OK, "x=?\nx=?\n");
    free(block);
    nu_hpack_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_the_text),     cmocka_unit_test(what_was_missed_is_unknown),
        cmocka_unit_test(a_small_table_forgets),    cmocka_unit_test(broken_blocks),
        cmocka_unit_test(a_long_string_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
