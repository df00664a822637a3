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
    put_metric_chars(text.file, def->name, strlen(def->name));
    return text_close(&text, arena);
}

struct label {
    const char *key, *value;
    size_t key_len, value_len;
};
#define LABELS_MAX 4 /* in a prefix: listener, chain and filter, and one to spare */

/* A placeholder's label is called like the segment before it, or like itself where it is first. */
static struct label label_key(const char *literal, const char *mark)
{
    const char *end = mark > literal && mark[-1] == '.' ? mark - 1 : mark;
    const char *begin = end;
    while (begin > literal && begin[-1] != '.')
        begin--;
    if (begin == end)
        return (struct label){.key = mark + 1, .key_len = strcspn(mark + 1, ">")};
    return (struct label){.key = begin, .key_len = (size_t)(end - begin)};
}

/* Where the value of a placeholder ends: at the last place where the literal that follows it in the
 * pattern stands, since names contain dots themselves. NULL: nowhere. */
static const char *value_end(const char *value, const char *literal)
{
    size_t len = strcspn(literal, "<");
    const char *p = value + strlen(value);
    if (!len)
        return p;
    while (p > value && strncmp(p, literal, len) != 0)
        p--;
    return p > value ? p : NULL;
}

/* Takes the placeholders of the pattern out of the prefix; false where the two do not agree. */
static bool match_labels(const char *pattern, const char *prefix, struct label *labels, size_t *n)
{
    for (*n = 0;; ++*n) {
        size_t literal = strcspn(pattern, "<");
        if (strncmp(pattern, prefix, literal) != 0)
            return false;
        const char *mark = pattern + literal;
        prefix += literal;
        if (!*mark)
            return !*prefix;
        struct label label = label_key(pattern, mark);
        pattern = mark + strcspn(mark, ">");
        pattern += *pattern == '>';
        label.value = prefix;
        prefix = value_end(prefix, pattern);
        if (!prefix || *n == LABELS_MAX)
            return false;
        label.value_len = (size_t)(prefix - label.value);
        labels[*n] = label;
    }
}

/* `listener="edge",` (with the comma, so that le may follow), or nothing. */
static char *label_text(struct nu_arena *arena, const struct nu_stats *set)
{
    struct label labels[LABELS_MAX];
    size_t n;
    if (!match_labels(set->group->pattern, set->prefix, labels, &n)) {
        labels[0] = (struct label){"prefix", set->prefix, 6, strlen(set->prefix)};
        n = 1;
    }
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

static void print_metric(FILE *out, const struct metric *metric, char *const *labels)
{
    for (size_t i = 0; i < metric->count; i++) {
        const struct nu_stats *set = metric->sets[i];
        if (set->group->defs[metric->index].kind == NU_HISTOGRAM) {
            print_buckets(out, metric, set, labels[i]);
            continue;
        }
        fputs(metric->name, out);
        put_labels(out, labels[i]);
        fprintf(out, " %" PRId64 "\n", nu_stat_read(set, metric->index));
    }
}

static void print_head(FILE *out, const struct metric *metric)
{
    const struct nu_stat_def *def = &metric->sets[0]->group->defs[metric->index];
    fprintf(out, "# HELP %s ", metric->name);
    put_escaped(out, def->doc ? def->doc : "", def->doc ? strlen(def->doc) : 0, false);
    fprintf(out, "\n# TYPE %s %s\n", metric->name, nu_stat_kind_str(def->kind));
}

static int compare_metrics(const void *left, const void *right)
{
    return strcmp(((const struct metric *)left)->name, ((const struct metric *)right)->name);
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

void nu_stats_print_prometheus(FILE *out)
{
    struct stats_sets all = stats_sets_take();
    struct nu_arena *arena = nu_arena_new(4096);
    char **labels = nu_arena_alloc(arena, (all.count + 1) * sizeof *labels);
    for (size_t i = 0; i < all.count; i++)
        labels[i] = label_text(arena, all.sets[i]);
    struct metric *metrics;
    size_t n = list_metrics(&metrics, arena, &all);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || compare_metrics(&metrics[i], &metrics[i - 1]) != 0)
            print_head(out, &metrics[i]);
        print_metric(out, &metrics[i], labels + (metrics[i].sets - all.sets));
    }
    free(metrics);
    nu_arena_free(arena);
    stats_sets_drop(&all);
}
