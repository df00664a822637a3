/* `nuncio check`: everything that a start or a reload would validate, and nothing else: no socket
 * is opened, no name resolved, no log made. */
#include "core/worker.h"
#include "l4/cluster.h"
#include "l4/listener.h"
#include "tools/nuncio/command.h"
#include "tools/nuncio/root.h"
#include "tools/nuncio/server.h"

#include <stdbool.h>

enum { OPT_PRINT = 256 };

static enum nu_exit check(const char *path, bool print)
{
    nu_workers_init(1);
    struct nu_generation *gen = nu_load_open(&(struct nu_source){.path = path});
    nu_load_build(gen, NULL);
    enum nu_exit code = nu_conf_failed(gen->conf) ? NU_EXIT_FAILED : NU_EXIT_OK;
    if (code == NU_EXIT_OK && print)
        fputs(nu_root_print(gen->conf, gen->arena), stdout);
    else if (code == NU_EXIT_OK)
        printf("ok: %zu listeners, %zu clusters\n", nu_listeners_count(gen->listeners),
               nu_clusters_count(gen->clusters));
    fputs(nu_conf_report(gen->conf), stderr);
    nu_load_discard(gen, NULL);
    nu_workers_free();
    return code;
}

static enum nu_exit run_check(struct nu_args *args)
{
    const char *path = NULL;
    bool print = false;
    for (int id; (id = nu_args_next(args)) != NU_ARG_END;) {
        if (id == NU_ARG_LEAVE)
            return args->leave;
        if (id == NU_ARG_OPERAND)
            return nu_usage_error(args, "what is \"%s\"? The file is given by -c FILE",
                                  args->value);
        if (id == 'c')
            path = args->value;
        else
            print = true;
    }
    if (!path)
        return nu_usage_error(args, "which file? -c FILE");
    return check(path, print);
}

static const struct nu_option options[] = {
    {"config", "FILE", 'c', "the config file, YAML or JSON"},
    {"print",     NULL, OPT_PRINT,
     "print the normalized config: defaults filled in, one way of writing"},
    {0       }
};

const struct nu_command nu_command_check = {
    .name = "check",
    .summary = "validate a config and show all mistakes in it",
    .usage = "check -c FILE [--print]",
    .help = "Files, certificates, names of clusters and the order of chains are checked, too. Exit "
            "code 1 if\nthere is a mistake; warnings change nothing.\n",
    .options = options,
    .run = run_check,
};
