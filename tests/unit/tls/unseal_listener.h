/* Who reads along in the tests: what it is told of the connection in `wire`, and how that is fed.
 */
#ifndef TESTS_UNIT_TLS_UNSEAL_LISTENER_H
#define TESTS_UNIT_TLS_UNSEAL_LISTENER_H

#include "tests/unit/seeded.h"
#include "tests/unit/tls/unseal_kit.h"

#include <stdio.h>

struct heard {
    struct text plain[2];
    uint64_t missing[2];
    bool exact;
    unsigned gaps, ends[2];
    enum nu_unseal_reason closed[2];
    char order[64]; /* 'c' and 's' as their bytes came, repeats left out */
};
static struct heard heard;

static inline void on_plain(void *ctx, int dir, const uint8_t *bytes, size_t len, int64_t time_ns)
{
    size_t n = strlen(heard.order);
    char who = dir ? 's' : 'c';
    text_add(&heard.plain[dir], bytes, len);
    if (n < sizeof heard.order - 1 && (n == 0 || heard.order[n - 1] != who))
        heard.order[n] = who;
}

static inline void on_gap(void *ctx, int dir, uint64_t bytes, bool exact, int64_t time_ns)
{
    heard.missing[dir] += bytes;
    heard.exact = exact;
    heard.gaps++;
}

static inline void on_end(void *ctx, int dir, int64_t time_ns)
{
    heard.ends[dir]++;
}

static inline void on_closed(void *ctx, int dir, enum nu_unseal_reason reason, int64_t time_ns)
{
    heard.closed[dir] = reason;
}

static const struct nu_unseal_handler handler = {on_plain, on_gap, on_end, on_closed};

static struct nu_secrets *secrets;
static struct nu_unseals *all;
static struct nu_unseal *u;

static inline void begin(size_t sealed_max, size_t sealed_total_max)
{
    memset(&heard, 0, sizeof heard);
    secrets = nu_secrets_new(100);
    all = nu_unseals_new(secrets, sealed_max, sealed_total_max);
    u = nu_unseal_new(all, &handler, NULL);
}

static inline void begin_with_keys(void)
{
    begin(NU_UNSEAL_SEALED_MAX, NU_UNSEAL_SEALED_TOTAL_MAX);
    nu_secrets_feed(secrets, wire.keys.data, wire.keys.len);
}

/* All memory that was counted was given back. */
static inline void done(void)
{
    size_t alone;
    struct nu_unseals *none = nu_unseals_new(secrets, 0, 0);
    alone = nu_unseals_memory(none);
    nu_unseals_free(none);
    nu_unseal_free(u);
    assert_int_equal(nu_unseals_memory(all), alone);
    nu_unseals_free(all);
    nu_secrets_free(secrets);
}

static inline void end_both(void)
{
    nu_unseal_end(u, 0, 9);
    nu_unseal_end(u, 1, 9);
}

/* Pieces of `size` bytes; 0: of random ones. */
static inline void feed_steps(unsigned from, unsigned to, size_t size, struct seeded *random)
{
    for (unsigned i = from; i < to; i++)
        for (size_t at = 0, n; at < wire.step[i].len; at += n) {
            size_t left = wire.step[i].len - at;
            n = size ? size : 1 + seeded_below(random, seeded_below(random, 4) ? 40 : 3000);
            n = n < left ? n : left;
            nu_unseal_feed(u, wire.step[i].dir, wire.bytes.data + wire.step[i].at + at, n, i);
        }
}

static inline void assert_all_heard(const char *what)
{
    for (int dir = 0; dir < 2; dir++) {
        if (heard.plain[dir].len != wire.plain[dir].len)
            print_error("%s: dir %d: %zu of %zu bytes, %s\n", what, dir, heard.plain[dir].len,
                        wire.plain[dir].len, nu_unseal_reason_str(heard.closed[dir]));
        assert_int_equal(heard.plain[dir].len, wire.plain[dir].len);
        assert_memory_equal(heard.plain[dir].data, wire.plain[dir].data, wire.plain[dir].len);
        assert_int_equal(heard.closed[dir], NU_UNSEAL_OPEN);
        assert_int_equal(heard.ends[dir], 1);
    }
    assert_int_equal(heard.gaps, 0);
    assert_int_equal(nu_unseal_facts(u)->reason, NU_UNSEAL_OPEN);
    assert_true(nu_unseal_facts(u)->decrypted);
}

#endif
