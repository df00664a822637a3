/* Sets, sums over shards, histograms, and what the admin prints of them. */
#include "core/stats_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TOTAL, ACTIVE, TIME };
static const struct nu_stat_def defs[] = {
    [TOTAL] = {"cx_total",  NU_COUNTER,   NULL, "All \\ of\nthem"},
    [ACTIVE] = {"cx_active", NU_GAUGE,     NULL, "Open now"       },
    [TIME] = {"cx_length", NU_HISTOGRAM, "ms", "How long"       },
};
static const struct nu_stat_group group = NU_STAT_GROUP("listener.<name>", "Listeners.", defs);
static const struct nu_stat_def ssl_defs[] = {
    {"handshake", NU_COUNTER, NULL, "Handshakes"},
};
static const struct nu_stat_group ssl = NU_STAT_GROUP("listener.<name>.ssl", "TLS.", ssl_defs);

#define SHARDS 3

static void check_text(void (*print)(FILE *), const char *expect)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    print(out);
    fclose(out);
    assert_string_equal(text, expect);
    free(text);
}

static void sums_over_shards(void **state)
{
    struct nu_stats *set = nu_stats_get(&group, "listener.a");
    nu_stat_add(set, 0, TOTAL, 2);
    nu_stat_add(set, 2, TOTAL, 40);
    nu_stat_add(set, 0, ACTIVE, 1);
    nu_stat_add(set, 1, ACTIVE, -1);
    assert_int_equal(nu_stat_read(set, TOTAL), 42);
    assert_int_equal(nu_stat_read(set, ACTIVE), 0);
    nu_stat_set(set, 2, ACTIVE, 7);
    nu_stat_set(set, 2, ACTIVE, 5);
    assert_int_equal(nu_stat_read(set, ACTIVE), 5);
    nu_stats_put(set);
}

static void shards_share_no_cache_line(void **state)
{
    struct nu_stats *set = nu_stats_get(&group, "listener.a");
    assert_int_equal((uintptr_t)set->cells % 64, 0);
    assert_int_equal(set->stride * sizeof set->cells[0] % 64, 0);
    nu_stats_put(set);
}

static void lives_as_long_as_its_references(void **state)
{
    struct nu_stats *set = nu_stats_get(&group, "listener.a");
    struct nu_stats *again = nu_stats_get(&group, "listener.a");
    struct nu_stats *other = nu_stats_get(&ssl, "listener.a");
    assert_ptr_equal(set, again);
    assert_ptr_not_equal(set, other);
    assert_string_equal(nu_stats_prefix(set), "listener.a");
    nu_stat_add(set, 0, TOTAL, 1);
    nu_stats_put(set);
    assert_int_equal(nu_stat_read(again, TOTAL), 1);
    nu_stats_put(again);
    set = nu_stats_get(&group, "listener.a");
    assert_int_equal(nu_stat_read(set, TOTAL), 0);
    nu_stats_put(set);
    nu_stats_put(other);
    nu_stats_put(NULL);
}

/* Every quantile of 1..n is known: the answer may be 7 % off. */
static void quantiles_are_near(void **state)
{
    static const uint64_t sizes[] = {1, 7, 8, 100, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct nu_stats *set = nu_stats_get(&group, "listener.h");
        for (uint64_t v = 1; v <= sizes[i]; v++)
            nu_stat_record(set, v % SHARDS, TIME, v);
        assert_int_equal(nu_stat_read(set, TIME), sizes[i]);
        for (int percent = 0; percent <= 100; percent++) {
            double rank = percent / 100.0 * (double)sizes[i];
            double want = rank <= 1 ? 1 : (double)(uint64_t)(rank + 0.999999);
            double got = (double)nu_stat_quantile(set, TIME, percent / 100.0);
            assert_true(got >= want * 0.93 && got <= want * 1.07);
        }
        nu_stats_put(set);
    }
}

static void any_value_finds_a_bucket(void **state)
{
    for (unsigned bit = 0; bit < 64; bit++)
        for (int d = -1; d <= 1; d++) {
            struct nu_stats *set = nu_stats_get(&group, "listener.h");
            uint64_t v = ((uint64_t)1 << bit) + (uint64_t)d;
            nu_stat_record(set, 0, TIME, v);
            double got = (double)nu_stat_quantile(set, TIME, 0.5), want = (double)v;
            if (v >= (uint64_t)1 << 40)
                assert_true(got > 1e12 && got < 1.1e12);
            else
                assert_true(got >= want * 0.93 && got <= want * 1.07);
            nu_stats_put(set);
        }
    struct nu_stats *empty = nu_stats_get(&group, "listener.h");
    assert_int_equal(nu_stat_quantile(empty, TIME, 0.5), 0);
    nu_stats_put(empty);
}

static void print_rows(FILE *out, bool used)
{
    struct nu_stats_walk *walk = nu_stats_walk_new();
    struct nu_stats_row row;
    while (nu_stats_walk_next(walk, &row))
        if (!used || nu_stats_row_used(&row))
            nu_stats_row_print(out, &row);
    nu_stats_walk_free(walk);
}

static void print_all(FILE *out)
{
    print_rows(out, false);
}

static void print_used(FILE *out)
{
    print_rows(out, true);
}

/* Sorted by the whole name, not by prefix: two sets of one prefix stand among each other. */
static void prints_sorted_lines(void **state)
{
    struct nu_stats *a = nu_stats_get(&group, "listener.a");
    struct nu_stats *b = nu_stats_get(&group, "listener.a-b");
    struct nu_stats *tls = nu_stats_get(&ssl, "listener.a");
    nu_stat_add(a, 1, TOTAL, 3);
    nu_stat_record(a, 0, TIME, 5);
    check_text(print_all, "listener.a-b.cx_active: 0\n"
                          "listener.a-b.cx_length: No recorded values\n"
                          "listener.a-b.cx_total: 0\n"
                          "listener.a.cx_active: 0\n"
                          "listener.a.cx_length: P0(nan,5) P25(nan,5) P50(nan,5) P75(nan,5) "
                          "P90(nan,5) P95(nan,5) P99(nan,5) "
                          "P99.5(nan,5) P99.9(nan,5) P100(nan,5)\n"
                          "listener.a.cx_total: 3\n"
                          "listener.a.handshake: 0\n");
    check_text(print_used, "listener.a.cx_active: 0\n"
                           "listener.a.cx_length: P0(nan,5) P25(nan,5) P50(nan,5) P75(nan,5) "
                           "P90(nan,5) P95(nan,5) P99(nan,5) "
                           "P99.5(nan,5) P99.9(nan,5) P100(nan,5)\n"
                           "listener.a.cx_total: 3\n");
    nu_stats_put(a);
    nu_stats_put(b);
    nu_stats_put(tls);
    check_text(print_all, "");
}

struct seen {
    unsigned sets, values;
    uint64_t sum;
};

static void see_value(uint64_t value, uint64_t count, void *ctx)
{
    struct seen *seen = ctx;
    seen->values++;
    seen->sum += value * count;
}

static void see_set(const struct nu_stats *set, void *ctx)
{
    ((struct seen *)ctx)->sets++;
    nu_stat_buckets(set, TIME, see_value, ctx);
}

static void walks_a_group(void **state)
{
    struct nu_stats *a = nu_stats_get(&group, "listener.a");
    struct nu_stats *b = nu_stats_get(&group, "listener.b");
    struct nu_stats *other = nu_stats_get(&ssl, "listener.a");
    struct seen seen = {0};
    nu_stat_record(a, 0, TIME, 5);
    nu_stat_record(a, 1, TIME, 5);
    nu_stat_record(b, 1, TIME, 7);
    nu_stats_each(&group, see_set, &seen);
    assert_int_equal(seen.sets, 2);
    assert_int_equal(seen.values, 2);
    assert_int_equal(seen.sum, 17);
    assert_ptr_equal(nu_stats_find(&group, "listener.b"), b);
    assert_null(nu_stats_find(&group, "listener.c"));
    nu_stats_put(b);
    nu_stats_put(a);
    nu_stats_put(b);
    nu_stats_put(other);
}

static bool has_rq(const char *name, void *ctx)
{
    return strstr(name, ctx) != NULL;
}

/* A figure a piece: what stands between two pieces must not be told twice, or never. */
static void prometheus_used(FILE *out)
{
    struct nu_stats_text *text = nu_stats_prometheus_new(true, has_rq, "rq");
    while (nu_stats_prometheus_more(text, out, 1))
        ;
    nu_stats_prometheus_free(text);
}

static const struct nu_stat_def class_defs[] = {
    {"rq_1xx", NU_COUNTER,   NULL, "One"          },
    {"rq_5xx", NU_COUNTER,   NULL, "Five"         },
    {"rq_now", NU_GAUGE,     NULL, "Now"          },
    {"rq_axx", NU_COUNTER,   NULL, "No class"     },
    {"cx",     NU_COUNTER,   NULL, "Not asked for"},
    {"rq_ms",  NU_HISTOGRAM, "ms", "No values"    },
};
static const struct nu_stat_group class_group = NU_STAT_GROUP("http.<name>", "HTTP.", class_defs);

/* Classes of codes are one metric; what nothing was counted of is left out where asked to. */
static void classes_are_a_label(void **state)
{
    struct nu_stats *a = nu_stats_get(&class_group, "http.a");
    struct nu_stats *idle = nu_stats_get(&class_group, "http.idle");
    nu_stat_add(a, 0, 0, 2);
    nu_stat_add(a, 0, 1, 7);
    nu_stat_add(a, 0, 3, 1);
    nu_stat_add(a, 0, 4, 1);
    check_text(prometheus_used,
               "# HELP nuncio_http_rq_axx No class\n"
               "# TYPE nuncio_http_rq_axx counter\n"
               "nuncio_http_rq_axx{http=\"a\"} 1\n"
               "# HELP nuncio_http_rq_now Now\n"
               "# TYPE nuncio_http_rq_now gauge\n"
               "nuncio_http_rq_now{http=\"a\"} 0\n"
               "# HELP nuncio_http_rq_xx Responses by the first digit of their status.\n"
               "# TYPE nuncio_http_rq_xx counter\n"
               "nuncio_http_rq_xx{http=\"a\",response_code_class=\"1\"} 2\n"
               "nuncio_http_rq_xx{http=\"a\",response_code_class=\"5\"} 7\n");
    nu_stats_put(a);
    nu_stats_put(idle);
}

static void prints_prometheus(void **state)
{
    struct nu_stats *a = nu_stats_get(&group, "listener.x.ssl:1");
    struct nu_stats *tls = nu_stats_get(&ssl, "listener.q\"\\.ssl.ssl");
    nu_stat_add(a, 0, TOTAL, 2);
    nu_stat_record(a, 0, TIME, 3);
    nu_stat_record(a, 1, TIME, 400);
    check_text(nu_stats_print_prometheus, "# HELP nuncio_listener_cx_active Open now\n"
                                          "# TYPE nuncio_listener_cx_active gauge\n"
                                          "nuncio_listener_cx_active{listener=\"x.ssl:1\"} 0\n"
                                          "# HELP nuncio_listener_cx_length How long\n"
                                          "# TYPE nuncio_listener_cx_length histogram\n"
#define LE(b, n) "nuncio_listener_cx_length_bucket{listener=\"x.ssl:1\",le=\"" b "\"} " n "\n"
               LE("0.5", "0") LE("1", "0") LE("5", "1") LE("10", "1") LE("25", "1") LE("50", "1")
                   LE("100", "1") LE("250", "1") LE("500", "2") LE("1000", "2") LE("2500", "2")
                       LE("5000", "2") LE("10000", "2") LE("30000", "2") LE("60000", "2") LE(
                           "300000", "2") LE("600000", "2") LE("1800000", "2") LE("3600000", "2")
                           LE("+Inf",
                              "2") "nuncio_listener_cx_length_sum{listener=\"x.ssl:1\"} 403\n"
                                   "nuncio_listener_cx_length_count{listener=\"x.ssl:1\"} 2\n"
                                   "# HELP nuncio_listener_cx_total All \\\\ of\\nthem\n"
                                   "# TYPE nuncio_listener_cx_total counter\n"
                                   "nuncio_listener_cx_total{listener=\"x.ssl:1\"} 2\n"
                                   "# HELP nuncio_listener_ssl_handshake Handshakes\n"
                                   "# TYPE nuncio_listener_ssl_handshake counter\n"
                                   "nuncio_listener_ssl_handshake{listener=\"q\\\"\\\\.ssl\"} 0\n");
    nu_stats_put(a);
    nu_stats_put(tls);
}

static const struct nu_stat_def one_def[] = {
    {"x.y-z", NU_COUNTER, NULL, "One"},
};

/* How patterns become metric names and labels. */
static void names_metrics_after_patterns(void **state)
{
    static const struct {
        const char *pattern, *prefix, *metric;
    } rows[] = {
        {"server",              "server",          "nuncio_server_x_y_z 0\n"                        },
        {"<name>.limit",        "edge.limit",      "nuncio_limit_x_y_z{name=\"edge\"} 0\n"          },
        {"l.<n>.chain.<c>",     "l.a.chain.b.c",   "nuncio_l_chain_x_y_z{l=\"a\",chain=\"b.c\"} 0\n"},
        {"l.<n>.chain.<c>.tls", "l.a.chain.b.tls",
         "nuncio_l_chain_tls_x_y_z{l=\"a\",chain=\"b\"} 0\n"                                        },
        {"cluster.<name>",      "other",           "nuncio_cluster_x_y_z{prefix=\"other\"} 0\n"     },
        {"a.b.<n>",             "a.b.1",           "nuncio_a_b_x_y_z{b=\"1\"} 0\n"                  },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_stat_group one = NU_STAT_GROUP(rows[i].pattern, "", one_def);
        struct nu_stats *set = nu_stats_get(&one, rows[i].prefix);
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        nu_stats_print_prometheus(out);
        fclose(out);
        char *sample = strstr(text, "counter\n");
        assert_non_null(sample);
        assert_string_equal(sample + 8, rows[i].metric);
        free(text);
        nu_stats_put(set);
    }
}

static void documents_registered_groups(void **state)
{
    nu_stats_register(&ssl);
    nu_stats_register(&group);
    nu_stats_register(&ssl);
    check_text(nu_stats_list, "listener.<name>\tcx_total\n"
                              "listener.<name>\tcx_active\n"
                              "listener.<name>\tcx_length\n"
                              "listener.<name>.ssl\thandshake\n");
    check_text(nu_stats_doc_markdown, "## `listener.<name>`\n\nListeners.\n\n"
                                      "| name | kind | unit | meaning |\n|---|---|---|---|\n"
                                      "| `cx_total` | counter |  | All \\ of\nthem |\n"
                                      "| `cx_active` | gauge |  | Open now |\n"
                                      "| `cx_length` | histogram | ms | How long |\n"
                                      "\n## `listener.<name>.ssl`\n\nTLS.\n\n"
                                      "| name | kind | unit | meaning |\n|---|---|---|---|\n"
                                      "| `handshake` | counter |  | Handshakes |\n");
}

struct adder {
    struct nu_stats *set;
    unsigned shard;
};

#define ROUNDS 20000

static void *add_many(void *ctx)
{
    struct adder *adder = ctx;
    for (unsigned i = 0; i < ROUNDS; i++) {
        nu_stat_add(adder->set, adder->shard, TOTAL, 1);
        nu_stat_record(adder->set, adder->shard, TIME, i);
    }
    return NULL;
}

/* Readers see sums that only grow, and at the end all of it; the thread sanitizer watches. */
static void threads_count_while_others_read(void **state)
{
    struct nu_stats *set = nu_stats_get(&group, "listener.t");
    struct adder adders[SHARDS];
    pthread_t threads[SHARDS];
    for (unsigned i = 0; i < SHARDS; i++) {
        adders[i] = (struct adder){set, i};
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &adders[i]), 0);
    }
    int64_t last = 0;
    while (last < ROUNDS) {
        int64_t now = nu_stat_read(set, TOTAL);
        assert_true(now >= last);
        last = now;
        struct nu_stats *other = nu_stats_get(&group, "listener.other");
        nu_stat_quantile(set, TIME, 0.5);
        nu_stats_put(other);
    }
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(nu_stat_read(set, TOTAL), SHARDS * ROUNDS);
    assert_int_equal(nu_stat_read(set, TIME), SHARDS * ROUNDS);
    nu_stats_put(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_over_shards),
        cmocka_unit_test(shards_share_no_cache_line),
        cmocka_unit_test(lives_as_long_as_its_references),
        cmocka_unit_test(quantiles_are_near),
        cmocka_unit_test(any_value_finds_a_bucket),
        cmocka_unit_test(prints_sorted_lines),
        cmocka_unit_test(prints_prometheus),
        cmocka_unit_test(walks_a_group),
        cmocka_unit_test(classes_are_a_label),
        cmocka_unit_test(names_metrics_after_patterns),
        cmocka_unit_test(documents_registered_groups),
        cmocka_unit_test(threads_count_while_others_read),
    };
    nu_stats_init(SHARDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
