/* Reading HTTP/1: every row of accepted.tsv and refused.tsv, cut at every point; limits; ends of
 * connections. NU_SEED=N repeats a run's random cuts. */
#include "tests/unit/cost.h"
#include "tests/unit/protocols/http/h1_kit.h"
#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DATA      "tests/unit/protocols/http/"
#define ALL_CUTS  1500 /* bytes: longer streams are cut at random */
#define SOME_CUTS 12

static struct seeded random_cuts;

static unsigned random_below(unsigned n)
{
    return seeded_below(&random_cuts, n);
}

static size_t cut_once(void *ctx, size_t done, size_t left)
{
    size_t at = *(size_t *)ctx;
    return done == 0 && at < left ? at : left;
}

static size_t cut_bytes(void *ctx, size_t done, size_t left)
{
    return 1;
}

static size_t cut_anywhere(void *ctx, size_t done, size_t left)
{
    size_t n = 1 + random_below(random_below(8) ? 24 : 2000);
    return n < left ? n : left;
}

static void expect(const struct h1_row *row, const struct h1_kit *kit, const char *bytes,
                   size_t len, const char *want)
{
    char *got = h1_kit_read(kit, bytes, len);
    if (strcmp(got, want) != 0)
        fail_msg("line %u, %s: read as\n%s\nnot as\n%s", row->line, row->column[0], got, want);
    free(got);
}

/* Whole, in two parts at every point, byte by byte, and at random; heads kept or not, bodies seen
 * by the parser or not. */
static void cut_everywhere(const struct h1_row *row, const char *want)
{
    struct h1_kit kit = h1_kit_side(row->column[2]);
    char *bytes;
    size_t len = h1_kit_unescape(row->column[3], &bytes);
    expect(row, &kit, bytes, len, want);
    kit.keep = true;
    expect(row, &kit, bytes, len, want);
    kit.cut = cut_bytes;
    expect(row, &kit, bytes, len, want);
    kit.cut = cut_anywhere;
    for (int i = 0; i < SOME_CUTS; i++) {
        kit.keep = i & 1;
        kit.pass = i & 2;
        expect(row, &kit, bytes, len, want);
    }
    kit.cut = cut_once;
    for (size_t at = 1; at < len && len <= ALL_CUTS; at++) {
        kit.ctx = &at;
        expect(row, &kit, bytes, len, want);
    }
    free(bytes);
}

static void accepted(void **state)
{
    struct h1_row row = {0};
    FILE *file = h1_kit_open(DATA "accepted.tsv");
    while (h1_kit_row(file, &row)) {
        assert_int_equal(row.columns, 5);
        cut_everywhere(&row, row.column[4]);
    }
    fclose(file);
}

/* A refused stream says the same under all cuts; what came before the fault is in no column, so
 * the text of the whole is the measure, and its end is the row's detail. */
static void check_refused(const struct h1_row *row)
{
    struct h1_kit kit = h1_kit_side(row->column[2]);
    char *bytes, *end;
    size_t len = h1_kit_unescape(row->column[3], &bytes);
    char *whole = h1_kit_read(&kit, bytes, len);
    end = strstr(whole, "ERROR ");
    if (!end || strcmp(end + strlen("ERROR "), row->column[4]) != 0)
        fail_msg("line %u, %s: read as\n%s\nnot refused as %s", row->line, row->column[0], whole,
                 row->column[4]);
    cut_everywhere(row, whole);
    free(whole);
    free(bytes);
}

static void refused(void **state)
{
    struct h1_row row = {0};
    unsigned count = 0, seen[NU_H1_ERRORS] = {0};
    FILE *file = h1_kit_open(DATA "refused.tsv");
    while (h1_kit_row(file, &row)) {
        assert_int_equal(row.columns, 5);
        assert_int_equal(strncmp(row.column[1], "RFC ", 4), 0);
        check_refused(&row);
        for (unsigned e = 1; e < NU_H1_ERRORS; e++)
            seen[e] += strcmp(nu_h1_error_str(e), row.column[4]) == 0;
        count++;
    }
    fclose(file);
    assert_true(count >= 120);
    for (unsigned e = 1; e < NU_H1_ERRORS; e++)
        if (!seen[e] && e != NU_H1_BODY_LARGE) /* below: it needs a limit */
            fail_msg("no message is refused as %s", nu_h1_error_str(e));
}

static void every_error_has_a_status_and_a_clause(void **state)
{
    static const unsigned known[] = {400, 413, 414, 431, 501, 505};
    for (unsigned e = 1; e < NU_H1_ERRORS; e++) {
        unsigned status = nu_h1_error_status(e), found = 0;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found += status == known[i];
        assert_int_equal(found, 1);
        assert_int_equal(strncmp(nu_h1_error_str(e), "http1.", 6), 0);
        assert_int_equal(strncmp(nu_h1_error_clause(e), "RFC ", 4), 0);
        assert_true(strlen(nu_h1_error_text(e)) > 5);
    }
    assert_string_equal(nu_h1_error_str(NU_H1_FINE), "");
}

/* Every limit holds to the byte: at it all is well, one more is refused with its reason. */
#define HEAD(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define POST(fields) "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define CHUNKED      POST("Transfer-Encoding: chunked\r\n")
#define RESPONSE     "HTTP/1.1 200 OK\r\n\r\n"

static const struct {
    struct nu_h1_limits limits;
    const char *side, *fits, *beyond, *detail;
} limit_rows[] = {
    {{.head_bytes = 35},   "req", HEAD("A: b12\r\n"),                       HEAD("A: b123\r\n"),   "http1.headers_too_large"},
    {{.head_bytes = 27},   "req", HEAD(""),                                 HEAD("A:\r\n"),        "http1.headers_too_large"},
    {{.head_bytes = 16},   "req", "",                                       "GET /1 HTTP/1.1\r\n", "http1.target_too_long"  },
    {{.target_bytes = 1},  "req", HEAD(""),                                 "GET /1 HTTP/1.1\r\n", "http1.target_too_long"  },
    {{.fields = 1},        "req", HEAD(""),                                 HEAD("A:\r\n"),        "http1.too_many_headers" },
    {{.trailer_bytes = 6},
     "req",                       CHUNKED "0\r\nA: b\r\n\r\n",
     CHUNKED "0\r\nA: bc\r\n\r\n",
     "http1.trailers_too_large"                                                                                             },
    {{.body_bytes = 3},
     "req",                       POST("Content-Length: 3\r\n") "abc",
     POST("Content-Length: 4\r\n"),
     "http1.payload_too_large"                                                                                              },
    {{.body_bytes = 3},
     "req",                       CHUNKED "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
     CHUNKED "2\r\nab\r\n2\r\n",
     "http1.payload_too_large"                                                                                              },
    {{.body_bytes = 3},    "res", RESPONSE "abc",                           RESPONSE "abcd",       "http1.payload_too_large"},
};

static void limits_hold_to_the_byte(void **state)
{
    for (size_t i = 0; i < sizeof limit_rows / sizeof *limit_rows; i++) {
        struct nu_h1_limits l = NU_H1_LIMITS_DEFAULT, is = limit_rows[i].limits;
        l.head_bytes = is.head_bytes ? is.head_bytes : l.head_bytes;
        l.target_bytes = is.target_bytes ? is.target_bytes : l.target_bytes;
        l.fields = is.fields ? is.fields : l.fields;
        l.trailer_bytes = is.trailer_bytes ? is.trailer_bytes : l.trailer_bytes;
        l.body_bytes = is.body_bytes;
        struct h1_kit kit = h1_kit_side(limit_rows[i].side);
        kit.limits = &l;
        for (int cut = 0; cut < 2; cut++) {
            kit.cut = cut ? cut_bytes : NULL;
            char *fits = h1_kit_read(&kit, limit_rows[i].fits, strlen(limit_rows[i].fits));
            char *beyond = h1_kit_read(&kit, limit_rows[i].beyond, strlen(limit_rows[i].beyond));
            if (strstr(fits, "ERROR") || !strstr(beyond, limit_rows[i].detail))
                fail_msg("row %zu: \"%s\" and \"%s\"", i, fits, beyond);
            free(fits);
            free(beyond);
        }
    }
}

static void lengths_up_to_2_63_are_read(void **state)
{
    static const char *const rows[][2] = {
        {POST("Content-Length: 9223372036854775807\r\n"), "length=9223372036854775807"},
        {CHUNKED "7fffffffffffffff\r\n",                  "chunked"                   },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h1_kit kit = {.open = true};
        char *got = h1_kit_read(&kit, rows[i][0], strlen(rows[i][0]));
        assert_non_null(strstr(got, rows[i][1]));
        assert_null(strstr(got, "ERROR"));
        free(got);
    }
}

/* What must be refused before the line or the message is whole. */
static const char *const early[] = {
    "G(",
    "\x16",
    "GET /\n",
    "HEAD / HTTP/1.1\r\nX",
    "HEAD / HTTP/1.1\r\nX\x01",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx",
};

static void faults_are_told_at_their_byte(void **state)
{
    for (size_t i = 0; i < sizeof early / sizeof *early; i++) {
        struct h1_kit kit = {.open = true, .cut = cut_bytes};
        char *got = h1_kit_read(&kit, early[i], strlen(early[i]));
        assert_int_equal(strstr(got, "ERROR") != NULL, i != 3);
        free(got);
    }
}

/* Reads all of a text; the last event. */
static enum nu_h1_event read_text(struct nu_h1_parser *p, const char *text, struct nu_h1_out *out)
{
    struct nu_slice in = {(const uint8_t *)text, strlen(text), NULL};
    enum nu_h1_event event;
    do
        event = nu_h1_read(p, &in, out);
    while (event != NU_H1_MORE && event != NU_H1_ERROR && event != NU_H1_END);
    return event;
}

static const struct nu_h1_limits defaults = NU_H1_LIMITS_DEFAULT;

static void idle_until_the_first_byte(void **state)
{
    struct nu_h1_parser p;
    struct nu_h1_out out;
    struct nu_arena *arena = nu_arena_new(256);
    nu_h1_init(&p, &defaults);
    assert_true(nu_h1_idle(&p));
    nu_h1_begin_request(&p, arena);
    assert_int_equal(nu_h1_eof(&p, &out), NU_H1_MORE);
    assert_int_equal(read_text(&p, "\r\n", &out), NU_H1_MORE);
    assert_true(nu_h1_idle(&p));
    assert_int_equal(nu_h1_eof(&p, &out), NU_H1_MORE);
    assert_int_equal(read_text(&p, "G", &out), NU_H1_MORE);
    assert_false(nu_h1_idle(&p));
    assert_int_equal(nu_h1_eof(&p, &out), NU_H1_ERROR);
    assert_int_equal(out.error, NU_H1_CUT_HEAD);
    nu_arena_free(arena);
}

static void an_end_waits_for_no_byte(void **state)
{
    struct nu_h1_parser p;
    struct nu_h1_out out;
    struct nu_arena *arena = nu_arena_new(256);
    nu_h1_init(&p, &defaults);
    nu_h1_begin_request(&p, arena);
    struct nu_slice in = {(const uint8_t *)HEAD(""), strlen(HEAD("")), NULL};
    assert_int_equal(nu_h1_read(&p, &in, &out), NU_H1_HEAD);
    assert_int_equal(in.len, 0);
    assert_int_equal(nu_h1_read(&p, &in, &out), NU_H1_END);
    assert_null(p.arena);
    nu_arena_free(arena);
}

static size_t cost_of_one_byte_reads(size_t len)
{
    struct nu_h1_parser p;
    struct nu_h1_out out;
    struct nu_arena *arena = nu_arena_new(256);
    nu_h1_init(&p, &defaults);
    nu_h1_begin_request(&p, arena);
    read_text(&p, "GET / HTTP/1.1\r\nHost: a\r\nX: ", &out);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(read_text(&p, "x", &out), NU_H1_MORE);
    size_t bytes = nu_arena_bytes(arena);
    nu_arena_free(arena);
    return bytes;
}

/* A peer that drips its head makes us hold a few times what it sent, not a block per read. */
static void dripping_pins_little(void **state)
{
    assert_true(cost_of_one_byte_reads(100) < 8 * 1024);
    assert_true(cost_of_one_byte_reads(50000) < 4 * 50000 + 16 * 1024);
}

/* The cost of a stream grows with its length, however it is cut: 60 KiB by the byte, in a blink. */
static void cut_lines_are_looked_through_once(void **state)
{
    double start = cost_seconds();
    cost_of_one_byte_reads(60000);
    assert_true(cost_seconds() - start <
                cost_bound(1)); /* quadratic it would take minutes under a sanitizer */
}

static size_t cost_of_fields(unsigned fields)
{
    char text[512] = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (unsigned i = 1; i < fields; i++)
        strcat(text, "X: y\r\n");
    strcat(text, "\r\n");
    struct nu_slice in = {(const uint8_t *)text, strlen(text), NULL};
    struct nu_arena *arena = nu_arena_new(NU_H1_ARENA_BYTES);
    struct nu_h1_parser p;
    struct nu_h1_out out;
    nu_h1_init(&p, &defaults);
    nu_h1_begin_request(&p, arena);
    assert_int_equal(nu_h1_read(&p, &in, &out), NU_H1_HEAD);
    assert_int_equal(out.head->count, fields);
    size_t bytes = nu_arena_bytes(arena);
    nu_arena_free(arena);
    return bytes;
}

static void a_head_of_12_fields_fits_its_first_chunk(void **state)
{
    assert_int_equal(cost_of_fields(12), cost_of_fields(1));
    assert_true(cost_of_fields(13) > cost_of_fields(12));
}

static void a_head_in_one_read_is_not_copied(void **state)
{
    struct nu_block_pool *pool = nu_block_pool_new();
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_h1_parser p;
    struct nu_h1_out out;
    struct nu_slice wire = nu_slice_copy(pool, HEAD("A: b\r\n"), strlen(HEAD("A: b\r\n"))),
                    in = wire;
    nu_h1_init(&p, &defaults);
    nu_h1_begin_request(&p, arena);
    assert_int_equal(nu_h1_read(&p, &in, &out), NU_H1_HEAD);
    const struct nu_http_field *field = nu_http_find(out.head, NU_TEXT("a"));
    assert_ptr_equal(field->value, wire.data + strlen("GET / HTTP/1.1\r\nHost: a\r\nA: "));
    assert_int_equal(wire.block->refs, 2);
    nu_http_head_keep(out.head);
    assert_int_equal(wire.block->refs, 1);
    nu_slice_drop(&wire);
    assert_true(nu_text_is(nu_http_field_value(field), "b"));
    nu_arena_free(arena);
    nu_block_pool_free(pool);
}

/* Bytes that the caller moved itself count as read. */
static void bodies_can_pass_by(void **state)
{
    static const struct {
        const char *head;
        uint64_t opaque, passed;
        enum nu_h1_event after;
    } rows[] = {
        {POST("Content-Length: 9\r\n"), 9, 9, NU_H1_END },
        {POST("Content-Length: 9\r\n"), 9, 4, NU_H1_MORE},
        {CHUNKED "9\r\n",               9, 9, NU_H1_MORE},
        {CHUNKED "9",                   0, 0, NU_H1_MORE},
        {POST(""),                      0, 0, NU_H1_END },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_h1_parser p;
        struct nu_h1_out out;
        struct nu_arena *arena = nu_arena_new(256);
        struct nu_slice in = {(const uint8_t *)rows[i].head, strlen(rows[i].head), NULL};
        nu_h1_init(&p, &defaults);
        nu_h1_begin_request(&p, arena);
        assert_int_equal(nu_h1_read(&p, &in, &out), NU_H1_HEAD);
        if (in.len)
            assert_int_equal(nu_h1_read(&p, &in, &out), NU_H1_MORE);
        assert_int_equal(nu_h1_opaque(&p), rows[i].opaque);
        nu_h1_passed(&p, rows[i].passed);
        assert_int_equal(nu_h1_read(&p, &in, &out), rows[i].after);
        if (i == 2)
            assert_int_equal(read_text(&p, "\r\n0\r\n\r\n", &out), NU_H1_END);
        nu_arena_free(arena);
    }
}

static void tunnels_and_bodies_until_close_pass_by(void **state)
{
    struct nu_h1_limits limits = NU_H1_LIMITS_DEFAULT;
    struct nu_h1_parser p;
    struct nu_h1_out out;
    struct nu_arena *arena = nu_arena_new(256);
    nu_h1_init(&p, &limits);
    nu_h1_begin_response(&p, arena, NU_METHOD_GET, false);
    read_text(&p, RESPONSE, &out);
    assert_true(nu_h1_opaque(&p) == UINT64_MAX);
    limits.body_bytes = 10;
    nu_h1_passed(&p, 4);
    assert_int_equal(nu_h1_opaque(&p), 6);
    assert_int_equal(nu_h1_eof(&p, &out), NU_H1_END);
    nu_h1_begin_response(&p, arena, NU_METHOD_CONNECT, false);
    read_text(&p, RESPONSE, &out);
    nu_h1_passed(&p, 1 << 20);
    assert_true(nu_h1_opaque(&p) == UINT64_MAX);
    assert_int_equal(nu_h1_eof(&p, &out), NU_H1_END);
    nu_arena_free(arena);
}

/* A log wants to know what it was that was refused. */
static void a_refused_head_can_be_told(void **state)
{
    struct nu_h1_parser p;
    struct nu_h1_out out;
    struct nu_arena *arena = nu_arena_new(256);
    char *text = strdup("GET /x HTTP/1.1\r\nA: b\r\nC : d\r\n\r\n");
    assert_non_null(text);
    nu_h1_init(&p, &defaults);
    nu_h1_begin_request(&p, arena);
    assert_int_equal(read_text(&p, text, &out), NU_H1_ERROR);
    free(text);
    assert_int_equal(out.error, NU_H1_FIELD_SPACE);
    assert_true(nu_text_is(out.head->target, "/x"));
    assert_int_equal(out.head->count, 1);
    assert_true(nu_text_is(nu_http_field_value(out.head->fields), "b"));
    nu_h1_init(&p, &defaults);
    nu_h1_begin_request(&p, arena);
    assert_int_equal(read_text(&p, "GET x HTTP/1.2\r\n", &out), NU_H1_ERROR);
    assert_null(out.head);
    nu_arena_free(arena);
}

static void events_have_names(void **state)
{
    assert_string_equal(nu_h1_event_str(NU_H1_MORE), "more");
    assert_string_equal(nu_h1_event_str(NU_H1_ERROR), "error");
}

int main(void)
{
    random_cuts = seeded_start("cuts");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(refused),
        cmocka_unit_test(every_error_has_a_status_and_a_clause),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(lengths_up_to_2_63_are_read),
        cmocka_unit_test(faults_are_told_at_their_byte),
        cmocka_unit_test(idle_until_the_first_byte),
        cmocka_unit_test(an_end_waits_for_no_byte),
        cmocka_unit_test(dripping_pins_little),
        cmocka_unit_test(cut_lines_are_looked_through_once),
        cmocka_unit_test(a_head_of_12_fields_fits_its_first_chunk),
        cmocka_unit_test(a_head_in_one_read_is_not_copied),
        cmocka_unit_test(bodies_can_pass_by),
        cmocka_unit_test(tunnels_and_bodies_until_close_pass_by),
        cmocka_unit_test(a_refused_head_can_be_told),
        cmocka_unit_test(events_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
