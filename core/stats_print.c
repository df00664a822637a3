/* Figures as Envoy's "name: value" lines, and the tables behind docs/stats.md. Called by whoever
 * answers the admin; works on references, not under the registry's lock. */
#include "core/stats_priv.h"

#include "core/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const struct nu_stats *set;
    unsigned index;
};

static const struct nu_stat_def *row_def(const struct row *row)
{
    return &row->set->group->defs[row->index];
}

/* Compares "prefix.name" of both without building them. */
static int compare_rows(const void *left, const void *right)
{
    const char *a[3] = {((const struct row *)left)->set->prefix, ".", row_def(left)->name};
    const char *b[3] = {((const struct row *)right)->set->prefix, ".", row_def(right)->name};
    const unsigned char *p = (const unsigned char *)a[0], *q = (const unsigned char *)b[0];
    for (int i = 0, j = 0;; p++, q++) {
        while (!*p && i < 2)
            p = (const unsigned char *)a[++i];
        while (!*q && j < 2)
            q = (const unsigned char *)b[++j];
        if (*p != *q || !*p)
            return *p - *q;
    }
}

static bool name_matches(const struct row *row, const char *filter)
{
    if (!filter || !*filter)
        return true;
    char *name = NULL;
    nu_assert(asprintf(&name, "%s.%s", row->set->prefix, row_def(row)->name) >= 0);
    bool hit = strstr(name, filter) != NULL;
    free(name);
    return hit;
}

static bool set_used(const struct nu_stats *set)
{
    for (unsigned i = 0; i < set->group->count; i++)
        if (nu_stat_read(set, i) != 0)
            return true;
    return false;
}

static size_t set_rows(struct row *rows, const struct nu_stats *set, const char *filter, bool used)
{
    size_t n = 0;
    if (used && !set_used(set))
        return 0;
    for (unsigned i = 0; i < set->group->count; i++) {
        struct row row = {set, i};
        bool zero = set->group->defs[i].kind != NU_GAUGE && nu_stat_read(set, i) == 0;
        if (!(used && zero) && name_matches(&row, filter))
            rows[n++] = row;
    }
    return n;
}

static void print_quantiles(FILE *out, const struct row *row)
{
    static const struct {
        const char *name;
        double q;
    } marks[] = {
        {"P0",    0    },
        {"P25",   0.25 },
        {"P50",   0.5  },
        {"P75",   0.75 },
        {"P90",   0.9  },
        {"P95",   0.95 },
        {"P99",   0.99 },
        {"P99.5", 0.995},
        {"P99.9", 0.999},
        {"P100",  1    }
    };
    struct stats_hist hist;
    stats_hist_read(&hist, row->set, row->index);
    if (!hist.count)
        fputs("No recorded values", out);
    for (size_t i = 0; hist.count && i < sizeof marks / sizeof *marks; i++)
        fprintf(out, "%s%s(%" PRIu64 ")", i ? " " : "", marks[i].name,
                stats_hist_quantile(&hist, marks[i].q));
}

void nu_stats_print(FILE *out, const char *filter, bool used)
{
    struct stats_sets all = stats_sets_take();
    size_t cap = 1, n = 0;
    for (size_t i = 0; i < all.count; i++)
        cap += all.sets[i]->group->count;
    struct row *rows = calloc(cap, sizeof *rows);
    nu_assert(rows != NULL);
    for (size_t i = 0; i < all.count; i++)
        n += set_rows(rows + n, all.sets[i], filter, used);
    qsort(rows, n, sizeof *rows, compare_rows);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "%s.%s: ", rows[i].set->prefix, row_def(&rows[i])->name);
        if (row_def(&rows[i])->kind == NU_HISTOGRAM)
            print_quantiles(out, &rows[i]);
        else
            fprintf(out, "%" PRId64, nu_stat_read(rows[i].set, rows[i].index));
        fputc('\n', out);
    }
    free(rows);
    stats_sets_drop(&all);
}

void nu_stats_doc_markdown(FILE *out)
{
    size_t count;
    const struct nu_stat_group **groups = stats_groups(&count);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s## `%s`\n\n%s\n\n| name | kind | unit | meaning |\n|---|---|---|---|\n",
                i ? "\n" : "", groups[i]->pattern, groups[i]->doc);
        for (unsigned k = 0; k < groups[i]->count; k++) {
            const struct nu_stat_def *def = &groups[i]->defs[k];
            fprintf(out, "| `%s` | %s | %s | %s |\n", def->name, nu_stat_kind_str(def->kind),
                    def->unit ? def->unit : "", def->doc);
        }
    }
    free(groups);
}

void nu_stats_list(FILE *out)
{
    size_t count;
    const struct nu_stat_group **groups = stats_groups(&count);
    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; k < groups[i]->count; k++)
            fprintf(out, "%s\t%s\n", groups[i]->pattern, groups[i]->defs[k].name);
    free(groups);
}
