/* Lines of statsd; see stats_statsd.h. Each round compares the sets there are with a copy of their
 * figures of the round before, walking both in the same order. A set that went in between takes its
 * last counts along, as it does for whoever asks the admin. */
#include "core/stats_statsd.h"

#include "core/assert.h"
#include "core/stats_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SETS_A_PIECE 100
/* Values of one bucket that are told one by one; more are one line with a sample rate, which not
 * every server takes for a count. */
#define REPEATS 8

/* What a set's figures were. */
struct past {
    const struct nu_stat_group *group;
    char *prefix;
    int64_t *value;           /* of histograms: none */
    struct stats_hist **hist; /* NULL where no value was seen */
};

struct pasts {
    struct past *item; /* in the order of stats_sets_take */
    size_t count;
};

struct nu_statsd_lines {
    char *prefix;
    bool tags, silent, running;
    struct stats_sets all; /* of the round that is running */
    size_t set, match;     /* the next one, and where it would be in `before` */
    struct pasts before, now;
};

/* A line under way. */
struct line {
    size_t len;
    char text[NU_STATSD_LINE_MAX];
};

/* --- lines --- */

static void add_char(struct line *line, char c)
{
    if (line->len < sizeof line->text)
        line->text[line->len] = c;
    line->len++;
}

static void add(struct line *line, const char *text)
{
    for (; *text; text++)
        add_char(line, *text);
}

/* Dots part names; what means something to statsd or to a shell of graphs does not get through. */
static void add_name(struct line *line, const char *text)
{
    for (; *text; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9') || *text == '-' || *text == '.';
        add_char(line, plain ? *text : '_');
    }
}

static void add_tag_text(struct line *line, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool bad = (unsigned char)text[i] <= ' ' || text[i] == 0x7f || strchr(",|#", text[i]);
        add_char(line, bad ? '_' : text[i]);
    }
}

/* "listener.<name>.ssl" without its placeholders. */
static void add_pattern(struct line *line, const char *pattern)
{
    const char *dot = "";
    while (*pattern) {
        size_t len = strcspn(pattern, ".");
        if (*pattern != '<') {
            add(line, dot);
            for (size_t i = 0; i < len; i++)
                add_char(line, pattern[i]);
            dot = ".";
        }
        pattern += len + (pattern[len] == '.');
    }
}

static void add_metric(struct line *line, const struct nu_statsd_lines *lines,
                       const struct nu_stats *set, const struct nu_stat_def *def)
{
    char class = lines->tags ? stats_code_class(def->name) : 0;
    size_t len = strlen(def->name);
    if (*lines->prefix) {
        add(line, lines->prefix);
        add_char(line, '.');
    }
    if (lines->tags)
        add_pattern(line, set->group->pattern);
    else
        add_name(line, set->prefix);
    add_char(line, '.');
    for (size_t i = 0; i < len; i++)
        if (!class || i != len - 3)
            add_char(line, def->name[i]);
}

/* "|#cluster:web,response_code_class:2" */
static void add_tags(struct line *line, const struct nu_stats *set, const struct nu_stat_def *def)
{
    struct stats_label labels[STATS_LABELS_MAX];
    char class = stats_code_class(def->name);
    size_t n = strchr(set->group->pattern, '<') ? stats_labels(set, labels) : 0;
    const char *comma = "|#";
    for (size_t i = 0; i < n; i++) {
        add(line, comma);
        add_tag_text(line, labels[i].key, labels[i].key_len);
        add_char(line, ':');
        add_tag_text(line, labels[i].value, labels[i].value_len);
        comma = ",";
    }
    if (class) {
        add(line, comma);
        add(line, "response_code_class:");
        add_char(line, class);
    }
}

/* Who takes the lines of a figure. */
struct figure {
    const struct nu_statsd_lines *lines;
    const struct nu_stats *set;
    const struct nu_stat_def *def;
    nu_statsd_put_fn *put;
    void *ctx;
};

static void tell(const struct figure *f, const char *value)
{
    struct line line = {.len = 0};
    add_metric(&line, f->lines, f->set, f->def);
    add_char(&line, ':');
    add(&line, value);
    if (f->lines->tags)
        add_tags(&line, f->set, f->def);
    if (line.len <= sizeof line.text)
        f->put(line.text, line.len, f->ctx);
}

/* --- figures --- */

static void tell_counter(const struct figure *f, int64_t before, int64_t now)
{
    char text[32];
    int64_t delta = now < before ? now : now - before; /* less: another set of that name */
    snprintf(text, sizeof text, "%" PRId64 "|c", delta);
    if (delta)
        tell(f, text);
}

/* Told in each round, so that a server that was started anew knows it; not before it ever moved. A
 * sign would mean "add": below zero is reached from zero. */
static void tell_gauge(const struct figure *f, int64_t before, int64_t now)
{
    char text[32];
    if (now < 0)
        tell(f, "0|g");
    snprintf(text, sizeof text, "%" PRId64 "|g", now);
    if (now || before)
        tell(f, text);
}

static void tell_bucket(const struct figure *f, uint64_t value, uint64_t n)
{
    char text[64];
    const char *kind = f->def->unit && strcmp(f->def->unit, "ms") == 0 ? "ms" : "h";
    if (n > REPEATS) {
        snprintf(text, sizeof text, "%" PRIu64 "|%s|@%.9g", value, kind, 1 / (double)n);
        n = 1;
    } else {
        snprintf(text, sizeof text, "%" PRIu64 "|%s", value, kind);
    }
    while (n--)
        tell(f, text);
}

static void tell_hist(const struct figure *f, const struct stats_hist *before,
                      const struct stats_hist *now)
{
    bool anew = before && now->count < before->count;
    for (unsigned i = 0; i < STATS_BUCKETS; i++) {
        uint64_t old = before && !anew ? before->buckets[i] : 0;
        if (now->buckets[i] > old)
            tell_bucket(f, stats_bucket_middle(i), now->buckets[i] - old);
    }
}

/* --- the copy --- */

static struct past past_of(const struct nu_stats *set)
{
    struct past past = {.group = set->group, .prefix = strdup(set->prefix)};
    past.value = calloc(set->group->count, sizeof *past.value);
    past.hist = calloc(set->group->count, sizeof *past.hist);
    nu_assert(past.prefix && past.value && past.hist);
    return past;
}

static void past_clear(struct past *past)
{
    for (unsigned i = 0; i < past->group->count; i++)
        free(past->hist[i]);
    free(past->prefix);
    free(past->value);
    free(past->hist);
}

static void pasts_clear(struct pasts *pasts)
{
    for (size_t i = 0; i < pasts->count; i++)
        past_clear(&pasts->item[i]);
    free(pasts->item);
    *pasts = (struct pasts){NULL, 0};
}

static int compare(const struct past *past, const struct nu_stats *set)
{
    if (past->group != set->group)
        return (uintptr_t)past->group < (uintptr_t)set->group ? -1 : 1;
    return strcmp(past->prefix, set->prefix);
}

/* The set's past, or NULL. Sets are asked for in order. */
static const struct past *find_past(struct nu_statsd_lines *lines, const struct nu_stats *set)
{
    const struct pasts *before = &lines->before;
    while (lines->match < before->count && compare(&before->item[lines->match], set) < 0)
        lines->match++;
    if (lines->match == before->count || compare(&before->item[lines->match], set) != 0)
        return NULL;
    return &before->item[lines->match];
}

static void look_at_hist(const struct figure *f, const struct past *before, struct past *now,
                         unsigned i)
{
    struct stats_hist hist;
    if (nu_stat_read(f->set, i) == 0)
        return;
    stats_hist_read(&hist, f->set, i);
    if (!f->lines->silent)
        tell_hist(f, before ? before->hist[i] : NULL, &hist);
    now->hist[i] = malloc(sizeof hist);
    nu_assert(now->hist[i] != NULL);
    memcpy(now->hist[i], &hist, sizeof hist);
}

static void look_at(const struct figure *f, const struct past *before, struct past *now, unsigned i)
{
    if (f->def->kind == NU_HISTOGRAM) {
        look_at_hist(f, before, now, i);
        return;
    }
    int64_t old = before ? before->value[i] : 0, value = nu_stat_read(f->set, i);
    now->value[i] = value;
    if (f->lines->silent)
        return;
    if (f->def->kind == NU_COUNTER) {
        tell_counter(f, old, value);
        return;
    }
    tell_gauge(f, old, value);
    if (!value && old)
        now->value[i] = old; /* it has moved once */
}

/* --- rounds --- */

static void round_begin(struct nu_statsd_lines *lines)
{
    lines->all = stats_sets_take();
    lines->set = lines->match = 0;
    lines->now.item = calloc(lines->all.count + 1, sizeof *lines->now.item);
    nu_assert(lines->now.item != NULL);
    lines->running = true;
}

static void round_end(struct nu_statsd_lines *lines)
{
    stats_sets_drop(&lines->all);
    pasts_clear(&lines->before);
    lines->before = lines->now;
    lines->now = (struct pasts){NULL, 0};
    lines->running = false;
}

bool nu_statsd_lines_more(struct nu_statsd_lines *lines, nu_statsd_put_fn *put, void *ctx)
{
    if (!lines->running)
        round_begin(lines);
    for (unsigned n = 0; n < SETS_A_PIECE && lines->set < lines->all.count; n++) {
        const struct nu_stats *set = lines->all.sets[lines->set++];
        const struct past *before = find_past(lines, set);
        struct past *now = &lines->now.item[lines->now.count++];
        *now = past_of(set);
        for (unsigned i = 0; i < set->group->count; i++) {
            struct figure f = {lines, set, &set->group->defs[i], put, ctx};
            look_at(&f, before, now, i);
        }
    }
    if (lines->set < lines->all.count)
        return true;
    round_end(lines);
    return false;
}

struct nu_statsd_lines *nu_statsd_lines_new(const char *prefix, bool tags, bool from_now)
{
    struct nu_statsd_lines *lines = calloc(1, sizeof *lines);
    nu_assert(lines != NULL);
    lines->prefix = strdup(prefix);
    nu_assert(lines->prefix != NULL);
    lines->tags = tags;
    lines->silent = from_now;
    while (from_now && nu_statsd_lines_more(lines, NULL, NULL))
        ;
    lines->silent = false;
    return lines;
}

void nu_statsd_lines_free(struct nu_statsd_lines *lines)
{
    if (!lines)
        return;
    if (lines->running)
        round_end(lines);
    pasts_clear(&lines->before);
    free(lines->prefix);
    free(lines);
}
