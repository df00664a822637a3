/* `nuncio ctl`: sends one command to the admin socket of a running process and prints the answer.
 * Blocking; nothing of the proxy runs here. */
#include "tools/nuncio/admin.h"
#include "tools/nuncio/command.h"
#include "tools/nuncio/root.h"

#include "core/assert.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ctl {
    const char *address, *path;
    char line[NU_ADMIN_LINE_MAX];
};

static enum nu_exit fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static enum nu_exit fail(const char *fmt, ...)
{
    va_list ap;
    fputs("nuncio ctl: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return NU_EXIT_FAILED;
}

static int connect_to(const struct nu_addr *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(addr, &ss);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool says_no(const char *line)
{
    return strncmp(line, NU_ADMIN_ERROR, strlen(NU_ADMIN_ERROR)) == 0 ||
           strncmp(line, NU_ADMIN_NOT_READY, strlen(NU_ADMIN_NOT_READY)) == 0;
}

/* Prints the answer up to the empty line that ends it. */
static enum nu_exit print_answer(FILE *in)
{
    char *line = NULL;
    size_t size = 0;
    enum nu_exit code = NU_EXIT_OK;
    bool first = true, ended = false;
    while (!ended && getline(&line, &size, in) > 0) {
        ended = strcmp(line, "\n") == 0;
        if (first && says_no(line))
            code = NU_EXIT_FAILED;
        if (!ended)
            fputs(line, stdout);
        first = false;
    }
    free(line);
    if (ended)
        return code;
    return fail("the connection was closed before the answer's end");
}

static enum nu_exit converse(const char *address, const struct nu_addr *addr, const char *command)
{
    int fd = connect_to(addr);
    if (fd < 0)
        return fail("cannot connect to %s: %s. Is nuncio running there?", address, strerror(errno));
    FILE *io = fdopen(fd, "r+");
    nu_assert(io != NULL);
    enum nu_exit code = NU_EXIT_FAILED;
    if (fprintf(io, "%s\n", command) > 0 && fflush(io) == 0)
        code = print_answer(io);
    else
        fail("cannot write to %s: %s", address, strerror(errno));
    fclose(io);
    return code;
}

static enum nu_exit ask(const char *address, const char *command)
{
    struct nu_addr addr;
    enum nu_err err = nu_admin_address(address, &addr);
    if (err) {
        fail(err == NU_ERR_SYNTAX ? "%s is not an address: write unix:/path or 127.0.0.1:9901"
                                  : "%s is neither a loopback address nor a UNIX socket",
             address);
        return NU_EXIT_USAGE;
    }
    return converse(address, &addr, command);
}

/* The address that the config's key `admin` names; nothing else in the file matters here. */
static enum nu_exit ask_by_config(const char *path, const char *command)
{
    struct nu_conf *conf = nu_conf_load(path);
    struct nu_arena *arena = nu_arena_new(1024);
    const char *address;
    enum nu_exit code = NU_EXIT_FAILED;
    if (nu_root_admin(conf, arena, &address) != NU_OK)
        fputs(nu_conf_report(conf), stderr);
    else if (!address)
        fail("%s has no admin address: add the line \"admin: on\"", path);
    else
        code = ask(address, command);
    nu_arena_free(arena);
    nu_conf_free(conf);
    return code;
}

static enum nu_exit add_word(struct nu_args *args, struct ctl *ctl, const char *word)
{
    size_t len = strlen(ctl->line);
    int n = snprintf(ctl->line + len, sizeof ctl->line - len, "%s%s", len ? " " : "", word);
    if ((size_t)n >= sizeof ctl->line - len || strpbrk(word, "\r\n"))
        return nu_usage_error(args, "not a command: too long, or of several lines");
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
        else if (add_word(args, &ctl, args->value) != NU_EXIT_OK)
            return NU_EXIT_USAGE;
    }
    if (!*ctl.line)
        return nu_usage_error(args, "which command? \"help\" lists them");
    if (!ctl.address == !ctl.path)
        return nu_usage_error(args, "whom to ask? Either -c FILE or -s ADDRESS");
    return ctl.address ? ask(ctl.address, ctl.line) : ask_by_config(ctl.path, ctl.line);
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
    .more = nu_admin_help,
    .help = "Exit code 1 when the answer is no: a reload that failed, not ready, an unknown "
            "command.\n",
    .options = options,
    .run = run_ctl,
};
