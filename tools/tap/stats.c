/* The table of stats.h. */
#include "tools/tap/stats.h"

#include "core/assert.h"
#include "core/table/hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OTHERS "(others)"

/* --- times in buckets: 16 to each power of two --- */

static unsigned bucket_of(int64_t ns)
{
    uint64_t us = (uint64_t)ns / 1000;
    if (us < TAP_STATS_SUB)
        return (unsigned)us;
    unsigned power = 63 - (unsigned)__builtin_clzll(us);
    unsigned sub = (unsigned)(us >> (power - 4)) & (TAP_STATS_SUB - 1);
    unsigned at = (power - 3) * TAP_STATS_SUB + sub;
    unsigned most = TAP_STATS_POWERS * TAP_STATS_SUB - 1;
    return at < most ? at : most;
}

/* The middle of a bucket, in nanoseconds. */
static int64_t time_of_bucket(unsigned at)
{
    if (at < TAP_STATS_SUB)
        return (int64_t)at * 1000 + 500;
    unsigned power = at / TAP_STATS_SUB + 3;
    double low = ldexp(1.0 + at % TAP_STATS_SUB / (double)TAP_STATS_SUB, (int)power);
    return (int64_t)(1000 * (low + ldexp(0.5 / TAP_STATS_SUB, (int)power)));
}

static void time_add(struct tap_times *t, int64_t ns)
{
    if (ns < 0)
        return;
    t->count++;
    t->bucket[bucket_of(ns)]++;
    t->most = ns > t->most ? ns : t->most;
}

static int64_t percentile(const struct tap_times *t, unsigned percent)
{
    uint64_t want = (t->count * percent + 99) / 100, seen = 0;
    for (unsigned i = 0; i < TAP_STATS_POWERS * TAP_STATS_SUB; i++) {
        seen += t->bucket[i];
        if (seen >= want)
            return time_of_bucket(i) < t->most ? time_of_bucket(i) : t->most;
    }
    return 0;
}

/* --- rows --- */

static struct tap_stats_row *new_row(struct nu_text host)
{
    struct tap_stats_row *row = calloc(1, sizeof *row);
    nu_assert(row != NULL);
    row->host_len = host.len < sizeof row->host ? host.len : sizeof row->host;
    memcpy(row->host, host.at, row->host_len);
    return row;
}

static struct tap_stats_row *row_for(struct tap_stats *s, struct nu_text host)
{
    const unsigned buckets = 2 * TAP_STATS_HOSTS;
    host.len = host.len < sizeof s->all.host ? host.len : sizeof s->all.host;
    unsigned at = (unsigned)(nu_hash_bytes(host.at, host.len, false) % buckets);
    for (; s->bucket[at]; at = (at + 1) % buckets) {
        struct tap_stats_row *row = s->row[s->bucket[at] - 1];
        if (row->host_len == host.len && memcmp(row->host, host.at, host.len) == 0)
            return row;
    }
    if (s->rows < TAP_STATS_HOSTS) {
        s->row[s->rows] = new_row(host);
        s->bucket[at] = ++s->rows;
        return s->row[s->rows - 1];
    }
    if (!s->row[TAP_STATS_HOSTS])
        s->row[TAP_STATS_HOSTS] = new_row(NU_TEXT(OTHERS));
    return s->row[TAP_STATS_HOSTS];
}

static void count(struct tap_stats_row *row, const struct tap_exchange *x)
{
    row->requests++;
    row->by_class[x->status < 600 ? x->status / 100 : 0]++;
    for (int dir = 0; dir < 2; dir++)
        row->bytes[dir] += x->message[dir].body_wire;
    time_add(&row->ttfb, tap_ttfb_ns(x));
    time_add(&row->total, tap_total_ns(x));
}

/* --- what is counted --- */

static void stats_exchange(void *ctx, const struct tap_exchange *x)
{
    struct tap_stats *s = ctx;
    count(&s->all, x);
    struct nu_text host = tap_masked_host(&s->out, x->host);
    count(row_for(s, host.len ? host : NU_TEXT("?")), x);
    s->incomplete += !x->complete;
}

static void stats_tls(void *ctx, const struct tap_tls *tls)
{
    struct tap_stats *s = ctx;
    s->tls++;
    s->tls_closed += !tls->decrypted;
}

static void stats_ws(void *ctx, const struct tap_ws *message)
{
    struct tap_stats *s = ctx;
    s->ws++;
}

static void stats_conn(void *ctx, struct tap_conn *conn)
{
    struct tap_stats *s = ctx;
    const struct nu_flow *flow = conn->flow;
    s->first_ns = s->conns && s->first_ns < flow->first_ns ? s->first_ns : flow->first_ns;
    s->last_ns = s->conns && s->last_ns > flow->last_ns ? s->last_ns : flow->last_ns;
    s->conns++;
    for (int dir = 0; dir < 2; dir++) {
        s->bytes[dir] += conn->bytes[dir];
        s->missing += conn->missing[dir];
    }
}

/* --- the table --- */

static void pad_from(struct tap_out *out, size_t from, size_t columns)
{
    while (out->buf.len - from < columns)
        tap_put_char(out, ' ');
}

/* Right-aligned. */
static void put_cell(struct tap_out *out, const char *text, size_t columns)
{
    for (size_t n = strlen(text); n < columns; n++)
        tap_put_char(out, ' ');
    tap_put(out, text);
}

static void put_count(struct tap_out *out, uint64_t n, size_t columns)
{
    char text[24] = "-";
    if (n)
        snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    put_cell(out, text, columns);
}

static void put_time(struct tap_out *out, const struct tap_times *times, int64_t ns)
{
    size_t from = out->buf.len;
    char text[32] = "-";
    if (times->count) {
        tap_put_duration(out, ns);
        size_t len = out->buf.len - from;
        nu_assert(len < sizeof text);
        memcpy(text, out->buf.data + from, len);
        text[len] = 0;
        out->buf.len = from;
    }
    put_cell(out, text, 8);
}

static void put_head(struct tap_out *out)
{
    tap_put_color(out, TAP_BOLD);
    tap_put(out, "                                                              "
                 "ttfb            total\n"
                 "host                     requests   2xx   3xx   4xx   5xx  none"
                 "     p50     p99     p50     p99     max\n");
    tap_put_color(out, TAP_PLAIN);
}

static void put_row(struct tap_out *out, const struct tap_stats_row *row, struct nu_text name)
{
    size_t from = out->buf.len;
    tap_put_safe(out, name, 22);
    pad_from(out, from, 25);
    put_count(out, row->requests, 8);
    for (unsigned c = 2; c < TAP_STATS_CLASSES; c++)
        put_count(out, row->by_class[c], 6);
    put_count(out, row->by_class[0] + row->by_class[1], 6);
    put_time(out, &row->ttfb, percentile(&row->ttfb, 50));
    put_time(out, &row->ttfb, percentile(&row->ttfb, 99));
    put_time(out, &row->total, percentile(&row->total, 50));
    put_time(out, &row->total, percentile(&row->total, 99));
    put_time(out, &row->total, row->total.most);
    tap_put_char(out, '\n');
}

static int by_requests(const void *a, const void *b)
{
    const struct tap_stats_row *x = *(struct tap_stats_row *const *)a,
                               *y = *(struct tap_stats_row *const *)b;
    return x->requests < y->requests ? 1 : x->requests > y->requests ? -1 : 0;
}

static void put_named(struct tap_out *out, uint64_t n, const char *one, const char *many)
{
    tap_put_u64(out, n);
    tap_put(out, n == 1 ? one : many);
}

static void put_totals(struct tap_stats *s)
{
    struct tap_out *out = &s->out;
    put_named(out, s->all.requests, " request, ", " requests, ");
    put_named(out, s->conns, " connection", " connections");
    tap_put(out, " in ");
    tap_put_duration(out, s->last_ns - s->first_ns);
    tap_put(out, "; ");
    tap_put_size(out, s->bytes[0]);
    tap_put(out, " up, ");
    tap_put_size(out, s->bytes[1]);
    tap_put(out, " down\n");
    const struct {
        uint64_t n;
        const char *one, *many;
    } more[] = {
        {s->ws,         " WebSocket message\n",    " WebSocket messages\n"    },
        {s->tls,        " TLS connection\n",       " TLS connections\n"       },
        {s->tls_closed, " of them stays closed\n", " of them stay closed\n"   },
        {s->incomplete, " request is not whole\n", " requests are not whole\n"},
        {s->missing,    " byte is missing\n",      " bytes are missing\n"     },
    };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (more[i].n)
            put_named(out, more[i].n, more[i].one, more[i].many);
}

static void stats_finish(void *ctx)
{
    struct tap_stats *s = ctx;
    put_totals(s);
    if (s->all.requests) {
        tap_put_char(&s->out, '\n');
        put_head(&s->out);
    }
    qsort(s->row, s->rows, sizeof *s->row, by_requests);
    for (unsigned i = 0; i <= TAP_STATS_HOSTS; i++)
        if (s->row[i])
            put_row(&s->out, s->row[i], nu_text(s->row[i]->host, s->row[i]->host_len));
    if (s->rows > 1)
        put_row(&s->out, &s->all, NU_TEXT("all"));
    tap_out_flush(&s->out);
}

void tap_stats_free(struct tap_stats *s)
{
    for (unsigned i = 0; i <= TAP_STATS_HOSTS; i++)
        free(s->row[i]);
    tap_out_free(&s->out);
}

const struct tap_sink tap_stats_sink = {
    .exchange = stats_exchange,
    .tls = stats_tls,
    .ws = stats_ws,
    .conn = stats_conn,
    .finish = stats_finish,
};
