/* A figure as Envoy's "name: value" line, and the tables behind docs/stats.md. Main thread. */
#include "core/stats_priv.h"
#include "core/stats_walk.h"

#include "core/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct nu_stat_mark nu_stat_marks[NU_STAT_MARKS] = {
    {"P0",    0   },
    {"P25",   25  },
    {"P50",   50  },
    {"P75",   75  },
    {"P90",   90  },
    {"P95",   95  },
    {"P99",   99  },
    {"P99.5", 99.5},
    {"P99.9", 99.9},
    {"P100",  100 },
};

char *nu_stats_row_name(const struct nu_stats_row *row)
{
    char *name;
    nu_assert(asprintf(&name, "%s.%s", row->set->prefix, nu_stats_row_def(row)->name) >= 0);
    return name;
}

bool nu_stats_row_used(const struct nu_stats_row *row)
{
    if (!row->set_used)
        return false;
    return nu_stats_row_def(row)->kind == NU_GAUGE || nu_stat_read(row->set, row->index) != 0;
}

void nu_stat_summarize(const struct nu_stats *set, unsigned index, struct nu_stat_summary *out)
{
    struct stats_hist hist;
    stats_hist_read(&hist, set, index);
    out->count = hist.count;
    out->sum = hist.sum;
    for (size_t i = 0; i < NU_STAT_MARKS; i++)
        out->value[i] = stats_hist_quantile(&hist, nu_stat_marks[i].percent / 100);
}

static void print_quantiles(FILE *out, const struct nu_stats_row *row)
{
    struct nu_stat_summary sum;
    nu_stat_summarize(row->set, row->index, &sum);
    if (!sum.count)
        fputs("No recorded values", out);
    for (size_t i = 0; sum.count && i < NU_STAT_MARKS; i++)
        fprintf(out, "%s%s(nan,%" PRIu64 ")", i ? " " : "", nu_stat_marks[i].name, sum.value[i]);
}

void nu_stats_row_print(FILE *out, const struct nu_stats_row *row)
{
    fprintf(out, "%s.%s: ", row->set->prefix, nu_stats_row_def(row)->name);
    if (nu_stats_row_def(row)->kind == NU_HISTOGRAM)
        print_quantiles(out, row);
    else
        fprintf(out, "%" PRId64, nu_stat_read(row->set, row->index));
    fputc('\n', out);
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
