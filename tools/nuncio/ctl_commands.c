/* What `nuncio ctl` knows to ask; see ctl_commands.h. */
#include "tools/nuncio/ctl_commands.h"

#include "core/assert.h"
#include "core/conf/tree.h"
#include "tools/nuncio/admin_client.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct nu_ctl_command table[] = {
    {"stats",       "[REGEX | prometheus]", "figures whose names match",                                            "GET",
     "/stats?filter=",                                                                                                            "/stats"          },
    {"ready",       "",                     "whether it serves, names resolved and endpoints checked; if not, why", "GET",  "",
     "/ready?verbose"                                                                                                                               },
    {"clusters",    "",                     "endpoints and their state",                                            "GET",  "",   "/clusters"       },
    {"listeners",   "",                     "names and bound addresses",                                            "GET",  "",   "/listeners"      },
    {"config_dump", "",                     "the config that serves, with defaults, without secrets",               "GET",  "",
     "/config_dump"                                                                                                                                 },
    {"certs",       "",                     "certificates that are loaded, and when they end (JSON)",               "GET",  "",   "/certs"          },
    {"server_info", "",                     "version, uptime, generation, connections",                             "GET",  "",
     "/server_info?format=text"                                                                                                                     },
    {"memory",      "",                     "what the allocator and the kernel count, in bytes",                    "GET",  "",
     "/memory?format=text"                                                                                                                          },
    {"reload",      "",                     "load the config file anew; answers when it serves, or why not",        "POST", "",
     "/reload"                                                                                                                                      },
    {"drain",       "",                     "stop accepting, finish what is in flight, exit",                       "POST", "",   "/drain_listeners"},
    {"quit",        "",                     "exit now, cutting what is in flight",                                  "POST", "",   "/quitquitquit"   },
    {"healthcheck", "fail | ok",            "fail the health checks of load balancers, or end that",                "POST",
     "/healthcheck/",                                                                                                             NULL              },
    {"log_level",   "[LEVEL]",              "show or set: debug, info, warn, error",                                "POST",
     "/logging?level=",                                                                                                           "/logging"        },
    {"/PATH",       "",                     "any page of the admin: /help lists them",                              "GET",  "",   ""                },
    {"help",        "",                     "this list",                                                            NULL,   NULL, ""                },
};
#define COMMANDS (sizeof table / sizeof *table)

const struct nu_ctl_command *nu_ctl_command_at(size_t i)
{
    return i < COMMANDS ? &table[i] : NULL;
}

void nu_ctl_commands_print(FILE *out)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        char form[64];
        snprintf(form, sizeof form, "%s %s", table[i].name, table[i].args);
        fprintf(out, "  %-28s %s\n", form, table[i].doc);
    }
}

static void unknown(const char *word, char error[static 256])
{
    const char *names[COMMANDS];
    char shown[65] = "";
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = table[i].name;
    for (size_t i = 0; i < sizeof shown - 1 && word[i]; i++)
        shown[i] = (char)(isprint((unsigned char)word[i]) ? word[i] : '?');
    const char *guess = nu_did_you_mean(word, names, COMMANDS);
    if (guess)
        snprintf(error, 256, "unknown command \"%s\": did you mean \"%s\"?", shown, guess);
    else
        snprintf(error, 256, "unknown command \"%s\": \"help\" lists them", shown);
}

/* By a word, or by the slash that paths begin with. */
static const struct nu_ctl_command *find(const char *word)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(table[i].name, word) == 0 || (*table[i].name == '/' && *word == '/'))
            return &table[i];
    return NULL;
}

static bool make_target(const struct nu_ctl_command *c, const char *word, const char *arg,
                        char target[static NU_CTL_TARGET_MAX])
{
    const char *given = arg ? arg : "";
    if (*word == '/')
        return snprintf(target, NU_CTL_TARGET_MAX, "%s", word) < NU_CTL_TARGET_MAX &&
               !target[strcspn(target, " \r\n")];
    if (!arg)
        return snprintf(target, NU_CTL_TARGET_MAX, "%s", c->bare) > 0;
    if (strcmp(word, "stats") == 0 && strcmp(arg, "prometheus") == 0)
        return snprintf(target, NU_CTL_TARGET_MAX, "/stats/prometheus") > 0;
    char *encoded = malloc(3 * strlen(given) + 1);
    nu_assert(encoded != NULL);
    nu_admin_encode(given, encoded);
    int len = snprintf(target, NU_CTL_TARGET_MAX, "%s%s", c->target, encoded);
    free(encoded);
    return len < NU_CTL_TARGET_MAX;
}

const struct nu_ctl_command *nu_ctl_command_find(const char *word, const char *arg,
                                                 char target[static NU_CTL_TARGET_MAX],
                                                 char error[static 256])
{
    const struct nu_ctl_command *c = find(word);
    *target = *error = 0;
    if (!c)
        unknown(word, error);
    else if (arg && !*c->args)
        snprintf(error, 256, "\"%.64s\" takes no argument", word);
    else if (!arg && !c->bare)
        snprintf(error, 256, "\"%s\" needs an argument: %s", c->name, c->args);
    else if (c->target && !make_target(c, word, arg, target))
        snprintf(error, 256, "\"%.64s\" is too long, or no path", word);
    return *error ? NULL : c;
}
