/* Key logs: lines of all kinds in pieces of all sizes, what is kept of them, and who is told. */
#include "tls/secrets.h"

#include "core/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define H8  "0123456789abCDef"
#define H32 H8 H8 H8 H8
#define H48 H32 H8 H8

static const uint8_t eight[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

static const uint8_t *id_of(unsigned n)
{
    static uint8_t id[NU_SECRET_ID_BYTES];
    for (int i = 0; i < NU_SECRET_ID_BYTES; i++)
        id[i] = n ? (uint8_t)n : eight[i % 8];
    return id;
}

static void feed(struct nu_secrets *s, const char *text)
{
    nu_secrets_feed(s, text, strlen(text));
}

/* A line for id_of(n). */
static void feed_line(struct nu_secrets *s, const char *label, unsigned n)
{
    char line[300], *at = line + sprintf(line, "%s ", label);
    for (int i = 0; i < NU_SECRET_ID_BYTES; i++)
        at += sprintf(at, "%02x", n);
    sprintf(at, " " H48 "\n");
    feed(s, line);
}

static size_t found(const struct nu_secrets *s, const uint8_t *id, enum nu_secret kind)
{
    size_t len;
    const uint8_t *bytes = nu_secrets_find(s, id, kind, &len);
    assert_int_equal(bytes == NULL, len == 0);
    if (bytes)
        assert_memory_equal(bytes, eight, 8);
    return len;
}

/* --- lines --- */

static const char log_of_all[] = "# a comment\r\n"
                                 "\n"
                                 "CLIENT_RANDOM " H32 " " H48 "\n"
                                 "RSA " H8 " " H48 "\r\n"
                                 "CLIENT_EARLY_TRAFFIC_SECRET " H32 " " H32 "\n"
                                 "EXPORTER_SECRET " H32 " " H32 "\n"
                                 "  CLIENT_HANDSHAKE_TRAFFIC_SECRET\t" H32 "  " H48 " \n"
                                 "SERVER_HANDSHAKE_TRAFFIC_SECRET " H32 " " H32 "\n"
                                 "CLIENT_TRAFFIC_SECRET_0 " H32 " " H48 "\n"
                                 "SERVER_TRAFFIC_SECRET_0 " H32 " " H32;

static void every_label_in_pieces_of_any_size(void **state)
{
    uint8_t rsa[NU_SECRET_ID_BYTES] = {0};
    memcpy(rsa, eight, sizeof eight);
    for (size_t size = 1; size <= sizeof log_of_all; size++) {
        struct nu_secrets *s = nu_secrets_new(10);
        for (size_t at = 0, left; (left = sizeof log_of_all - 1 - at) > 0;) {
            size_t n = size < left ? size : left;
            nu_secrets_feed(s, log_of_all + at, n);
            at += n;
        }
        assert_int_equal(found(s, id_of(0), NU_SECRET_SERVER_TRAFFIC), 0);
        nu_secrets_end(s);
        assert_int_equal(found(s, id_of(0), NU_SECRET_SERVER_TRAFFIC), 32);
        assert_int_equal(found(s, id_of(0), NU_SECRET_MASTER), 48);
        assert_int_equal(found(s, rsa, NU_SECRET_PREMASTER), 48);
        assert_int_equal(found(s, id_of(0), NU_SECRET_PREMASTER), 0);
        assert_int_equal(found(s, id_of(0), NU_SECRET_CLIENT_EARLY), 32);
        assert_int_equal(found(s, id_of(0), NU_SECRET_CLIENT_HANDSHAKE), 48);
        assert_int_equal(found(s, id_of(0), NU_SECRET_SERVER_HANDSHAKE), 32);
        assert_int_equal(found(s, id_of(0), NU_SECRET_CLIENT_TRAFFIC), 48);
        struct nu_secrets_figures f = nu_secrets_figures(s);
        assert_int_equal(f.keys, 7);
        assert_int_equal(f.ignored, 3);
        assert_int_equal(f.malformed, 0);
        assert_int_equal(f.randoms, 2);
        nu_secrets_free(s);
    }
}

static void lines_of_no_key_log(void **state)
{
    static const char *const lines[] = {
        "CLIENT_RANDOM " H32 " " H32,
        "CLIENT_RANDOM " H8 " " H48,
        "RSA " H32 " " H48,
        "RSA " H8 " " H32,
        "SERVER_TRAFFIC_SECRET_0 " H32,
        "SERVER_TRAFFIC_SECRET_0 " H32 " " H8,
        "CLIENT_RANDOM",
        "CLIENT_RANDOM " H32 " x" H48,
        "CLIENT_RANDOM " H32 " " H48 "0",
        "CLIENT_RANDOM " H32 "00 " H48,
        "client_random " H32 " " H48,
        "CLIENT_RANDOM " H32 " " H48 "00",
        "Hello, world",
    };
    struct nu_secrets *s = nu_secrets_new(10);
    size_t count = sizeof lines / sizeof *lines;
    for (size_t i = 0; i < count; i++) {
        feed(s, lines[i]);
        feed(s, "\n");
        assert_int_equal(nu_secrets_figures(s).malformed, i + 1);
    }
    for (int i = 0; i < NU_SECRETS_LINE_MAX + 1; i++)
        feed(s, "C");
    feed(s, "\nCLIENT_RANDOM " H32 " " H48 "\n");
    assert_int_equal(nu_secrets_figures(s).malformed, count + 1);
    assert_int_equal(nu_secrets_figures(s).keys, 1);
    nu_secrets_free(s);
}

static void the_last_line_of_a_random_counts(void **state)
{
    struct nu_secrets *s = nu_secrets_new(10);
    size_t len;
    feed(s, "CLIENT_TRAFFIC_SECRET_0 " H32 " 00" H8 H8 H8 "00112233445566\n");
    assert_int_equal(nu_secrets_find(s, id_of(0), NU_SECRET_CLIENT_TRAFFIC, &len)[0], 0);
    feed(s, "CLIENT_TRAFFIC_SECRET_0 " H32 " " H48 "\n");
    assert_int_equal(found(s, id_of(0), NU_SECRET_CLIENT_TRAFFIC), 48);
    nu_secrets_free(s);
}

/* --- bounds --- */

static void the_oldest_makes_room(void **state)
{
    struct nu_secrets *s = nu_secrets_new(100);
    size_t full = 0;
    for (unsigned round = 0; round < 4; round++)
        for (unsigned n = 1; n <= 200; n++) {
            feed_line(s, "CLIENT_RANDOM", n);
            feed_line(s, "CLIENT_TRAFFIC_SECRET_0", n);
            if (round == 0 && n == 200)
                full = nu_secrets_memory(s);
        }
    assert_int_equal(nu_secrets_figures(s).randoms, 100);
    assert_int_equal(nu_secrets_figures(s).evicted, 700);
    assert_int_equal(nu_secrets_memory(s), full);
    for (unsigned n = 1; n <= 200; n++)
        assert_int_equal(found(s, id_of(n), NU_SECRET_MASTER), n > 100 ? 48 : 0);
    nu_secrets_free(s);
}

/* --- those who wait --- */

struct waiter {
    struct nu_secrets_wait wait;
    struct nu_secrets *secrets;
    struct waiter *kills; /* and itself */
    unsigned calls;
};

static void came(struct nu_secrets_wait *wait)
{
    struct waiter *w = nu_container(wait, struct waiter, wait);
    w->calls++;
    if (w->kills) {
        nu_secrets_unwait(w->secrets, &w->kills->wait);
        nu_secrets_unwait(w->secrets, &w->wait);
    }
}

static void start(struct waiter *w, struct nu_secrets *s, unsigned n)
{
    w->secrets = s;
    w->wait.came = came;
    nu_secrets_wait(s, id_of(n), &w->wait);
}

static void who_waits_is_called(void **state)
{
    struct nu_secrets *s = nu_secrets_new(10);
    struct waiter one = {0}, two = {0}, other = {0};
    start(&one, s, 0);
    start(&two, s, 0);
    start(&other, s, 7);
    feed(s, "CLIENT_RANDOM " H32);
    assert_int_equal(one.calls, 0);
    feed(s, " " H48 "\nCLIENT_TRAFFIC_SECRET_0 " H32 " " H48 "\n");
    assert_int_equal(one.calls, 1);
    assert_int_equal(two.calls, 1);
    assert_int_equal(other.calls, 0);
    feed_line(s, "CLIENT_RANDOM", 7);
    assert_int_equal(other.calls, 1);
    nu_secrets_unwait(s, &two.wait);
    nu_secrets_unwait(s, &two.wait);
    feed(s, "CLIENT_RANDOM " H32 " " H48 "\n");
    assert_int_equal(one.calls, 2);
    assert_int_equal(two.calls, 1);
    nu_secrets_unwait(s, &one.wait);
    nu_secrets_unwait(s, &other.wait);
    nu_secrets_free(s);
}

static void waits_may_end_while_they_are_called(void **state)
{
    for (int first = 0; first < 2; first++) {
        struct nu_secrets *s = nu_secrets_new(1);
        struct waiter w[2] = {{.wait = {.entry = NULL}}, {.wait = {.entry = NULL}}};
        start(&w[0], s, 0);
        start(&w[1], s, 0);
        w[first].kills = &w[!first];
        feed(s, "CLIENT_RANDOM " H32 " " H48 "\n");
        assert_int_equal(w[first].calls, 1);
        assert_int_equal(w[!first].calls, first);
        assert_null(w[0].wait.entry);
        assert_null(w[1].wait.entry);
        feed_line(s, "CLIENT_RANDOM", 3); /* nothing of it is left but the keys, then not these */
        assert_int_equal(found(s, id_of(0), NU_SECRET_MASTER), 0);
        nu_secrets_free(s);
    }
}

/* What waits is not counted, and survives that its keys make room. */
static void waits_outlive_their_keys(void **state)
{
    struct nu_secrets *s = nu_secrets_new(1);
    size_t before = nu_secrets_memory(s);
    struct waiter w = {0};
    start(&w, s, 1);
    assert_int_equal(nu_secrets_figures(s).randoms, 0);
    feed_line(s, "CLIENT_RANDOM", 1);
    feed_line(s, "CLIENT_RANDOM", 2);
    assert_int_equal(found(s, id_of(1), NU_SECRET_MASTER), 0);
    feed_line(s, "CLIENT_RANDOM", 1);
    assert_int_equal(w.calls, 2);
    nu_secrets_unwait(s, &w.wait);
    start(&w, s, 5);
    nu_secrets_unwait(s, &w.wait);
    assert_true(nu_secrets_memory(s) - before < 1000);
    nu_secrets_free(s);
    nu_secrets_free(NULL);
}

static void labels_have_names(void **state)
{
    assert_string_equal(nu_secret_str(NU_SECRET_MASTER), "CLIENT_RANDOM");
    assert_string_equal(nu_secret_str(NU_SECRET_SERVER_TRAFFIC), "SERVER_TRAFFIC_SECRET_0");
    assert_string_equal(nu_secret_str(NU_SECRET_KINDS), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_label_in_pieces_of_any_size),
        cmocka_unit_test(lines_of_no_key_log),
        cmocka_unit_test(the_last_line_of_a_random_counts),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(who_waits_is_called),
        cmocka_unit_test(waits_may_end_while_they_are_called),
        cmocka_unit_test(waits_outlive_their_keys),
        cmocka_unit_test(labels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
