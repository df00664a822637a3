/* Coders: what went in comes out, however it is cut; what is no such stream is told; nothing that a
 * stream says takes more memory than it may. */
#include "protocols/coding/coder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_MAX 100000
#define CODED_MAX 200000

static const enum nu_coding codings[] = {NU_CODING_GZIP, NU_CODING_BROTLI};
static const struct nu_encoder_conf confs[] = {
    {6, 12, 5},
    {3, 18, 0}
};
static uint8_t plain[PLAIN_MAX], coded[CODED_MAX], again[PLAIN_MAX + 1];

/* Words, so that it is worth coding; the same in each run. */
static void fill(size_t len)
{
    uint32_t x = 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        plain[i] = (uint8_t) "etaoin shrdlu\n<p>"[x >> 28];
    }
}

/* Runs `coder` over bytes with so many of input and of room at a time; how many came out. */
static size_t run(struct nu_coder *coder, const uint8_t *in, size_t len, size_t step, size_t room,
                  uint8_t *out, size_t cap, enum nu_code_state *last)
{
    size_t made = 0;
    *last = NU_CODE_MORE;
    for (size_t at = 0; at <= len && *last == NU_CODE_MORE; at += step) {
        enum nu_code_what what = at + step > len ? NU_CODE_FINISH : NU_CODE_RUN;
        struct nu_code_io io = {in + at, len - at < step ? len - at : step, NULL, 0};
        do {
            io.out = out + made;
            io.out_len = cap - made < room ? cap - made : room;
            assert_true(io.out_len > 0);
            *last = nu_code(coder, what, &io);
            made = (size_t)(io.out - out);
        } while (*last == NU_CODE_FULL);
    }
    return made;
}

static size_t encode(int which, size_t len, size_t step, size_t room)
{
    enum nu_code_state last;
    struct nu_coder *coder = nu_encoder_new(codings[which], &confs[which]);
    size_t made = run(coder, plain, len, step, room, coded, sizeof coded, &last);
    assert_int_equal(last, NU_CODE_END);
    nu_coder_free(coder);
    return made;
}

static enum nu_code_state decode(int which, size_t len, size_t step, size_t room, size_t *made)
{
    enum nu_code_state last;
    struct nu_coder *coder = nu_decoder_new(codings[which], 1 << 18);
    *made = run(coder, coded, len, step, room, again, sizeof again, &last);
    nu_coder_free(coder);
    return last;
}

static void what_went_in_comes_out(void **state)
{
    static const size_t lengths[] = {0, 1, 30, 5000, PLAIN_MAX}, steps[] = {1, 7, 4096, 1 << 20};
    fill(PLAIN_MAX);
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < 20; i++) {
            size_t len = lengths[i % 5], step = steps[i / 5], made;
            size_t n = encode(which, len, step, i % 3 ? 1 << 14 : 1);
            assert_true(len < 5000 || n < len);
            assert_int_equal(decode(which, n, steps[i % 4], i % 2 ? 1 << 14 : 1, &made),
                             NU_CODE_END);
            assert_int_equal(made, len);
            assert_memory_equal(again, plain, len);
        }
}

static void a_flush_brings_all_so_far(void **state)
{
    fill(300);
    for (int which = 0; which < 2; which++) {
        struct nu_coder *e = nu_encoder_new(codings[which], &confs[which]);
        struct nu_coder *d = nu_decoder_new(codings[which], 1 << 18);
        for (size_t at = 0; at < 300; at += 30) {
            struct nu_code_io in = {plain + at, 30, coded, sizeof coded};
            assert_int_equal(nu_code(e, NU_CODE_FLUSH, &in), NU_CODE_MORE);
            struct nu_code_io out = {coded, (size_t)(in.out - coded), again, sizeof again};
            assert_int_equal(nu_code(d, NU_CODE_RUN, &out), NU_CODE_MORE);
            assert_int_equal(out.out - again, 30);
            assert_memory_equal(again, plain + at, 30);
        }
        nu_coder_free(e);
        nu_coder_free(d);
    }
}

static void what_is_cut_is_not_whole(void **state)
{
    size_t made;
    fill(400);
    for (int which = 0; which < 2; which++) {
        size_t n = encode(which, 400, 400, 4096);
        for (size_t cut = 1; cut < n; cut++)
            assert_int_equal(decode(which, cut, 64, 100, &made), NU_CODE_BAD);
        assert_int_equal(decode(which, 0, 64, 100, &made), NU_CODE_END);
    }
}

static void what_is_broken_is_told(void **state)
{
    size_t made;
    fill(400);
    for (int which = 0; which < 2; which++) {
        size_t n = encode(which, 400, 400, 4096);
        coded[n] = 'x';
        assert_int_equal(decode(which, n + 1, 64, 100, &made), NU_CODE_BAD);
        memset(coded, 0xff, 100);
        assert_int_equal(decode(which, 100, 64, 100, &made), NU_CODE_BAD);
    }
    size_t n = encode(0, 400, 400, 4096);
    coded[n - 5] ^= 1; /* its checksum */
    assert_int_equal(decode(0, n, 64, 100, &made), NU_CODE_BAD);
}

static void gzip_may_have_members(void **state)
{
    size_t made;
    fill(50);
    size_t n = encode(0, 50, 50, 4096);
    memcpy(coded + n, coded, n);
    for (size_t step = 1; step <= 2 * n; step++) {
        assert_int_equal(decode(0, 2 * n, step, 7, &made), NU_CODE_END);
        assert_int_equal(made, 100);
        assert_memory_equal(again + 50, plain, 50);
    }
    assert_int_equal(decode(0, 2 * n - 1, 64, 7, &made), NU_CODE_BAD);
}

/* One that wants 16 MiB, and says at once that so much is to come. */
static void a_window_past_the_cap_is_refused(void **state)
{
    static const struct nu_encoder_conf wide = {1, 24, 0};
    static uint8_t big[12 << 20], out[1 << 16];
    enum nu_code_state last;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * i >> 7);
    struct nu_coder *e = nu_encoder_new(NU_CODING_BROTLI, &wide);
    uint8_t *made = malloc(sizeof big);
    size_t n = run(e, big, sizeof big, sizeof big, sizeof big, made, sizeof big, &last);
    assert_int_equal(last, NU_CODE_END);
    for (int small = 0; small < 2; small++) {
        struct nu_coder *d = nu_decoder_new(NU_CODING_BROTLI, small ? 1 << 16 : 16 << 20);
        struct nu_code_io io = {made, n, NULL, 0};
        do {
            io.out = out;
            io.out_len = sizeof out;
        } while ((last = nu_code(d, NU_CODE_RUN, &io)) == NU_CODE_FULL);
        assert_int_equal(last, small ? NU_CODE_BAD : NU_CODE_MORE);
        nu_coder_free(d);
    }
    nu_coder_free(e);
    free(made);
}

static void names(void **state)
{
    static const struct {
        const char *token;
        enum nu_coding coding;
    } rows[] = {
        {"gzip",     NU_CODING_GZIP    },
        {"GZip",     NU_CODING_GZIP    },
        {"x-gzip",   NU_CODING_GZIP    },
        {"br",       NU_CODING_BROTLI  },
        {"identity", NU_CODING_IDENTITY},
        {"deflate",  NU_CODING_COUNT   },
        {"gzi",      NU_CODING_COUNT   },
        {"",         NU_CODING_COUNT   },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(nu_coding_find(rows[i].token, strlen(rows[i].token)), rows[i].coding);
    assert_string_equal(nu_coding_str(NU_CODING_BROTLI), "br");
    assert_string_equal(nu_code_state_str(NU_CODE_BAD), "bad");
    nu_coder_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_went_in_comes_out),
        cmocka_unit_test(a_flush_brings_all_so_far),
        cmocka_unit_test(what_is_cut_is_not_whole),
        cmocka_unit_test(what_is_broken_is_told),
        cmocka_unit_test(gzip_may_have_members),
        cmocka_unit_test(a_window_past_the_cap_is_refused),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
