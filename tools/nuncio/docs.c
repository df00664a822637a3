/* `nuncio docs PAGE`: the generated pages of docs/, for `make docs`; man pages (with docs/cli.md on
 * the standard input) and shell completion, for `make install`. Not listed by --help. */
#include "core/assert.h"
#include "core/cause.h"
#include "core/conf/schema.h"
#include "core/logfmt.h"
#include "core/stats.h"
#include "l4/cluster.h"
#include "l4/listener.h"
#include "tools/nuncio/command.h"
#include "tools/nuncio/docs_pages.h"
#include "tools/nuncio/filters.h"
#include "tools/nuncio/root.h"

#include <stdlib.h>
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
    {"reference",       put_reference     },
    {"stats",           put_stats         },
    {"stats-list",      nu_stats_list     },
    {"man-list",        nu_man_list       },
    {"completion.bash", nu_completion_bash},
};

static char *text_of(FILE *in)
{
    char *text = NULL;
    size_t size = 0;
    if (getdelim(&text, &size, 0, in) < 0) {
        free(text);
        text = strdup("");
    }
    nu_assert(text != NULL);
    return text;
}

static enum nu_err put_man_page(const char *name)
{
    char *reference = NULL;
    size_t len = 0;
    FILE *page = open_memstream(&reference, &len);
    nu_assert(page != NULL);
    put_reference(page);
    fclose(page);
    char *cli = text_of(stdin);
    enum nu_err err = nu_man_page(stdout, name, cli, reference);
    free(cli);
    free(reference);
    return err;
}

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
    size_t len = strlen(name);
    if (len > 2 && name[len - 2] == '.' && put_man_page(name) == NU_OK)
        return NU_EXIT_OK;
    return nu_usage_error(args, "no page \"%s\"", name);
}

const struct nu_command nu_command_docs = {
    .name = "docs",
    .summary = "",
    .usage = "docs reference\ndocs stats\ndocs stats-list\ndocs man-list\ndocs NAME.SECTION "
             "<docs/cli.md\ndocs completion.bash",
    .run = run_docs,
};
