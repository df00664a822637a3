/* Signals as events of the main loop. Each is handed on as a post, because the chain's own timers
 * are looked after at the end of a post. The workers' threads have all of them blocked. */
#include "tools/nuncio/server.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/logfile.h"
#include "core/worker.h"

#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

static void on_hup(struct nu_server *server)
{
    nu_reload(server, NULL);
}

static void on_term(struct nu_server *server)
{
    nu_drain(server, false);
}

/* On a terminal it is Ctrl-C: somebody waits for the prompt. */
static void on_int(struct nu_server *server)
{
    nu_drain(server, isatty(STDIN_FILENO) || isatty(STDERR_FILENO));
}

static void on_usr1(struct nu_server *server)
{
    unsigned failed = nu_logfile_reopen_all();
    nu_log(failed ? NU_LOG_ERROR : NU_LOG_INFO, "log", "reopened failed=%u", failed);
}

/* Elsewhere it replaces the binary; who expects that here must not lose every connection. */
static void on_usr2(struct nu_server *server)
{
    nu_log(NU_LOG_WARN, "server", "replacing the binary by USR2 is not in this version");
}

static struct row {
    int number;
    void (*act)(struct nu_server *server);
    struct event *event;
} rows[] = {
    {SIGHUP,  on_hup,  NULL},
    {SIGTERM, on_term, NULL},
    {SIGINT,  on_int,  NULL},
    {SIGUSR1, on_usr1, NULL},
    {SIGUSR2, on_usr2, NULL},
};
#define ROWS (sizeof rows / sizeof *rows)

static struct nu_server *target;

static void act(struct nu_worker *worker, void *arg)
{
    const struct row *row = arg;
    row->act(target);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    nu_worker_post(nu_worker_main(), act, arg);
}

void nu_signals_start(struct nu_server *server)
{
    target = server;
    for (size_t i = 0; i < ROWS; i++) {
        rows[i].event = evsignal_new(nu_worker_main()->base, rows[i].number, on_signal, &rows[i]);
        nu_assert(rows[i].event && event_add(rows[i].event, NULL) == 0);
    }
}

void nu_signals_stop(void)
{
    for (size_t i = 0; i < ROWS; i++)
        event_free(rows[i].event);
}
