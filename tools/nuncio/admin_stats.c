/* /stats: all figures, in pieces. */
#include "tools/nuncio/admin_page.h"

#include "core/assert.h"
#include "tools/nuncio/stats_query.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define PIECE_NS    1000000 /* of the main loop's turn, where a filter lets little through */
#define ROWS_A_LOOK 16      /* rows between two looks at bytes and clock */

/* In Envoy's JSON histograms come last, so there are two walks. */
enum part { FIGURES, HISTOGRAMS, OVER };

struct stats_state {
    struct nu_stats_query wanted;
    struct nu_stats_walk *walk;
    bool json, begun, first;
    uint8_t part; /* enum part; of JSON */
};

static unsigned stats_begin(const struct nu_admin_request *request, void **state, FILE *out)
{
    struct nu_stats_query wanted;
    unsigned status = nu_stats_query_read(request->query, &wanted, out);
    if (status != 200)
        return status;
    struct stats_state *s = calloc(1, sizeof *s);
    nu_assert(s != NULL);
    s->wanted = wanted;
    s->json = nu_admin_wants_json(request);
    nu_server_refresh(request->server, request->connections);
    s->walk = nu_stats_walk_new();
    *state = s;
    return 200;
}

static void stats_end(void *state)
{
    struct stats_state *s = state;
    nu_stats_walk_free(s->walk);
    nu_stats_query_free(&s->wanted);
    free(s);
}

static void put_name(FILE *out, const struct nu_stats_row *row)
{
    char *name = nu_stats_row_name(row);
    fputs("{\"name\":", out);
    nu_admin_put_json(out, name);
    free(name);
}

static void put_values(FILE *out, const struct nu_stats_row *row)
{
    struct nu_stat_summary sum;
    nu_stat_summarize(row->set, row->index, &sum);
    fputs(",\"values\":[", out);
    for (size_t i = 0; i < NU_STAT_MARKS; i++) {
        fprintf(out, "%s{\"interval\":null,\"cumulative\":", i ? "," : "");
        if (sum.count)
            fprintf(out, "%" PRIu64 "}", sum.value[i]);
        else
            fputs("null}", out);
    }
    fputs("]}", out);
}

static void put_json(struct stats_state *s, FILE *out, const struct nu_stats_row *row)
{
    bool histogram = nu_stats_row_def(row)->kind == NU_HISTOGRAM;
    if (histogram != (s->part == HISTOGRAMS))
        return;
    if (!s->first)
        fputs(",\n", out);
    s->first = false;
    put_name(out, row);
    if (histogram)
        put_values(out, row);
    else
        fprintf(out, ",\"value\":%" PRId64 "}", nu_stat_read(row->set, row->index));
}

static void put_head(struct stats_state *s, FILE *out)
{
    s->begun = s->first = true;
    if (s->json)
        fputs("{\"stats\":[\n", out);
}

/* A walk is over: goes on to the next part; false: there is none. */
static bool next_part(struct stats_state *s, FILE *out)
{
    if (!s->json)
        return false;
    if (++s->part == OVER) {
        fputs("]}}]}\n", out);
        return false;
    }
    fputs(s->first ? "{\"histograms\":{\"supported_quantiles\":["
                   : ",\n{\"histograms\":{\"supported_quantiles\":[",
          out);
    for (size_t i = 0; i < NU_STAT_MARKS; i++)
        fprintf(out, "%s%g", i ? "," : "", nu_stat_marks[i].percent);
    fputs("],\"computed_quantiles\":[\n", out);
    s->first = true;
    nu_stats_walk_free(s->walk);
    s->walk = nu_stats_walk_new();
    return true;
}

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool stats_more(void *state, FILE *out)
{
    struct stats_state *s = state;
    struct nu_stats_row row;
    int64_t until_ns = clock_ns() + PIECE_NS;
    if (!s->begun)
        put_head(s, out);
    do {
        for (unsigned i = 0; i < ROWS_A_LOOK; i++) {
            if (!nu_stats_walk_next(s->walk, &row))
                return next_part(s, out);
            if (!nu_stats_query_wants(&s->wanted, &row))
                continue;
            if (s->json)
                put_json(s, out, &row);
            else
                nu_stats_row_print(out, &row);
        }
    } while (ftell(out) < (long)NU_ADMIN_PIECE && clock_ns() < until_ns);
    return true;
}

static const struct nu_admin_source source = {stats_begin, stats_more, stats_end};

const struct nu_admin_page nu_page_stats = {
    .path = "/stats",
    .params = "filter=REGEX usedonly format=json",
    .doc = "counters, gauges and histograms, sorted by name",
    .need = NU_ADMIN_CENSUS,
    .source = &source,
};
