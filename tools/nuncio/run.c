/* `nuncio run`: sets up the process, brings up the first generation, runs the main loop until the
 * last connection is gone, takes everything down. */
#include "tools/nuncio/admin.h"
#include "tools/nuncio/command.h"
#include "tools/nuncio/history.h"
#include "tools/nuncio/notify.h"
#include "tools/nuncio/process.h"
#include "tools/nuncio/quick.h"
#include "tools/nuncio/root.h"
#include "tools/nuncio/server.h"
#include "tools/nuncio/statsd.h"

#include "core/log.h"
#include "core/logfile.h"
#include "core/worker.h"
#include "l4/inherited.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { OPT_FROM = 256, OPT_TO, OPT_EMIT, OPT_TLS_CERT, OPT_TLS_KEY, OPT_TLS_CA };

unsigned nu_worker_wish(int64_t workers)
{
    cpu_set_t *set = CPU_ALLOC(CPU_SETSIZE * 8);
    size_t size = CPU_ALLOC_SIZE(CPU_SETSIZE * 8);
    int cpus = 1;
    if (workers == 0 && set && sched_getaffinity(0, size, set) == 0)
        cpus = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    if (workers == 0)
        workers = cpus < NU_MAX_WORKERS ? cpus : NU_MAX_WORKERS;
    return (unsigned)workers;
}

static void prepare_process(void)
{
    struct rlimit files;
    nu_inherited_init();
    nu_notify_init();
    signal(SIGPIPE, SIG_IGN); /* told by write's error instead */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Threads inherit the mask: signals are the main thread's, but for the sandbox's, which is sent to
 * the thread that made the call. */
static void start_workers(void)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    nu_workers_start();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void tell_unused(const char *name, const struct nu_addr *addr, void *ctx)
{
    char text[NU_ADDR_TEXT_MAX];
    nu_log(NU_LOG_WARN, "server", "a passed socket is used by no listener name=%s address=%s", name,
           addr ? nu_addr_str(addr, text) : "-");
}

static enum nu_exit refuse(struct nu_generation *gen)
{
    fputs(nu_conf_report(gen->conf), stderr);
    nu_load_discard(gen, NULL);
    return NU_EXIT_FAILED;
}

static void run_to_the_end(struct nu_server *server)
{
    nu_signals_start(server);
    start_workers();
    nu_process_confine_main();
    nu_notify_watch();
    nu_worker_run(nu_worker_main());
    nu_notify_unwatch();
    nu_workers_join();
    nu_signals_stop();
}

static enum nu_exit serve(const struct nu_source *source)
{
    struct nu_server server = {.state = NU_SERVER_STARTING, .source = *source};
    enum nu_exit code = NU_EXIT_OK;
    prepare_process();
    struct nu_generation *gen = nu_load_open(source);
    nu_process_become(gen, source->path);
    unsigned workers = nu_worker_wish(gen->workers);
    nu_workers_init(workers);
    nu_logfiles_init(workers + 1);
    nu_history_begin();
    server.stats = nu_stats_get(&nu_server_stats, "server");
    server.started_ms = nu_worker_main()->loop.now_ms;
    nu_load_build(gen, NULL);
    nu_process_confine_workers();
    if (nu_reload_first(&server, gen) == NU_OK) {
        nu_process_settle(gen);
        nu_inherited_unused(tell_unused, NULL);
        run_to_the_end(&server);
    } else {
        code = refuse(gen);
    }
    nu_sinks_end();
    nu_history_end();
    nu_admin_end(&server);
    nu_workers_free();
    nu_admin_free();
    nu_stats_put(server.stats);
    nu_notify_free();
    nu_inherited_free();
    return code;
}

static enum nu_exit serve_quick(struct nu_quick *quick, bool emit)
{
    const char *text = nu_quick_config(quick);
    if (!text)
        return NU_EXIT_USAGE;
    if (!emit)
        return serve(&(struct nu_source){.text = text});
    fputs(text, stdout);
    return NU_EXIT_OK;
}

/* What the command line asked for. */
struct wish {
    const char *path;
    struct nu_quick *quick;
    bool emit, files;
};

/* NU_EXIT_OK: go on. */
static enum nu_exit take_option(struct nu_args *args, int id, struct wish *wish)
{
    switch (id) {
    case NU_ARG_LEAVE:
        return args->leave;
    case NU_ARG_OPERAND:
        return nu_usage_error(args, "what is \"%s\"? A file is given by -c FILE", args->value);
    case 'c':
        wish->path = args->value;
        return NU_EXIT_OK;
    case OPT_FROM:
        return nu_quick_from(wish->quick, args->value) ? NU_EXIT_OK : NU_EXIT_USAGE;
    case OPT_TO:
        return nu_quick_to(wish->quick, args->value) ? NU_EXIT_OK : NU_EXIT_USAGE;
    case OPT_EMIT:
        wish->emit = true;
        return NU_EXIT_OK;
    default: {
        enum nu_quick_file file = (enum nu_quick_file)(NU_QUICK_CERT + id - OPT_TLS_CERT);
        wish->files = true;
        return nu_quick_tls(wish->quick, file, args->value) ? NU_EXIT_OK : NU_EXIT_USAGE;
    }
    }
}

static enum nu_exit fulfil(const struct nu_args *args, const struct wish *wish)
{
    bool quick = nu_quick_used(wish->quick);
    if (wish->path && (quick || wish->emit || wish->files))
        return nu_usage_error(args, "either -c FILE, or --from, --to and what belongs to them");
    if (wish->path)
        return serve(&(struct nu_source){.path = wish->path});
    if (quick)
        return serve_quick(wish->quick, wish->emit);
    return nu_usage_error(args, "which config? -c FILE, or --from ADDRESS --to ADDRESS");
}

static enum nu_exit run_run(struct nu_args *args)
{
    struct wish wish = {.quick = nu_quick_new()};
    enum nu_exit code = NU_EXIT_OK;
    int id = 0;
    while (code == NU_EXIT_OK && id != NU_ARG_LEAVE && (id = nu_args_next(args)) != NU_ARG_END)
        code = take_option(args, id, &wish);
    if (code == NU_EXIT_OK && id != NU_ARG_LEAVE)
        code = fulfil(args, &wish);
    nu_quick_free(wish.quick);
    return code;
}

static const struct nu_option options[] = {
    {.name = "config",                   .value = "FILE", .id = 'c', .help = "the config file, YAML or JSON"},
    {.name = "from",
     .value = "ADDRESS",
     .id = OPT_FROM,
     .help = "without a file: listen on [SCHEME://][HOST]:PORT or unix:PATH; the host\n"
             "is 127.0.0.1 unless given. SCHEME: tcp, tls, http, https or udp; by\n"
             "default that of its --to"},
    {.name = "to",
     .value = "ADDRESS",
     .id = OPT_TO,
     .help = "where connections to the --from before it go: [SCHEME://]HOST:PORT;\n"
             "several share the load. sni:NAME=ADDRESS: only TLS connections that\n"
             "ask for NAME (or for *.NAME)"},
    {.name = "emit",
     .id = OPT_EMIT,
     .help = "print the config file that says the same as --from and --to"},
    {.name = "tls-cert",
     .value = "FILE",
     .id = OPT_TLS_CERT,
     .help = "for the address before it: behind --from the server's certificate,\n"
             "behind --to the client's. PEM, with the CAs between"},
    {.name = "tls-key",
     .value = "FILE",
     .id = OPT_TLS_KEY,
     .help = "its private key, if it is not in the same file"},
    {.name = "tls-ca",
     .value = "FILE",
     .id = OPT_TLS_CA,
     .help = "for the address before it: clients must have a certificate of this\n"
             "CA; behind --to, the server must (default: the system's CAs)"},
    {0                                 },
};

const struct nu_command nu_command_run = {
    .name = "run",
    .summary = "serve, in the foreground",
    .usage = "run -c FILE\nrun --from ADDRESS --to ADDRESS [--to ADDRESS]... [--from ...] [--emit]",
    .help = "Examples:\n"
            "  nuncio run -c edge.yaml\n"
            "  nuncio run --from :8080 --to http://127.0.0.1:9000\n"
            "  nuncio run --from https://:8443 --tls-cert c.pem --tls-key k.pem --to "
            "http://127.0.0.1:9000\n"
            "  nuncio run --from 127.0.0.1:5432 --to tcp://10.0.0.1:5432\n"
            "  nuncio run --from tls://:8443 --tls-cert c.pem --tls-key k.pem --to 127.0.0.1:9000\n"
            "  nuncio run --from :8443 --to 'sni:a.test=tcp://127.0.0.1:9443' --to "
            "'sni:*.b.test=tcp://127.0.0.1:9444'\n"
            "  nuncio run --from :5353 --to udp://10.0.0.1:53 --to udp://10.0.0.2:53\n"
            "\n"
            "Prints `listening NAME ADDRESS` for each listener and `ready: ...` on stderr when it "
            "serves.\n"
            "Signals: HUP reloads the file, TERM drains and exits, a second TERM exits now, USR1 "
            "reopens logs.\n",
    .options = options,
    .run = run_run,
};
