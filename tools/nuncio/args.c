/* Arguments of sub-commands, and of programs that have none: getopt_long behind a table, with
 * guesses for typos; and the help text of that table. Main thread. */
#include "tools/nuncio/command.h"

#include "core/assert.h"
#include "core/conf/tree.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 32 /* of one sub-command, --help included */
#define ID_HELP     'h'

static const struct nu_option help_option = {"help", NULL, ID_HELP, "this text"};

static size_t option_count(const struct nu_command *command)
{
    size_t n = 0;
    while (command->options && command->options[n].name)
        n++;
    return n;
}

/* All options, --help last. */
static const struct nu_option *option_at(const struct nu_command *command, size_t i)
{
    size_t n = option_count(command);
    nu_assert(n + 1 < MAX_OPTIONS);
    return i < n ? &command->options[i] : i == n ? &help_option : NULL;
}

static void put_options(const struct nu_command *command, FILE *out)
{
    const struct nu_option *o;
    for (size_t i = 0; (o = option_at(command, i)); i++) {
        char form[64], letter[8] = "    ";
        if (!o->help)
            continue;
        if (o->id < 256)
            snprintf(letter, sizeof letter, "-%c, ", o->id);
        snprintf(form, sizeof form, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(out, "  %-24s ", form);
        for (const char *c = o->help; *c; c++)
            fprintf(out, *c == '\n' ? "\n%26s%c" : "%s%c", "", *c == '\n' ? ' ' : *c);
        fputc('\n', out);
    }
}

static void put_usage(const struct nu_command *command, FILE *out)
{
    const char *line = command->usage, *head = "usage: ";
    const char *program = command->program ? command->program : "nuncio";
    while (*line) {
        size_t len = strcspn(line, "\n");
        fprintf(out, "%s%s %.*s\n", head, program, (int)len, line);
        head = "       ";
        line += len + (line[len] == '\n');
    }
}

void nu_command_help(const struct nu_command *command, FILE *out)
{
    put_usage(command, out);
    if (*command->summary)
        fprintf(out, "\n%c%s.\n\n", toupper((unsigned char)*command->summary),
                command->summary + 1);
    put_options(command, out);
    if (command->more) {
        fputc('\n', out);
        command->more(out);
    }
    if (command->help)
        fprintf(out, "\n%s", command->help);
}

enum nu_exit nu_usage_error(const struct nu_args *args, const char *fmt, ...)
{
    va_list ap;
    if (args->command->program)
        fprintf(stderr, "%s: ", args->command->program);
    else
        fprintf(stderr, "nuncio %s: ", args->command->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    put_usage(args->command, stderr);
    return NU_EXIT_USAGE;
}

static enum nu_exit unknown(const struct nu_args *args)
{
    const char *word = args->argv[optind - 1], *names[MAX_OPTIONS], *guess = NULL;
    size_t n = 0;
    bool is_long = strncmp(word, "--", 2) == 0;
    if (optopt && is_long)
        return nu_usage_error(args, "option \"%s\" takes no value", word);
    if (!is_long)
        return nu_usage_error(args, "unknown option \"-%c\"", optopt);
    const struct nu_option *o;
    for (size_t i = 0; (o = option_at(args->command, i)); i++)
        if (o->help)
            names[n++] = o->name;
    char *plain = strndup(word + 2, strcspn(word + 2, "="));
    nu_assert(plain != NULL);
    guess = nu_did_you_mean(plain, names, n);
    free(plain);
    if (guess)
        return nu_usage_error(args, "unknown option \"%s\": did you mean \"--%s\"?", word, guess);
    return nu_usage_error(args, "unknown option \"%s\"", word);
}

/* The table in getopt's form. The short form begins with "-:": operands in their place, and a
 * missing value told apart. */
static void to_getopt(const struct nu_command *command, struct option *longs, char *shorts)
{
    const struct nu_option *o;
    size_t i = 0;
    shorts += sprintf(shorts, "-:");
    for (; (o = option_at(command, i)); i++) {
        longs[i] =
            (struct option){o->name, o->value ? required_argument : no_argument, NULL, o->id};
        if (o->id < 256)
            shorts += sprintf(shorts, "%c%s", o->id, o->value ? ":" : "");
    }
    longs[i] = (struct option){0};
}

int nu_args_next(struct nu_args *args)
{
    struct option longs[MAX_OPTIONS];
    char shorts[2 * MAX_OPTIONS + 3];
    to_getopt(args->command, longs, shorts);
    opterr = 0;
    optopt = 0;
    int id = getopt_long(args->argc, args->argv, shorts, longs, NULL);
    args->value = optarg;
    if (id == -1 && optind < args->argc) { /* behind "--" */
        args->value = args->argv[optind++];
        return NU_ARG_OPERAND;
    }
    args->leave = NU_EXIT_OK;
    if (id == ID_HELP)
        nu_command_help(args->command, stdout);
    else if (id == ':')
        args->leave = nu_usage_error(args, "option \"%s\" wants a value", args->argv[optind - 1]);
    else if (id == '?')
        args->leave = unknown(args);
    else
        return id;
    return NU_ARG_LEAVE;
}
