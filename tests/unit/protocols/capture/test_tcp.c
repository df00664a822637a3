/* One direction of TCP: what comes in any order is told in its own. */
#include "protocols/capture/tcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000

static char diary[4096];

static void note(const char *format, ...)
{
    size_t n = strlen(diary);
    va_list ap;
    va_start(ap, format);
    vsnprintf(diary + n, sizeof diary - n, format, ap);
    va_end(ap);
}

static void on_data(void *ctx, struct nu_piece bytes, int64_t ns)
{
    note("%.*s ", (int)bytes.len, (const char *)bytes.data);
}

static void on_gap(void *ctx, uint64_t bytes, int64_t ns)
{
    note("gap:%llu ", (unsigned long long)bytes);
}

static void on_end(void *ctx, bool reset, int64_t ns)
{
    note(reset ? "rst " : "fin ");
}

static const struct nu_tcp_handler handler = {on_data, on_gap, on_end};

/* A step of a story: S SYN, F FIN, R RST, D data at a sequence number, with text after '='; "-n":
 * the snap length took that many bytes; A: the peer acknowledges up to there; W: the same, and has
 * no room for more; "*n": so many times.
 */
static void play(struct nu_tcp_half *half, uint32_t base, const char *step, int64_t ns)
{
    static const uint8_t flags[] = {
        ['S'] = NU_TCP_SYN, ['F'] = NU_TCP_FIN, ['R'] = NU_TCP_RST, ['Z'] = 0};
    unsigned at = 0, cut = 0, times = 1;
    char what = *step, text[64] = "";
    const char *more = step + 1 + strspn(step + 1, "0123456789");
    sscanf(step + 1, "%u", &at);
    sscanf(more, "=%63[^-]-%u", text, &cut);
    sscanf(more, "*%u", &times);
    struct nu_tcp_segment seg = {
        .seq = base + at,
        .ack = base + at,
        .payload = {(const uint8_t *)text, strlen(text) - cut},
        .wire_len = (uint32_t)strlen(text),
        .flags = what == 'A' || what == 'W' ? NU_TCP_ACK : flags[(unsigned)what],
        .window = what != 'W',
    };
    while (times--)
        if (what == 'A' || what == 'W')
            nu_tcp_heard(half, &seg, ns, &handler, NULL);
        else
            nu_tcp_segment(half, &seg, ns, &handler, NULL);
}

/* From several numbers on, the wrap around among them; a millisecond for each step. */
static void story(const char *steps, const char *expected)
{
    static const uint32_t bases[] = {0, 1000, UINT32_MAX - 3, INT32_MAX - 3};
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        struct nu_tcp_half half = {0};
        char copy[256], *rest = copy;
        int64_t ns = 0;
        *diary = '\0';
        strcpy(copy, steps);
        for (const char *s; (s = strsep(&rest, " ")); ns += MS)
            play(&half, bases[i], s, ns);
        assert_string_equal(diary, expected);
        nu_tcp_drop(&half);
        assert_int_equal(half.kept_bytes, 0);
    }
}

static void test_in_order(void **state)
{
    story("S0 D1=abc A4 D4=def F7", "abc def fin ");
    story("S0 F1=abc A5", "abc fin ");
    story("S0 D1=ab R3", "ab rst ");
    story("S0=hello D1=hello", "hello "); /* with the SYN (RFC 7413) */
}

static void test_out_of_order(void **state)
{
    story("S0 F10 D7=ghi D4=def D1=abc", "abc def ghi fin ");
    story("D1=abc S0 D4=def", "abc def ");
}

static void test_twice_and_overlapping(void **state)
{
    story("S0 D1=abc D1=abc S0 D4=def D1=abc", "abc def ");
    story("S0 D1=abc D2=bcdef D1=abcdefg", "abc def g ");
    story("S0 D6=fghi D4=defg D1=abc", "abc defg hi ");
    story("S0 D1=abc D3=?", "abc "); /* a keep-alive probe's byte */
}

/* Who asks whether the peer is there repeats nothing; who repeats what was not acknowledged does.
 */
static void test_keep_alive(void **state)
{
    static const struct {
        const char *steps;
        uint32_t repeated;
    } rows[] = {
        {"S0 D1=abc A4 D3=? D3=?",    0},
        {"S0 D1=abc A3 D3=c",         1},
        {"S0 D1=abc W3 D3=c D3=c",    0},
        {"S0 D1=abc W3 A3 D3=c",      1},
        {"S0 D1=abc A4 D2=bc",        1},
        {"S0 D1=a A2 D1=a D2=b D1=a", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_tcp_half half = {0};
        char copy[64], *rest = copy;
        strcpy(copy, rows[i].steps);
        for (const char *s; (s = strsep(&rest, " "));)
            play(&half, 0, s, 0);
        assert_int_equal(half.repeated, rows[i].repeated);
        nu_tcp_drop(&half);
    }
}

static void test_gaps(void **state)
{
    story("S0 D1=abc D7=ghi A10*17", "abc gap:3 ghi ");
    story("S0 D1=abc D7=ghi A10 A10 D4=def", "abc def ghi "); /* captured in another order */
    story("S0 D1=abc A7*17", "abc gap:3 ");
    story("S0 D1=abc F7 A8*17", "abc gap:3 fin ");
    story("S0 D1=abc D7=ghi R10", "abc gap:3 ghi rst ");
    story("S0 D3=cd A5*17", "gap:2 cd ");
}

static void test_a_gap_after_a_while(void **state)
{
    struct nu_tcp_half half = {0};
    *diary = '\0';
    play(&half, 0, "S0", 0);
    play(&half, 0, "D4=def", 0);
    play(&half, 0, "A7", 0);
    play(&half, 0, "A7", 99 * MS);
    assert_string_equal(diary, "");
    play(&half, 0, "A7", 100 * MS);
    assert_string_equal(diary, "gap:3 def ");
    assert_int_equal(half.missing, 3);
    assert_int_equal(half.told, 6);
}

static void test_snap_length(void **state)
{
    story("S0 D1=abcdef-4 D7=gh", "ab gap:4 gh ");
    story("S0 D4=cd?-1 D1=ab?-1", "ab gap:1 cd gap:1 ");
}

static void test_from_the_midst(void **state)
{
    story("D100=def D103=ghi F106", "def ghi fin ");
    story("A100 A200", "");
}

/* Whatever is given up is told, and what may be kept is bounded. */
static void test_bounds(void **state)
{
    static uint8_t big[60000];
    struct nu_tcp_half half = {0};
    struct nu_tcp_segment seg = {.seq = 0, .flags = NU_TCP_SYN};
    uint32_t told_least = 0;
    nu_tcp_segment(&half, &seg, 0, &handler, NULL);
    for (uint32_t i = 0; i < 200; i++) {
        *diary = '\0';
        seg = (struct nu_tcp_segment){
            .seq = 1000 + i * 60000, .payload = {big, sizeof big}
        };
        seg.wire_len = sizeof big;
        nu_tcp_segment(&half, &seg, 0, &handler, NULL);
        assert_true(half.kept_bytes <= NU_TCP_KEPT_MAX);
        told_least += half.told > 0;
    }
    assert_true(told_least > 100);
    half = (struct nu_tcp_half){0};
    seg = (struct nu_tcp_segment){.seq = 0, .flags = NU_TCP_SYN};
    nu_tcp_segment(&half, &seg, 0, &handler, NULL);
    for (uint32_t i = 0; i < 3 * NU_TCP_KEPT_SEGMENTS; i++) {
        *diary = '\0';
        seg = (struct nu_tcp_segment){
            .seq = 10 + i * 2, .payload = {big, 1},
                     .wire_len = 1
        };
        nu_tcp_segment(&half, &seg, 0, &handler, NULL);
        assert_true(half.kept_count <= NU_TCP_KEPT_SEGMENTS);
    }
    nu_tcp_drop(&half);
}

static void test_headers(void **state)
{
    uint8_t b[24] = {0x01, 0xbb, 0x9c, 0x40, 0, 0, 0, 5, 0, 0, 0, 9, 0x60, 0x12, 0x10, 0};
    struct nu_tcp_segment seg;
    assert_int_equal(nu_tcp_parse((struct nu_piece){b, 24}, 30, &seg), NU_OK);
    assert_int_equal(seg.from, 443);
    assert_int_equal(seg.to, 40000);
    assert_int_equal(seg.seq, 5);
    assert_int_equal(seg.ack, 9);
    assert_int_equal(seg.flags, NU_TCP_SYN | NU_TCP_ACK);
    assert_int_equal(seg.payload.len, 0);
    assert_int_equal(seg.wire_len, 6);
    for (size_t len = 0; len < 20; len++)
        assert_int_equal(nu_tcp_parse((struct nu_piece){b, len}, len, &seg), NU_ERR_SYNTAX);
    assert_int_equal(nu_tcp_parse((struct nu_piece){b, 20}, 20, &seg), NU_ERR_SYNTAX);
    b[12] = 0x40;
    assert_int_equal(nu_tcp_parse((struct nu_piece){b, 24}, 24, &seg), NU_ERR_SYNTAX);
}

static void on_timed(void *ctx, struct nu_piece bytes, int64_t ns)
{
    note("%.*s@%lld ", (int)bytes.len, (const char *)bytes.data, (long long)ns);
}

/* What waited for something missing has the time of its own packet. */
static void test_time_of_what_was_kept(void **state)
{
    static const struct nu_tcp_handler timed = {on_timed, on_gap, on_end};
    struct nu_tcp_half half = {0};
    struct nu_tcp_segment seg = {.flags = NU_TCP_SYN, .seq = 9};
    *diary = 0;
    nu_tcp_segment(&half, &seg, 1, &timed, NULL);
    seg = (struct nu_tcp_segment){
        .seq = 12, .payload = {(const uint8_t *)"cd", 2},
             .wire_len = 2
    };
    nu_tcp_segment(&half, &seg, 2, &timed, NULL);
    seg = (struct nu_tcp_segment){
        .seq = 10, .payload = {(const uint8_t *)"ab", 2},
             .wire_len = 2
    };
    nu_tcp_segment(&half, &seg, 5, &timed, NULL);
    assert_string_equal(diary, "ab@5 cd@2 ");
    nu_tcp_drop(&half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_twice_and_overlapping),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_a_gap_after_a_while),
        cmocka_unit_test(test_snap_length),
        cmocka_unit_test(test_from_the_midst),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_time_of_what_was_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
