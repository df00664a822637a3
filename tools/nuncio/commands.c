/* The table of sub-commands, in the order of the help text. */
#include "tools/nuncio/command.h"

#include <string.h>

static const struct nu_command *const commands[] = {
    &nu_command_run, &nu_command_check, &nu_command_filters, &nu_command_explain,
    &nu_command_ctl, &nu_command_top,   &nu_command_docs,
};
#define COMMANDS (sizeof commands / sizeof *commands)

const struct nu_command *nu_command_at(size_t i)
{
    return i < COMMANDS ? commands[i] : NULL;
}

const struct nu_command *nu_command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}
