/* Bodies: what codings one in the other are opened to, and what bombs may cost. */
#include "tests/unit/tools/tap/layer_kit.h"
#include "tools/tap/body.h"

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#define ROOM (1u << 20)

struct text {
    uint8_t at[ROOM];
    size_t len;
};
static struct text put_on;

static void encode(enum nu_coding coding)
{
    static uint8_t out[ROOM];
    static const struct nu_encoder_conf conf = {6, 15, 8};
    struct nu_coder *coder = nu_encoder_new(coding, &conf);
    struct nu_code_io io = {put_on.at, put_on.len, out, ROOM};
    assert_int_equal(nu_code(coder, NU_CODE_FINISH, &io), NU_CODE_END);
    nu_coder_free(coder);
    put_on.len = ROOM - io.out_len;
    memcpy(put_on.at, out, put_on.len);
}

/* In the order of Content-Encoding: g gzip, b br. */
static void make(const char *plain, const char *codings)
{
    put_on.len = strlen(plain);
    memcpy(put_on.at, plain, put_on.len);
    for (; *codings; codings++)
        encode(*codings == 'g' ? NU_CODING_GZIP : NU_CODING_BROTLI);
}

#define PLAIN "what was said, was said, was said"

static const struct row {
    const char *codings, *header; /* as they are, as it says */
    int cut;                      /* bytes that are missing at the end */
    const char *kept;             /* NULL: nothing */
    const char *note;
} rows[] = {
    {"g",    "gzip",                   0, PLAIN,      ""                                     },
    {"gb",   "gzip, br",               0, PLAIN,      ""                                     },
    {"bg",   "br, identity, gzip",     0, PLAIN,      ""                                     },
    {"ggg",  "gzip,x-gzip,gzip",       0, PLAIN,      ""                                     },
    {"g",    "gzip, br",               0, NULL,       "the response body is no br"           },
    {"b",    "gzip, br",               0, NULL,       "the response body is no gzip"         },
    {"gb",   "gzip, br",               3, PLAIN,      "the response body's br is cut short"  },
    {"gg",   "gzip, gzip",             3, PLAIN,      "the response body's gzip is cut short"},
    {"gggg", "gzip, gzip, gzip, gzip", 0, "\x1f\x8b", ""                                     },
    {"",     "zstd, gzip",             0, PLAIN,      ""                                     },
};

static void tell_of(const struct row *r, size_t step)
{
    struct kit *k = kit_new(true);
    struct tap_body body = {0};
    struct tap_note note = {0};
    tap_want_bodies(k->tap, 64, 0);
    make(PLAIN, r->codings);
    tap_body_begin(&body, &k->conn, nu_text(r->header, strlen(r->header)));
    size_t len = put_on.len - (size_t)r->cut;
    for (size_t at = 0; at < len; at += step)
        tap_body_data(&body, (struct nu_piece){put_on.at + at, step < len - at ? step : len - at});
    tap_body_end(&body, true, "response", &note);
    if (strcmp(note.text, r->note) != 0)
        print_message("%s for %s\n", r->header, r->codings);
    assert_string_equal(note.text, r->note);
    bool opened = r->kept && strcmp(r->kept, PLAIN) == 0;
    assert_int_equal(tap_body_len(&body), opened ? strlen(PLAIN) : len);
    assert_int_equal(body.wire, len);
    assert_memory_equal(body.kept, r->kept ? r->kept : "", r->kept ? strlen(r->kept) : 0);
    tap_body_shrink(&body);
    assert_int_equal(k->conn.held, 0);
    kit_free(k);
}

static void codings_in_codings(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tell_of(&rows[i], 1);
        tell_of(&rows[i], ROOM);
    }
}

/* A hole in the outer one ends both. */
static void a_gap(void **state)
{
    struct kit *k = kit_new(true);
    struct tap_body body = {0};
    struct tap_note note = {0};
    make(PLAIN, "gb");
    tap_body_begin(&body, &k->conn, nu_text("gzip, br", 8));
    tap_body_data(&body, (struct nu_piece){put_on.at, 9});
    tap_body_gap(&body, 5);
    tap_body_data(&body, (struct nu_piece){put_on.at + 14, put_on.len - 14});
    tap_body_end(&body, true, "request", &note);
    assert_string_equal(note.text, "gap of 5B in the request body");
    tap_body_shrink(&body);
    assert_int_equal(k->conn.held, 0);
    kit_free(k);
}

/* What was sent of it is little, what it becomes much: all bombs together become so much. */
static void bombs_share_a_bound(void **state)
{
    struct kit *k = kit_new(true);
    k->tap->decode_left = 1500000;
    put_on.len = ROOM;
    memset(put_on.at, 0, ROOM);
    encode(NU_CODING_BROTLI);
    for (int i = 0; i < 3; i++) {
        struct tap_body body = {0};
        struct tap_note note = {0};
        tap_body_begin(&body, &k->conn, nu_text("br", 2));
        tap_body_data(&body, (struct nu_piece){put_on.at, put_on.len});
        tap_body_end(&body, true, "response", &note);
        assert_int_equal(body.bomb, i > 0);
        assert_int_equal(tap_body_len(&body) == ROOM, i == 0);
        assert_true((strstr(note.text, "KiB only") != NULL) == (i > 0));
        tap_body_shrink(&body);
    }
    assert_true(k->tap->decode_left < 16384);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codings_in_codings),
        cmocka_unit_test(a_gap),
        cmocka_unit_test(bombs_share_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
