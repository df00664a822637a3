/* The pages of docs.h. */
#include "tools/tap/docs.h"

#include "core/assert.h"
#include "tools/nuncio/docs_pages.h"
#include "tools/nuncio/mdoc.h"
#include "tools/tap/options.h"

#include <stdlib.h>
#include <string.h>

static void put_man(void)
{
    char *text = NULL;
    size_t size = 0;
    ssize_t len = getdelim(&text, &size, 0, stdin);
    nu_man_head(stdout, tap_command.name, 1, "shows what flows, on the wire and inside TLS");
    nu_man_synopsis(stdout, &tap_command);
    fputs(".Sh DESCRIPTION\n", stdout);
    const char *body = len > 0 ? strstr(text, "\n\n") : NULL;
    if (body)
        nu_mdoc_markdown(stdout, body + 2, (size_t)(text + len - body - 2));
    free(text);
    nu_man_options(stdout, &tap_command);
    nu_man_exit_status(stdout);
    fputs(".Sh SEE ALSO\n.Xr nuncio 1 ,\n.Xr tcpdump 1 ,\n.Xr pcap-filter 7\n", stdout);
}

/* Words behind which a file's name stands, or something that nobody can guess. */
static void put_before_values(bool files)
{
    const char *bar = "";
    for (const struct nu_option *o = tap_command.options; o->name; o++) {
        if (!o->help || !o->value || files != (strcmp(o->value, "FILE") == 0))
            continue;
        printf("%s--%s", bar, o->name);
        bar = " | ";
        if (o->id < 256)
            printf("%s-%c", bar, o->id);
    }
}

static void put_completion(void)
{
    fputs("# bash completion of nuncio-tap, made by the program itself\n"
          "_nuncio_tap() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    COMPREPLY=()\n"
          "    case $before in\n"
          "    ",
          stdout);
    put_before_values(true);
    fputs(")\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
          "        return ;;\n"
          "    --color) mapfile -t COMPREPLY < <(compgen -W \"auto always never\" -- \"$word\"); "
          "return "
          ";;\n"
          "    ",
          stdout);
    put_before_values(false);
    fputs(") return ;;\n"
          "    esac\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"",
          stdout);
    for (const struct nu_option *o = tap_command.options; o->name; o++)
        if (o->help)
            printf("--%s ", o->name);
    fputs("--help\" -- \"$word\")\n"
          "}\n"
          "complete -F _nuncio_tap nuncio-tap\n",
          stdout);
}

bool tap_docs(const char *page)
{
    bool man = strcmp(page, "man") == 0;
    if (man)
        put_man();
    else if (strcmp(page, "completion") == 0)
        put_completion();
    else
        return false;
    return true;
}
