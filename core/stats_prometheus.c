/* Figures in Prometheus' text format: a group's pattern gives the metric's name and the names of
 * its labels, a set's prefix their values. Called by whoever answers the admin. */
#include "core/stats_priv.h"

#include "core/arena.h"
#include "core/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct metric {
    const char *name;
    unsigned index;
    struct nu_stats **sets; /* those of one group */
    size_t count;
};

struct text {
    char *data;
    size_t size;
    FILE *file;
};

static void text_open(struct text *text)
{
    text->file = open_memstream(&text->data, &text->size);
    nu_assert(text->file != NULL);
}

static char *text_close(struct text *text, struct nu_arena *arena)
{
    fclose(text->file);
    char *copy = nu_arena_strndup(arena, text->data, text->size);
    free(text->data);
    return copy;
}

static void put_metric_chars(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        fputc(plain ? c : '_', out);
    }
}

static void put_escaped(FILE *out, const char *text, size_t len, bool quotes)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n')
            fputs("\\n", out);
        else if (text[i] == '\\' || (quotes && text[i] == '"'))
            fprintf(out, "\\%c", text[i]);
        else
            fputc(text[i], out);
    }
}

/* Without the digit of a class of codes, which is a label. */
static void put_def_name(FILE *out, const char *name)
{
    size_t len = strlen(name);
    if (!stats_code_class(name)) {
        put_metric_chars(out, name, len);
        return;
    }
    put_metric_chars(out, name, len - 3);
    fputs("xx", out);
}

/* "listener.<name>.ssl" + "handshake" is nuncio_listener_ssl_handshake. */
static char *metric_name(struct nu_arena *arena, const struct nu_stat_group *group,
                         const struct nu_stat_def *def)
{
    struct text text;
    text_open(&text);
    fputs("nuncio", text.file);
    for (const char *p = group->pattern; *p;) {
        size_t len = strcspn(p, ".");
        if (len && *p != '<') {
            fputc('_', text.file);
            put_metric_chars(text.file, p, len);
        }
        p += len + (p[len] == '.');
    }
    fputc('_', text.file);
    put_def_name(text.file, def->name);
    return text_close(&text, arena);
}

/* `listener="edge",` (with the comma, so that le may follow), or nothing. */
static char *label_text(struct nu_arena *arena, const struct nu_stats *set)
{
    struct stats_label labels[STATS_LABELS_MAX];
    size_t n = stats_labels(set, labels);
    struct text text;
    text_open(&text);
    for (size_t i = 0; i < n; i++) {
        put_metric_chars(text.file, labels[i].key, labels[i].key_len);
        fputs("=\"", text.file);
        put_escaped(text.file, labels[i].value, labels[i].value_len, true);
        fputs("\",", text.file);
    }
    return text_close(&text, arena);
}

/* "{labels}" or nothing; labels come with a comma behind them. */
static void put_labels(FILE *out, const char *labels)
{
    if (*labels)
        fprintf(out, "{%.*s}", (int)strlen(labels) - 1, labels);
}

static void print_buckets(FILE *out, const struct metric *metric, const struct nu_stats *set,
                          const char *labels)
{
    static const double bounds[] = {0.5,   1,      5,      10,      25,     50,    100,
                                    250,   500,    1000,   2500,    5000,   10000, 30000,
                                    60000, 300000, 600000, 1800000, 3600000};
    struct stats_hist hist;
    stats_hist_read(&hist, set, metric->index);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        fprintf(out, "%s_bucket{%sle=\"%.10g\"} %" PRIu64 "\n", metric->name, labels, bounds[i],
                stats_hist_below(&hist, bounds[i]));
    fprintf(out, "%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", metric->name, labels, hist.count);
    fprintf(out, "%s_sum", metric->name);
    put_labels(out, labels);
    fprintf(out, " %" PRIu64 "\n%s_count", hist.sum, metric->name);
    put_labels(out, labels);
    fprintf(out, " %" PRIu64 "\n", hist.count);
}

static void print_number(FILE *out, const struct metric *metric, const struct nu_stats *set,
                         const char *labels)
{
    char class = stats_code_class(set->group->defs[metric->index].name);
    fputs(metric->name, out);
    if (class)
        fprintf(out, "{%sresponse_code_class=\"%c\"}", labels, class);
    else
        put_labels(out, labels);
    fprintf(out, " %" PRId64 "\n", nu_stat_read(set, metric->index));
}

static void print_head(FILE *out, const struct metric *metric)
{
    const struct nu_stat_def *def = &metric->sets[0]->group->defs[metric->index];
    const char *doc = def->doc ? def->doc : "";
    if (stats_code_class(def->name))
        doc = "Responses by the first digit of their status.";
    fprintf(out, "# HELP %s ", metric->name);
    put_escaped(out, doc, strlen(doc), false);
    fprintf(out, "\n# TYPE %s %s\n", metric->name, nu_stat_kind_str(def->kind));
}

static int compare_metrics(const void *left, const void *right)
{
    const struct metric *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : (int)a->index - (int)b->index;
}

/* One metric for each definition of each group that has sets. */
static size_t list_metrics(struct metric **out, struct nu_arena *arena, struct stats_sets *all)
{
    size_t n = 0;
    *out = NULL;
    for (size_t first = 0, next; first < all->count; first = next) {
        const struct nu_stat_group *group = all->sets[first]->group;
        for (next = first; next < all->count && all->sets[next]->group == group; next++)
            ;
        *out = reallocarray(*out, n + group->count, sizeof **out);
        nu_assert(*out != NULL);
        for (unsigned i = 0; i < group->count; i++)
            (*out)[n++] = (struct metric){metric_name(arena, group, &group->defs[i]), i,
                                          all->sets + first, next - first};
    }
    if (n)
        qsort(*out, n, sizeof **out, compare_metrics);
    return n;
}

/* --- in pieces --- */

#define LOOKED_AT                                                                                  \
    500 /* figures a piece: a fraction of a millisecond, also if none of them shows                \
         */

struct nu_stats_text {
    struct stats_sets all;
    struct nu_arena *arena;
    char **labels; /* as `all`; NULL = not made yet */
    struct metric *metrics;
    size_t metric_count;
    size_t metric, set; /* the next figure */
    const char *headed; /* the name that the last head was for */
    bool used;
    nu_stats_wants_fn *wants;
    void *ctx;
};

struct nu_stats_text *nu_stats_prometheus_new(bool used, nu_stats_wants_fn *wants, void *ctx)
{
    struct nu_stats_text *text = calloc(1, sizeof *text);
    nu_assert(text != NULL);
    text->all = stats_sets_take();
    text->arena = nu_arena_new(4096);
    text->labels = calloc(text->all.count + 1, sizeof *text->labels);
    nu_assert(text->labels != NULL);
    text->metric_count = list_metrics(&text->metrics, text->arena, &text->all);
    text->used = used;
    text->wants = wants;
    text->ctx = ctx;
    return text;
}

static bool set_used(const struct nu_stats *set)
{
    for (unsigned i = 0; i < set->group->count; i++)
        if (nu_stat_read(set, i) != 0)
            return true;
    return false;
}

static bool is_shown(const struct nu_stats_text *text, const struct nu_stats *set, unsigned index)
{
    const struct nu_stat_def *def = &set->group->defs[index];
    if (text->used && nu_stat_read(set, index) == 0 && (def->kind != NU_GAUGE || !set_used(set)))
        return false;
    if (!text->wants)
        return true;
    char *name = NULL;
    nu_assert(asprintf(&name, "%s.%s", set->prefix, def->name) >= 0);
    bool wanted = text->wants(name, text->ctx);
    free(name);
    return wanted;
}

static void print_figure(struct nu_stats_text *text, const struct metric *metric, FILE *out)
{
    const struct nu_stats *set = metric->sets[text->set];
    if (!is_shown(text, set, metric->index))
        return;
    char **labels = &text->labels[metric->sets + text->set - text->all.sets];
    if (!*labels)
        *labels = label_text(text->arena, set);
    if (!text->headed || strcmp(text->headed, metric->name) != 0)
        print_head(out, metric);
    text->headed = metric->name;
    if (set->group->defs[metric->index].kind == NU_HISTOGRAM)
        print_buckets(out, metric, set, *labels);
    else
        print_number(out, metric, set, *labels);
}

bool nu_stats_prometheus_more(struct nu_stats_text *text, FILE *out, size_t about)
{
    long begin = ftell(out);
    for (unsigned i = 0; i < LOOKED_AT && text->metric < text->metric_count; i++) {
        const struct metric *metric = &text->metrics[text->metric];
        print_figure(text, metric, out);
        if (++text->set == metric->count) {
            text->set = 0;
            text->metric++;
        }
        if (about && ftell(out) - begin >= (long)about)
            break;
    }
    return text->metric < text->metric_count;
}

void nu_stats_prometheus_free(struct nu_stats_text *text)
{
    free(text->metrics);
    free(text->labels);
    nu_arena_free(text->arena);
    stats_sets_drop(&text->all);
    free(text);
}

void nu_stats_print_prometheus(FILE *out)
{
    struct nu_stats_text *text = nu_stats_prometheus_new(false, NULL, NULL);
    while (nu_stats_prometheus_more(text, out, 0))
        ;
    nu_stats_prometheus_free(text);
}
