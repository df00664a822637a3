/* Man pages: nuncio(1), one for each command, nuncio.yaml(5). What a command does is told by its
 * section of docs/cli.md, its options by its table, every key by the schemas. */
#include "tools/nuncio/command.h"
#include "tools/nuncio/docs_pages.h"
#include "tools/nuncio/mdoc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 64 /* of a page: "nuncio-COMMAND.1" */
#define MAX_COMMANDS   32
#define CONFIG_PAGE    "nuncio.yaml"

/* --- the parts that all pages have --- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The other pages, those of a section by the alphabet. */
static void put_see_also(FILE *out, const char *self)
{
    const struct nu_command *command;
    const char *names[MAX_COMMANDS] = {0};
    size_t count = 0;
    for (size_t i = 0; (command = nu_command_at(i)) && count < MAX_COMMANDS; i++)
        if (*command->summary && strcmp(command->name, self) != 0)
            names[count++] = command->name;
    qsort(names, count, sizeof *names, by_text);
    fputs(".Sh SEE ALSO\n", out);
    if (*self)
        fputs(".Xr nuncio 1 ,\n", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, ".Xr nuncio-%s 1 ,\n", names[i]);
    fputs(".Xr " CONFIG_PAGE " 5\n", out);
}

/* --- sections of docs/cli.md --- */

/* The next heading of two marks from `text` on, or its end. */
static const char *next_heading(const char *text)
{
    const char *at = strncmp(text, "## ", 3) == 0 ? text : strstr(text, "\n## ");
    if (!at)
        return text + strlen(text);
    return at == text && *at == '#' ? at : at + 1;
}

static bool is_headed(const char *section, const char *name)
{
    size_t len = strlen(name);
    return strncmp(section + 3, name, len) == 0 && section[3 + len] == '\n';
}

/* What stands below the heading, without it. NULL: there is none of that name. */
static const char *section_of(const char *cli, const char *name, size_t *len)
{
    for (const char *at = next_heading(cli); *at;) {
        const char *body = strchr(at, '\n'), *end = body ? next_heading(body) : at + strlen(at);
        if (body && is_headed(at, name)) {
            *len = (size_t)(end - body);
            return body;
        }
        at = end;
    }
    return NULL;
}

/* Behind the section's usage lines, which the synopsis has already. */
static const char *behind_usage(const char *body, const char *end)
{
    const char *at = body + strspn(body, "\n");
    while (at < end && (strncmp(at, "    ", 4) == 0 || *at == '\n'))
        at += strcspn(at, "\n") + 1;
    return at < end ? at : body;
}

/* Sections that are no command's: signals, files, and so on. */
static void put_common_sections(FILE *out, const char *cli)
{
    char name[NAME_MAX_BYTES];
    for (const char *at = next_heading(cli); *at;) {
        const char *body = at + strcspn(at, "\n"), *end = next_heading(body);
        snprintf(name, sizeof name, "%.*s", (int)(body - at - 3), at + 3);
        if (!nu_command_find(name))
            nu_mdoc_markdown(out, at, (size_t)(end - at));
        at = end;
    }
}

/* --- nuncio(1) --- */

static void put_main(FILE *out, const char *cli)
{
    const struct nu_command *command;
    nu_man_head(out, "nuncio", 1, "a proxy made of one chain of filters");
    fputs(".Sh SYNOPSIS\n.Nm\n.Ar COMMAND\n.Op Ar OPTIONS\n.Nm\n.Fl \\-help | Fl \\-version\n"
          ".Sh DESCRIPTION\n.Nm\n"
          "carries TCP, UDP and TLS from listeners to servers through chains of filters, as a\n"
          "config file says; see\n.Xr " CONFIG_PAGE " 5 .\nEverything is done by its commands:\n"
          ".Bl -tag -width Ds\n",
          out);
    for (size_t i = 0; (command = nu_command_at(i)); i++) {
        if (!*command->summary)
            continue;
        fprintf(out, ".It Xr nuncio-%s 1\n", command->name);
        nu_mdoc_plain(out, command->summary, strlen(command->summary));
        fputc('\n', out);
    }
    fputs(".El\n", out);
    put_common_sections(out, cli);
    nu_man_exit_status(out);
    put_see_also(out, "");
}

/* --- nuncio-COMMAND(1) --- */

static void put_command(FILE *out, const struct nu_command *command, const char *cli)
{
    char name[NAME_MAX_BYTES];
    size_t len;
    const char *body = section_of(cli, command->name, &len);
    snprintf(name, sizeof name, "nuncio-%s", command->name);
    nu_man_head(out, name, 1, command->summary);
    nu_man_synopsis(out, command);
    fputs(".Sh DESCRIPTION\n", out);
    if (body) {
        const char *words = behind_usage(body, body + len);
        nu_mdoc_markdown(out, words, (size_t)(body + len - words));
    } else
        fprintf(out, "See\n.Nm nuncio\n%s \\-\\-help.\n", command->name);
    nu_man_options(out, command);
    nu_man_exit_status(out);
    put_see_also(out, command->name);
}

/* --- nuncio.yaml(5) --- */

static void put_config(FILE *out, const char *reference)
{
    nu_man_head(out, CONFIG_PAGE, 5, "config files of nuncio");
    fputs(".Sh DESCRIPTION\nWhat\n.Xr nuncio-run 1\nreads.\nA small one:\n"
          ".Bd -literal -offset indent\n"
          "listeners:\n"
          "  \\- bind: 0.0.0.0:8443\n"
          "    filters: [{tcp_proxy: {cluster: web}}]\n"
          "clusters:\n"
          "  \\- {name: web, endpoints: [\"10.0.0.1:443\", \"10.0.0.2:443\"]}\n"
          ".Ed\n",
          out);
    const char *body = next_heading(reference);
    nu_mdoc_markdown(out, body, strlen(body));
    fputs(".Sh SEE ALSO\n.Xr nuncio 1 ,\n.Xr nuncio-check 1 ,\n.Xr nuncio-run 1\n", out);
}

/* --- the doors --- */

void nu_man_list(FILE *out)
{
    const struct nu_command *command;
    fputs("nuncio.1\n", out);
    for (size_t i = 0; (command = nu_command_at(i)); i++)
        if (*command->summary)
            fprintf(out, "nuncio-%s.1\n", command->name);
    fputs(CONFIG_PAGE ".5\n", out);
}

enum nu_err nu_man_page(FILE *out, const char *name, const char *cli, const char *reference)
{
    char file[NAME_MAX_BYTES];
    const struct nu_command *command;
    if (strcmp(name, "nuncio.1") == 0) {
        put_main(out, cli);
        return NU_OK;
    }
    if (strcmp(name, CONFIG_PAGE ".5") == 0) {
        put_config(out, reference);
        return NU_OK;
    }
    for (size_t i = 0; (command = nu_command_at(i)); i++) {
        snprintf(file, sizeof file, "nuncio-%s.1", command->name);
        if (*command->summary && strcmp(file, name) == 0) {
            put_command(out, command, cli);
            return NU_OK;
        }
    }
    return NU_ERR_SYNTAX;
}
