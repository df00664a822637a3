/* Completion for bash, from the same tables as --help: commands, their options, files behind
 * options that take one, filters, and what `ctl` can be told. It needs nothing but bash itself. */
#include "tools/nuncio/command.h"
#include "tools/nuncio/ctl_commands.h"
#include "tools/nuncio/docs_pages.h"
#include "tools/nuncio/filters.h"

#include <stdbool.h>
#include <string.h>

static void put_commands(FILE *out)
{
    const struct nu_command *command;
    for (size_t i = 0; (command = nu_command_at(i)); i++)
        if (*command->summary)
            fprintf(out, "%s ", command->name);
}

/* "run/-c | run/--config": the words behind which a value of that kind stands. */
static void put_before_values(FILE *out, bool files)
{
    const struct nu_command *command;
    const char *bar = "";
    for (size_t i = 0; (command = nu_command_at(i)); i++)
        for (const struct nu_option *o = command->options; o && o->name; o++) {
            if (!o->help || !o->value || files != (strcmp(o->value, "FILE") == 0))
                continue;
            fprintf(out, "%s%s/--%s", bar, command->name, o->name);
            bar = " | ";
            if (o->id < 256)
                fprintf(out, "%s%s/-%c", bar, command->name, o->id);
        }
}

static void put_words(FILE *out, const struct nu_command *command)
{
    const struct nu_filter_type *types[NU_REGISTRY_MAX];
    const struct nu_ctl_command *ctl;
    for (const struct nu_option *o = command->options; o && o->name; o++)
        if (o->help)
            fprintf(out, "--%s ", o->name);
    fputs("--help", out);
    for (size_t i = 0; command == &nu_command_ctl && (ctl = nu_ctl_command_at(i)); i++)
        if (*ctl->name != '/')
            fprintf(out, " %s", ctl->name);
    unsigned count = command == &nu_command_filters ? nu_filters_sorted(types) : 0;
    for (unsigned i = 0; i < count; i++)
        fprintf(out, " %s", types[i]->name);
}

static void put_cases(FILE *out)
{
    const struct nu_command *command;
    for (size_t i = 0; (command = nu_command_at(i)); i++) {
        if (!*command->summary)
            continue;
        fprintf(out, "        %s) words=\"", command->name);
        put_words(out, command);
        fputs("\" ;;\n", out);
    }
}

void nu_completion_bash(FILE *out)
{
    fputs("# bash completion for nuncio; made from its tables of commands.\n"
          "_nuncio() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local command=${COMP_WORDS[1]} words=\"\"\n"
          "    COMPREPLY=()\n"
          "    if ((COMP_CWORD == 1)); then\n"
          "        words=\"",
          out);
    put_commands(out);
    fputs("--help --version\"\n"
          "    else\n"
          "        case $command/$before in\n"
          "        ",
          out);
    put_before_values(out, true);
    fputs(")\n"
          "            compopt -o filenames 2>/dev/null\n"
          "            mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
          "            return ;;\n"
          "        ",
          out);
    put_before_values(out, false);
    fputs(") return ;;\n"
          "        esac\n"
          "        case $command in\n",
          out);
    put_cases(out);
    fputs("        esac\n"
          "    fi\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
          "}\n"
          "complete -F _nuncio nuncio\n",
          out);
}
