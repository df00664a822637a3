/* `nuncio docs PAGE`: the generated pages of docs/, for `make docs`. Not listed by --help. */
#include "core/cause.h"
#include "core/conf/schema.h"
#include "core/logfmt.h"
#include "core/stats.h"
#include "l4/cluster.h"
#include "l4/listener.h"
#include "tools/nuncio/command.h"
#include "tools/nuncio/filters.h"
#include "tools/nuncio/root.h"

#include <string.h>

static void put_filters(FILE *out)
{
    const struct nu_filter_type *types[NU_REGISTRY_MAX];
    unsigned n = nu_filters_sorted(types);
    fputs("## Filters\n\nTop to bottom in a chain is left (client) to right (server). A filter is "
          "written `name` or\n`{name: options}`.\n\n",
          out);
    for (unsigned i = 0; i < n; i++) {
        if (types[i]->schema)
            nu_schema_doc_markdown(types[i]->schema, out, 3);
        else
            fprintf(out, "### %s\n\n%s\n\n", types[i]->name, types[i]->doc);
        fputs("Faces: ", out);
        nu_filter_faces(types[i], out);
        fputs(".\n\n", out);
    }
}

static void put_causes(FILE *out)
{
    fputs("## Why connections end\n\n| details | flag | side | meaning |\n|---|---|---|---|\n",
          out);
    for (unsigned i = NU_CAUSE_NONE + 1; i < NU_CAUSE_COUNT; i++) {
        const struct nu_cause_row *row = nu_cause_row((enum nu_cause)i);
        fprintf(out, "| `%s` | %s | %s | %s |\n", row->name, row->flag, nu_side_str(row->side),
                row->doc);
    }
}

static void put_reference(FILE *out)
{
    fputs("# Reference\n\nEvery key of a config file. Written by `make docs` from the schemas.\n\n",
          out);
    nu_schema_doc_markdown(&nu_root_schema, out, 2);
    nu_schema_doc_markdown(&nu_listener_schema, out, 2);
    nu_schema_doc_markdown(&nu_chain_schema, out, 2);
    nu_schema_doc_markdown(&nu_cluster_schema, out, 2);
    put_filters(out);
    fputs("## Operators of access logs\n\n", out);
    nu_log_ops_markdown(out);
    fputs("\n", out);
    put_causes(out);
}

static void put_stats(FILE *out)
{
    fputs("# Stats\n\nNames are Envoy's. `nuncio ctl stats` prints them, `nuncio ctl stats "
          "prometheus` for Prometheus.\nWritten by `make docs`.\n\n",
          out);
    nu_stats_doc_markdown(out);
}

static const struct page {
    const char *name;
    void (*put)(FILE *out);
} pages[] = {
    {"reference",  put_reference},
    {"stats",      put_stats    },
    {"stats-list", nu_stats_list},
};

static enum nu_exit run_docs(struct nu_args *args)
{
    const char *name = "";
    for (int id; (id = nu_args_next(args)) != NU_ARG_END;) {
        if (id == NU_ARG_LEAVE)
            return args->leave;
        name = args->value;
    }
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(pages[i].name, name) == 0) {
            pages[i].put(stdout);
            return NU_EXIT_OK;
        }
    return nu_usage_error(args, "no page \"%s\"", name);
}

const struct nu_command nu_command_docs = {
    .name = "docs",
    .summary = "",
    .usage = "docs reference\ndocs stats\ndocs stats-list",
    .run = run_docs,
};
