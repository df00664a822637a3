/* The admin socket's filter: splits what comes into lines, has each command run, sends its answer.
 *
 * Faces: bytes on the left, the chain's end. Sees DATA and END FWD. Stores a line (capped) and the
 * input behind it while a command waits for its outcome or the client does not read; it holds FWD
 * meanwhile, released by the outcome or by flow(). END flushes nothing: it is answered by END.
 * close cancels the wait. */
#include "tools/nuncio/admin.h"

#include "core/assert.h"
#include "core/chain.h"
#include "core/worker.h"
#include "l4/listener.h"
#include "tools/nuncio/root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct nu_admin {
    struct nu_internal_listener *listener;
    char *address;
    struct nu_place place;
    struct nu_server *server;
};

struct session {
    struct nu_filter f;
    struct nu_server *server;
    struct nu_waiter waiter;
    const struct nu_admin_command *waiting; /* the command that waits; NULL: none */
    const char *args;                       /* its arguments, in `line` */
    struct nu_slice rest;                   /* input not looked at yet */
    size_t len;                             /* of the line so far; beyond the cap only counted */
    char line[NU_ADMIN_LINE_MAX + 1];
    char *answer; /* of the outcome that a waiter was told, on its way into the chain */
};

static struct nu_admin *leaving; /* replaced, but somebody on it waits for the reload's outcome */

static struct session *self(struct nu_filter *f)
{
    return (struct session *)f;
}

/* --- answers --- */

/* An empty line ends an answer, so there is none inside it; returns the new length. */
static size_t squeeze(char *text, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++)
        if (text[i] != '\n' || (to && text[to - 1] != '\n'))
            text[to++] = text[i];
    return to;
}

static void send_answer(struct session *s, char *text, size_t len)
{
    struct nu_block_pool *pool = nu_filter_loop(&s->f)->blocks;
    len = squeeze(text, len);
    if (len)
        nu_forward_data(&s->f, NU_REV, nu_slice_copy(pool, text, len));
    const char *end = len && text[len - 1] != '\n' ? "\n\n" : "\n";
    nu_forward_data(&s->f, NU_REV, nu_slice_copy(pool, end, strlen(end)));
}

static void run(struct session *s, const struct nu_admin_command *command, uint64_t connections)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    nu_assert(out != NULL);
    command->run(&(struct nu_admin_request){s->server, s->args, connections, out});
    nu_assert(fclose(out) == 0);
    send_answer(s, text, len);
    free(text);
}

/* --- commands --- */

static void work(struct session *s);

static void resume(struct nu_filter *f)
{
    struct session *s = self(f);
    const struct nu_admin_command *command = s->waiting;
    s->waiting = NULL;
    if (command->need == NU_ADMIN_CENSUS)
        run(s, command, strtoull(s->answer, NULL, 10));
    else
        send_answer(s, s->answer, strlen(s->answer));
    free(s->answer);
    s->answer = NULL;
    work(s);
}

static void told(struct nu_waiter *waiter, bool ok, const char *text)
{
    struct session *s = nu_container(waiter, struct session, waiter);
    nu_assert(!s->answer && asprintf(&s->answer, "%s%s", ok ? "" : NU_ADMIN_ERROR, text) >= 0);
    nu_call(&s->f, resume);
}

static void wait_for(struct session *s, const struct nu_admin_command *command)
{
    s->waiting = command;
    if (command->need == NU_ADMIN_CENSUS)
        nu_census(&s->waiter);
    else
        nu_reload(s->server, &s->waiter);
}

/* A web page could have a browser post commands to a loopback port: the first line of its request,
 * a method in capitals, ends the connection. */
static bool is_http(const char *line)
{
    size_t capitals = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return capitals && line[capitals] == ' ';
}

static void refuse(struct session *s, const char *error)
{
    char text[128];
    int len = snprintf(text, sizeof text, NU_ADMIN_ERROR "%s\n", error);
    send_answer(s, text, (size_t)len);
}

static void obey(struct session *s)
{
    char error[256] = "";
    FILE *out = fmemopen(error, sizeof error, "w");
    nu_assert(out != NULL);
    const struct nu_admin_command *command = nu_admin_find(s->line, &s->args, out);
    fclose(out);
    if (!command)
        send_answer(s, error, strlen(error));
    else if (command->need == NU_ADMIN_NOTHING)
        run(s, command, 0);
    else
        wait_for(s, command);
}

static void end_of_line(struct session *s)
{
    size_t len = s->len < NU_ADMIN_LINE_MAX ? s->len : NU_ADMIN_LINE_MAX;
    bool whole = s->len <= NU_ADMIN_LINE_MAX;
    s->len = 0;
    while (len && strchr(" \t\r", s->line[len - 1]))
        len--;
    s->line[len] = 0;
    if (is_http(s->line))
        nu_fail(&s->f, NU_CAUSE_FILTER, NU_SIDE_CLIENT, "HTTP on the admin socket");
    else if (!whole)
        refuse(s, "a line longer than 4096 bytes");
    else if (len)
        obey(s);
}

static void take_line(struct session *s)
{
    const uint8_t *end = memchr(s->rest.data, '\n', s->rest.len);
    size_t n = end ? (size_t)(end - s->rest.data) : s->rest.len;
    size_t room = s->len < NU_ADMIN_LINE_MAX ? NU_ADMIN_LINE_MAX - s->len : 0;
    memcpy(s->line + s->len, s->rest.data, n < room ? n : room);
    s->len = n > room ? NU_ADMIN_LINE_MAX + 1 : s->len + n;
    struct nu_slice done = nu_slice_split(&s->rest, n + (end != NULL));
    nu_slice_drop(&done);
    if (end)
        end_of_line(s);
}

/* Goes on with the input until it is used up, a command waits, or the client does not read. */
static void work(struct session *s)
{
    while (s->rest.len && !s->waiting && !nu_blocked(&s->f, NU_REV) && !nu_chain_ended(s->f.chain))
        take_line(s);
    if (s->rest.len || s->waiting) {
        nu_hold(&s->f, NU_FWD);
        return;
    }
    nu_slice_drop(&s->rest);
    nu_release(&s->f, NU_FWD);
}

/* --- the filter --- */

static enum nu_open admin_open(struct nu_filter *f, const void *conf)
{
    const struct nu_admin *admin = conf;
    self(f)->server = admin->server;
    self(f)->waiter.told = told;
    return NU_OPEN;
}

static void admin_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct session *s = self(f);
    if (ev->kind == NU_END) {
        nu_forward_end(f, NU_REV, ev->u.end);
        nu_done(f, NU_FWD);
        return;
    }
    s->rest = ev->u.data;
    work(s);
}

static void admin_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (dir == NU_REV && go)
        work(self(f));
}

static void admin_close(struct nu_filter *f)
{
    nu_waiter_cancel(&self(f)->waiter);
    nu_slice_drop(&self(f)->rest);
    free(self(f)->answer);
}

static const struct nu_filter_type admin_type = {
    .name = "admin",
    .doc = "Answers commands, one a line.",
    .size = sizeof(struct session),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_NONE),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), 0},
    .open = admin_open,
    .event = admin_event,
    .flow = admin_flow,
    .close = admin_close,
};

/* --- the listener --- */

static void report(struct nu_generation *gen, enum nu_err err, int error)
{
    const struct nu_node *node = nu_node_get(nu_conf_root(gen->conf), "admin");
    nu_conf_error(gen->conf, node, "cannot listen on %s: %s", gen->admin,
                  err == NU_ERR_SYSTEM ? strerror(error) : nu_err_str(err));
}

/* Only the owner may connect to a UNIX socket: whoever can may command. */
static enum nu_err listen_on(struct nu_admin *admin, const char *address)
{
    struct nu_addr addr;
    enum nu_err err = nu_admin_address(address, &addr);
    nu_assert(err == NU_OK); /* it was checked with the config */
    mode_t mask = umask(0177);
    admin->listener =
        nu_listener_internal(nu_worker_main(), "admin", &addr, &admin->place, 1, &err);
    umask(mask);
    return admin->listener ? NU_OK : err;
}

static void admin_free(struct nu_admin *admin)
{
    if (!admin)
        return;
    if (admin->listener)
        nu_listener_internal_close(admin->listener);
    free(admin->address);
    free(admin);
}

enum nu_err nu_admin_change(struct nu_server *server, struct nu_generation *gen,
                            struct nu_admin **out)
{
    *out = NULL;
    if (!gen->admin)
        return NU_OK;
    if (server->admin && strcmp(server->admin->address, gen->admin) == 0) {
        *out = server->admin;
        return NU_OK;
    }
    struct nu_admin *admin = calloc(1, sizeof *admin);
    nu_assert(admin != NULL);
    admin->server = server;
    admin->place = (struct nu_place){&admin_type, admin};
    admin->address = strdup(gen->admin);
    nu_assert(admin->address != NULL);
    enum nu_err err = listen_on(admin, admin->address);
    if (err) {
        report(gen, err, errno);
        admin_free(admin);
        return NU_ERR_CONFIG;
    }
    *out = admin;
    return NU_OK;
}

void nu_admin_change_done(struct nu_server *server, struct nu_admin *admin)
{
    if (admin == server->admin)
        return;
    leaving = server->admin;
    server->admin = admin;
}

static void leave(struct nu_worker *worker, void *arg)
{
    admin_free(arg);
}

void nu_admin_change_told(void)
{
    if (leaving)
        nu_worker_post(nu_worker_main(), leave, leaving);
    leaving = NULL;
}

void nu_admin_change_undo(struct nu_server *server, struct nu_admin *admin)
{
    if (admin != server->admin)
        admin_free(admin);
}

void nu_admin_end(struct nu_server *server)
{
    admin_free(server->admin);
    server->admin = NULL;
}
