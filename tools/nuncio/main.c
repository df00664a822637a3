/* The entrance: finds the sub-command and hands it its arguments. Nothing else happens here. */
#include "core/conf/tree.h"
#include "tools/nuncio/command.h"
#include "tools/nuncio/register.h"

#include <errno.h>
#include <string.h>

#ifdef NU_PARANOID
void nu_paranoid_install(void); /* of the test filters, linked into test builds only */
#endif

#define MAX_COMMANDS 32 /* names that a guess chooses from */

static const char intro[] = "usage: nuncio COMMAND [OPTIONS]\n"
                            "\n"
                            "A proxy made of one chain of filters, from socket to socket.\n"
                            "\n";
static const char outro[] =
    "\n"
    "  nuncio COMMAND --help      options of a command, with examples\n"
    "  nuncio --version           version, and those of the libraries\n"
    "\n"
    "To begin with:  nuncio run --from 127.0.0.1:8080 --to tcp://127.0.0.1:9000\n"
    "\n"
    "Exit codes: 0 fine, 1 the config or the run failed, 2 wrong usage.\n";

/* Commands without a summary are the project's own and not listed. */
static void put_help(FILE *out)
{
    fputs(intro, out);
    const struct nu_command *command;
    for (size_t i = 0; (command = nu_command_at(i)); i++)
        if (*command->summary)
            fprintf(out, "  %-8s %s\n", command->name, command->summary);
    fputs(outro, out);
}

static enum nu_exit unknown(const char *name)
{
    const char *names[MAX_COMMANDS];
    size_t count = 0;
    for (; count < MAX_COMMANDS && nu_command_at(count); count++)
        names[count] = nu_command_at(count)->name;
    const char *guess = nu_did_you_mean(name, names, count);
    fprintf(stderr, "nuncio: unknown command \"%s\"", name);
    fprintf(stderr, guess ? ": did you mean \"%s\"?\n" : "\n", guess);
    fputs("\"nuncio --help\" lists the commands.\n", stderr);
    return NU_EXIT_USAGE;
}

/* Output that nobody could take is a failure, too. */
static enum nu_exit flushed(enum nu_exit code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "nuncio: cannot write to the standard output: %s\n", strerror(errno));
    return code ? code : NU_EXIT_FAILED;
}

static enum nu_exit run(const struct nu_command *command, int argc, char **argv)
{
    struct nu_args args = {.command = command, .argc = argc, .argv = argv};
    nu_register_all();
#ifdef NU_PARANOID
    nu_paranoid_install();
#endif
    return flushed(command->run(&args));
}

static enum nu_exit help(const char *name)
{
    const struct nu_command *command = name ? nu_command_find(name) : NULL;
    if (name && !command)
        return unknown(name);
    if (command)
        nu_command_help(command, stdout);
    else
        put_help(stdout);
    return NU_EXIT_OK;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        put_help(stderr);
        return NU_EXIT_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        nu_version_print(stdout);
        return NU_EXIT_OK;
    }
    const struct nu_command *command = nu_command_find(word);
    return command ? run(command, argc - 1, argv + 1) : unknown(word);
}
