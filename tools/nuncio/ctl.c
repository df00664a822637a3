/* `nuncio ctl`: asks the admin of a running process and prints the answer. Blocking; nothing of the
 * proxy runs here. */
#include "tools/nuncio/admin_client.h"
#include "tools/nuncio/command.h"
#include "tools/nuncio/ctl_commands.h"
#include "tools/nuncio/root.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What the command line asked for. */
struct ctl {
    const char *address, *path; /* whom: one of them */
    const char *word, *arg;
    const struct nu_ctl_command *command;
    char target[NU_CTL_TARGET_MAX];
};

static void print(void *ctx, const void *bytes, size_t len)
{
    fwrite(bytes, 1, len, stdout);
}

static enum nu_exit ask(const char *address, const struct ctl *ctl)
{
    struct nu_addr addr;
    char say[NU_ADMIN_SAY_MAX];
    enum nu_err err = nu_admin_address(address, &addr);
    if (err) {
        fprintf(stderr,
                err == NU_ERR_SYNTAX
                    ? "nuncio ctl: %s is not an address: write unix:/path or 127.0.0.1:9901\n"
                    : "nuncio ctl: %s is neither a loopback address nor a UNIX socket\n",
                address);
        return NU_EXIT_USAGE;
    }
    unsigned status = nu_admin_ask(address, ctl->command->method, ctl->target, print, NULL, say);
    if (status == 0)
        fprintf(stderr, "nuncio ctl: %s\n", say);
    return status >= 200 && status < 300 ? NU_EXIT_OK : NU_EXIT_FAILED;
}

static enum nu_exit ask_by_config(const struct ctl *ctl)
{
    char *say, *address = nu_admin_address_of(ctl->path, &say);
    enum nu_exit code = NU_EXIT_FAILED;
    if (address)
        code = ask(address, ctl);
    else
        fprintf(stderr, "nuncio ctl: %s", say);
    free(address);
    free(say);
    return code;
}

static enum nu_exit find_command(struct nu_args *args, struct ctl *ctl)
{
    char error[256];
    if (!ctl->word)
        return nu_usage_error(args, "which command? \"help\" lists them");
    ctl->command = nu_ctl_command_find(ctl->word, ctl->arg, ctl->target, error);
    if (!ctl->command)
        return nu_usage_error(args, "%s", error);
    if (ctl->command->method && !ctl->address == !ctl->path)
        return nu_usage_error(args, "whom to ask? Either -c FILE or -s ADDRESS");
    return NU_EXIT_OK;
}

static enum nu_exit take_word(struct nu_args *args, struct ctl *ctl)
{
    if (ctl->arg)
        return nu_usage_error(args, "what is \"%s\"? A command has one argument at most",
                              args->value);
    *(ctl->word ? &ctl->arg : &ctl->word) = args->value;
    return NU_EXIT_OK;
}

static enum nu_exit run_ctl(struct nu_args *args)
{
    struct ctl ctl = {0};
    for (int id; (id = nu_args_next(args)) != NU_ARG_END;) {
        if (id == NU_ARG_LEAVE)
            return args->leave;
        if (id == 's')
            ctl.address = args->value;
        else if (id == 'c')
            ctl.path = args->value;
        else if (take_word(args, &ctl) != NU_EXIT_OK)
            return NU_EXIT_USAGE;
    }
    enum nu_exit code = find_command(args, &ctl);
    if (code != NU_EXIT_OK || !ctl.command)
        return code;
    if (!ctl.command->method) {
        nu_ctl_commands_print(stdout);
        return NU_EXIT_OK;
    }
    return ctl.address ? ask(ctl.address, &ctl) : ask_by_config(&ctl);
}

static const struct nu_option options[] = {
    {"config", "FILE", 'c', "the config of the running one: its key `admin` says where"},
    {"socket",     "ADDRESS", 's', "where its admin listens: unix:/path or 127.0.0.1:9901"},
    {0       }
};

const struct nu_command nu_command_ctl = {
    .name = "ctl",
    .summary = "ask or command a running nuncio",
    .usage = "ctl -c FILE COMMAND [ARGUMENT]\nctl -s ADDRESS COMMAND [ARGUMENT]",
    .more = nu_ctl_commands_print,
    .help = "Exit code 1 when the answer is no: a reload that failed, not ready, an unknown "
            "command.\n",
    .options = options,
    .run = run_ctl,
};
