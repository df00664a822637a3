/* Pages that change something: all of them take POST. */
#include "tools/nuncio/admin_page.h"

#include "core/log.h"

#include <string.h>

static unsigned run_drain(const struct nu_admin_request *request, FILE *out)
{
    fputs("draining\n", out);
    nu_drain(request->server, false);
    return 200;
}

const struct nu_admin_page nu_page_drain_listeners = {
    .path = "/drain_listeners",
    .params = "",
    .doc = "stop accepting, finish what is in flight, exit",
    .changes = true,
    .run = run_drain,
};

static unsigned run_quit(const struct nu_admin_request *request, FILE *out)
{
    fputs("OK\n", out);
    nu_drain(request->server, true);
    return 200;
}

const struct nu_admin_page nu_page_quit = {
    .path = "/quitquitquit",
    .params = "",
    .doc = "exit now, cutting what is in flight",
    .changes = true,
    .run = run_quit,
};

static unsigned run_logging(const struct nu_admin_request *request, FILE *out)
{
    const char *name = nu_query_get(request->query, "level");
    enum nu_log_level level = NU_LOG_DEBUG;
    while (name && level <= NU_LOG_ERROR && strcmp(nu_log_level_str(level), name) != 0)
        level++;
    if (name && level > NU_LOG_ERROR) {
        fprintf(out, "error: unknown level \"%.32s\": debug, info, warn or error\n", name);
        return 400;
    }
    if (name)
        nu_log_set_level(level);
    fprintf(out, "log level: %s\n", nu_log_level_str(nu_log_get_level()));
    return 200;
}

const struct nu_admin_page nu_page_logging = {
    .path = "/logging",
    .params = "level=LEVEL",
    .doc = "show or set it: debug, info, warn, error",
    .changes = true,
    .run = run_logging,
};

const struct nu_admin_page nu_page_reload = {
    .path = "/reload",
    .params = "",
    .doc = "load the config file anew; answers when it serves, or why not",
    .changes = true,
    .need = NU_ADMIN_RELOAD,
};
