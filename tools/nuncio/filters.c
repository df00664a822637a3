/* `nuncio filters`: what can stand in a chain, from the registry and the filters' own schemas. */
#include "tools/nuncio/filters.h"

#include "core/assert.h"
#include "core/conf/schema.h"
#include "core/registry.h"
#include "tools/nuncio/command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct nu_filter_type *const *)a)->name,
                  (*(const struct nu_filter_type *const *)b)->name);
}

unsigned nu_filters_sorted(const struct nu_filter_type *out[NU_REGISTRY_MAX])
{
    const struct nu_filter_type *type;
    unsigned n = 0;
    for (unsigned i = 0; (type = nu_registry_at(i)); i++)
        if (!(type->flags & (NU_F_INTERNAL | NU_F_TEST)))
            out[n++] = type;
    qsort(out, n, sizeof *out, by_name);
    return n;
}

void nu_filter_faces(const struct nu_filter_type *type, FILE *out)
{
    const char *left = nu_face_str(type->face[0]), *right = nu_face_str(type->face[1]);
    if (type->face[1] == NU_FACE_NONE)
        fprintf(out, "%s; ends a chain", left);
    else if (type->face[0] == type->face[1])
        fprintf(out, "%s", left);
    else
        fprintf(out, "%s on the left, %s on the right", left, right);
}

static enum nu_exit list_all(void)
{
    const struct nu_filter_type *types[NU_REGISTRY_MAX];
    unsigned n = nu_filters_sorted(types);
    for (unsigned i = 0; i < n; i++)
        printf("%-18s %s\n", types[i]->name, types[i]->doc);
    return NU_EXIT_OK;
}

static enum nu_exit unknown(const struct nu_args *args, const char *name)
{
    unsigned count;
    const char *const *names = nu_registry_names(&count);
    const char *guess = nu_did_you_mean(name, names, count);
    if (nu_registry_is_later(name))
        fprintf(stderr, "nuncio filters: \"%s\" is not in this version\n", name);
    else if (guess)
        fprintf(stderr, "nuncio filters: no filter \"%s\": did you mean \"%s\"?\n", name, guess);
    else
        fprintf(stderr, "nuncio filters: no filter \"%s\"; without a name all are listed\n", name);
    return NU_EXIT_FAILED;
}

static enum nu_exit show(const struct nu_args *args, const char *name)
{
    const struct nu_filter_type *type = nu_registry_find(name);
    if (!type || type->flags & (NU_F_INTERNAL | NU_F_TEST))
        return unknown(args, name);
    printf("%s: %s\n\n  faces: ", type->name, type->doc);
    nu_filter_faces(type, stdout);
    printf("\n\n");
    if (type->schema)
        nu_schema_doc_text(type->schema, stdout);
    else
        printf("  It has no options.\n");
    return NU_EXIT_OK;
}

static enum nu_exit run_filters(struct nu_args *args)
{
    const char *name = NULL;
    for (int id; (id = nu_args_next(args)) != NU_ARG_END;) {
        if (id == NU_ARG_LEAVE)
            return args->leave;
        if (name)
            return nu_usage_error(args, "one name at a time");
        name = args->value;
    }
    return name ? show(args, name) : list_all();
}

const struct nu_command nu_command_filters = {
    .name = "filters",
    .summary = "list the filters, or show one with its options",
    .usage = "filters [NAME]",
    .run = run_filters,
};
