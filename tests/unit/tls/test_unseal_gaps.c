/* Reading along where the capture has holes: what is behind them is read, and how much is missing
 * is told to the byte where that can be known. */
#include "tests/unit/tls/unseal_listener.h"

/* A range of a direction's bytes that is not fed. */
struct hole {
    int dir;
    size_t from, to;
};

/* Where step `end` begins in what `dir` sends. */
static size_t sent_before(int dir, unsigned end)
{
    size_t at = 0;
    for (unsigned i = 0; i < end; i++)
        at += wire.step[i].dir == dir ? wire.step[i].len : 0;
    return at;
}

static void feed_part(unsigned step, size_t from, size_t to)
{
    if (from < to)
        nu_unseal_feed(u, wire.step[step].dir, wire.bytes.data + wire.step[step].at + from,
                       to - from, step);
}

/* All but the hole, which is told in as many pieces as there are steps. */
static void feed_but(struct hole hole)
{
    size_t at = 0;
    for (unsigned i = 0; i < wire.steps; i++) {
        size_t len = wire.step[i].len, from = 0, to = 0;
        if (wire.step[i].dir == hole.dir) {
            from = hole.from > at ? hole.from - at : 0;
            to = hole.to > at ? hole.to - at : 0;
            at += len;
        }
        from = from < len ? from : len;
        to = to < len ? to : len;
        feed_part(i, 0, from);
        if (to > from)
            nu_unseal_gap(u, hole.dir, to - from, NU_UNSEAL_GAP, i);
        feed_part(i, to, len);
    }
    end_both();
}

/* What was heard is the beginning and the end of what was said. */
static void assert_but_for_a_gap(int dir, bool exact)
{
    const struct text *said = &wire.plain[dir], *got = &heard.plain[dir];
    size_t front = 0;
    assert_int_equal(heard.closed[dir], NU_UNSEAL_OPEN);
    assert_true(got->len <= said->len);
    while (front < got->len && got->data[front] == said->data[front])
        front++;
    size_t back = got->len - front;
    assert_memory_equal(got->data + front, said->data + said->len - back, back);
    if (exact)
        assert_int_equal(got->len + heard.missing[dir], said->len);
}

static void assert_heard(int dir)
{
    assert_int_equal(heard.plain[dir].len, wire.plain[dir].len);
    assert_memory_equal(heard.plain[dir].data, wire.plain[dir].data, wire.plain[dir].len);
}

/* --- holes in the data --- */

static const struct {
    int version;
    const char *cipher;
    unsigned flags;
    bool exact;
} ways[] = {
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",        BULK,              true },
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256",  BULK,              true },
    {TLS1_3_VERSION, "TLS_AES_128_CCM_8_SHA256",      SMALL | BULK,      true },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", BULK,              true },
    {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", SMALL | BULK,      true },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM",        BULK,              true },
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA",        BULK,              false},
    {TLS1_1_VERSION, "ECDHE-ECDSA-AES256-SHA",        BULK | MAC_INSIDE, false},
};

static void holes_in_the_data(void **state)
{
    struct seeded random = seeded_start("holes_in_the_data");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        kit_make(ways[i].version, ways[i].cipher, ways[i].flags);
        size_t begin_at = sent_before(1, wire.talk);
        for (int round = 0; round < 25; round++) {
            unsigned len = 1 + seeded_below(&random, round % 3 ? 2000 : 60000);
            struct hole hole = {1, begin_at + seeded_below(&random, 40000), 0};
            hole.to = hole.from + len;
            begin_with_keys();
            feed_but(hole);
            assert_but_for_a_gap(1, ways[i].exact);
            assert_int_equal(heard.gaps, 1);
            assert_int_equal(heard.exact, ways[i].exact);
            assert_heard(0);
            assert_int_equal(nu_unseal_facts(u)->reason, NU_UNSEAL_OPEN);
            done();
        }
    }
}

/* Nothing comes behind it: it is told as it ends. */
static void a_hole_at_the_end(void **state)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        kit_make(ways[i].version, ways[i].cipher, ways[i].flags);
        size_t end = sent_before(1, wire.steps);
        for (size_t tail = 0; tail < 30; tail += 7) {
            begin_with_keys();
            feed_but((struct hole){1, end - 5000, end - tail});
            assert_but_for_a_gap(1, false);
            assert_int_equal(heard.gaps, 1);
            assert_true(heard.missing[1] >= wire.plain[1].len - heard.plain[1].len);
            assert_int_equal(heard.ends[1], 1);
            done();
        }
    }
}

/* In TLS 1.0 the block before is needed: the record behind a hole is lost with it. */
static void a_hole_in_a_chain_of_blocks(void **state)
{
    kit_make(TLS1_VERSION, "ECDHE-ECDSA-AES128-SHA", BULK);
    begin_with_keys();
    size_t at = sent_before(1, wire.talk) + 2000;
    feed_but((struct hole){1, at, at + 10});
    assert_heard(0);
    assert_int_equal(heard.closed[1], NU_UNSEAL_GAP);
    assert_int_equal(nu_unseal_facts(u)->reason, NU_UNSEAL_GAP);
    done();
}

/* --- holes in the handshake --- */

/* The record at `at` of a direction's stream: its length. */
static size_t record_len(int dir, size_t at)
{
    uint8_t header[5] = {0};
    size_t have = 0, before = 0;
    for (unsigned i = 0; i < wire.steps; i++) {
        if (wire.step[i].dir != dir)
            continue;
        for (size_t k = 0; k < wire.step[i].len; k++, before++)
            if (before >= at && have < 5)
                header[have++] = wire.bytes.data[wire.step[i].at + k];
    }
    assert_int_equal(have, 5);
    return 5 + (size_t)header[3] * 256 + header[4];
}

/* Each record behind the hellos is lost once; the data does not need it. */
static void each_record_of_the_handshake(void **state)
{
    static const struct {
        int version;
        const char *cipher;
        unsigned flags;
    } handshakes[] = {
        {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256",        CLIENT_CERT | SMALL},
        {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384",        RESUME             },
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", CLIENT_CERT        },
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA",        RESUME             },
    };
    for (size_t i = 0; i < sizeof handshakes / sizeof *handshakes; i++) {
        kit_make(handshakes[i].version, handshakes[i].cipher, handshakes[i].flags);
        for (int dir = 0; dir < 2; dir++) {
            size_t end = sent_before(dir, wire.talk), at = record_len(dir, 0);
            for (size_t n; at < end; at += n) {
                n = record_len(dir, at);
                begin_with_keys();
                feed_but((struct hole){dir, at, at + n});
                assert_heard(0);
                assert_heard(1);
                done();
            }
        }
    }
}

static void updated_keys_that_were_not_seen(void **state)
{
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", UPDATE);
    size_t at = sent_before(0, wire.talk), data = record_len(0, at), update;
    at += data;
    update = record_len(0, at);
    begin_with_keys();
    feed_but((struct hole){0, at, at + update});
    assert_heard(0);
    assert_heard(1);
    assert_false(heard.exact);
    done();
}

/* --- holes that end it --- */

static void hellos_with_holes(void **state)
{
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    for (int dir = 0; dir < 2; dir++) {
        begin_with_keys();
        feed_but((struct hole){dir, 20, 30});
        assert_int_equal(heard.plain[0].len + heard.plain[1].len, 0);
        assert_int_equal(heard.closed[0], NU_UNSEAL_GAP);
        assert_int_equal(heard.closed[1], NU_UNSEAL_GAP);
        assert_int_equal(heard.ends[0], 1);
        assert_int_equal(heard.ends[1], 1);
        done();
    }
}

static void packets_that_the_capture_cut(void **state)
{
    kit_make(TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", 0);
    begin_with_keys();
    for (unsigned i = 0; i < wire.steps; i++) {
        size_t kept = wire.step[i].len < 60 ? wire.step[i].len : 60;
        feed_part(i, 0, kept);
        if (kept < wire.step[i].len)
            nu_unseal_gap(u, wire.step[i].dir, wire.step[i].len - kept, NU_UNSEAL_SNAP_LENGTH, i);
    }
    assert_int_equal(heard.closed[0], NU_UNSEAL_SNAP_LENGTH);
    assert_int_equal(nu_unseal_facts(u)->reason, NU_UNSEAL_SNAP_LENGTH);
    done();
}

/* Behind a hole there is nothing that opens: it is not looked for without end. */
static void noise_behind_a_hole(void **state)
{
    static uint8_t noise[4096];
    struct seeded random = seeded_start("noise_behind_a_hole");
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    begin_with_keys();
    feed_steps(0, wire.talk, TEXT_MAX, NULL);
    nu_unseal_gap(u, 1, 1000000, NU_UNSEAL_GAP, 0);
    for (int i = 0; i < 20 && heard.closed[1] == NU_UNSEAL_OPEN; i++) {
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (uint8_t)seeded_next(&random);
        memcpy(noise + 100, "\x17\x03\x03\x00\x30", 5); /* what looks like a record is tried */
        nu_unseal_feed(u, 1, noise, sizeof noise, 0);
    }
    assert_int_equal(heard.closed[1], NU_UNSEAL_GAP);
    assert_int_equal(heard.closed[0], NU_UNSEAL_OPEN);
    done();
}

/* --- records that are not what they were --- */

static void a_flipped_bit_costs_a_record(void **state)
{
    struct seeded random = seeded_start("a_flipped_bit_costs_a_record");
    kit_make(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", SMALL | BULK);
    for (int round = 0; round < 20; round++) {
        unsigned step = wire.talk + 1 + seeded_below(&random, 6); /* of the server */
        size_t at = wire.step[step].at + seeded_below(&random, (unsigned)wire.step[step].len);
        begin_with_keys();
        wire.bytes.data[at] ^= 0x10;
        feed_steps(0, wire.steps, 0, &random);
        wire.bytes.data[at] ^= 0x10;
        end_both();
        if (heard.closed[1] != NU_UNSEAL_BAD_RECORD) { /* a header is no TLS any more */
            assert_but_for_a_gap(1, true);
            assert_true(heard.missing[1] > 0 && heard.missing[1] < 20000);
        }
        assert_heard(0);
        done();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holes_in_the_data),
        cmocka_unit_test(a_hole_at_the_end),
        cmocka_unit_test(a_hole_in_a_chain_of_blocks),
        cmocka_unit_test(each_record_of_the_handshake),
        cmocka_unit_test(updated_keys_that_were_not_seen),
        cmocka_unit_test(hellos_with_holes),
        cmocka_unit_test(packets_that_the_capture_cut),
        cmocka_unit_test(noise_behind_a_hole),
        cmocka_unit_test(a_flipped_bit_costs_a_record),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kit_free();
    return failed;
}
