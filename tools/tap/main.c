/* nuncio-tap: options, a source, the tap, its outputs, and a word about what was lost. */
#include "tools/tap/bpf.h"
#include "tools/tap/curl.h"
#include "tools/tap/docs.h"
#include "tools/tap/fields.h"
#include "tools/tap/file.h"
#include "tools/tap/guard.h"
#include "tools/tap/har.h"
#include "tools/tap/join.h"
#include "tools/tap/json.h"
#include "tools/tap/keylog.h"
#include "tools/tap/line.h"
#include "tools/tap/live.h"
#include "tools/tap/options.h"
#include "tools/tap/replay.h"
#include "tools/tap/stats.h"
#include "tools/tap/write.h"

#include <errno.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUT_BYTES (64 * 1024) /* that one write takes, where nobody waits for lines */

struct program {
    struct tap_options options;
    struct tap *tap;
    struct tap_bpf *bpf;
    struct tap_live *live;
    struct tap_keylogs *keylogs;
    struct nu_where *where;
    int file; /* descriptor, -1 = live */
    bool regular, progress;
    struct tap_lines lines;
    struct tap_json json;
    struct tap_stats stats;
    struct tap_curl curl;
    struct tap_pen *pen;   /* or NULL */
    struct tap_har har;    /* path NULL = none */
    struct tap_join *join; /* or NULL */
    struct tap_replay *replay;
    struct tap_out replay_out;
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    stop = 1;
}

/* --- sources --- */

static bool open_file(struct program *p)
{
    const struct tap_options *o = &p->options;
    const char *error;
    struct stat st;
    p->file = tap_file_open(o->file);
    if (p->file < 0) {
        fprintf(stderr, "nuncio-tap: %s: %s\n", o->file, strerror(errno));
        return false;
    }
    p->regular = fstat(p->file, &st) == 0 && S_ISREG(st.st_mode);
    p->progress = p->regular && st.st_size >= TAP_PROGRESS_FROM && isatty(STDERR_FILENO);
    if (!*o->expression)
        return true;
    p->bpf = tap_bpf_new(o->expression, &error);
    if (!p->bpf)
        fprintf(stderr, "nuncio-tap: \"%s\": %s\n", o->expression, error);
    return p->bpf != NULL;
}

static bool open_source(struct program *p)
{
    const struct tap_options *o = &p->options;
    p->file = -1;
    p->keylogs = tap_keylogs_new();
    for (unsigned i = 0; i < o->keylogs; i++)
        if (!tap_keylogs_open(p->keylogs, o->keylog[i]))
            return false;
    if (o->file)
        return open_file(p);
    p->live = tap_live_open(o->interface, o->expression, o->snaplen);
    return p->live != NULL;
}

static enum nu_exit read_where(struct program *p)
{
    char *error = NULL;
    if (!p->options.where)
        return NU_EXIT_OK;
    p->where = nu_where_new(&tap_fields, "--where", p->options.where, &error);
    if (p->where)
        return NU_EXIT_OK;
    fputs(error, stderr);
    free(error);
    return NU_EXIT_USAGE;
}

/* --- outputs --- */

#define FOLLOWED_BODY (4u << 20) /* bytes of each body of what is followed */

/* Of --max-memory: packets on their way, what is kept to be sent again, and what waits for its
 * other side. */
#define PEN_SHARE    4
#define REPLAY_SHARE 2
#define JOIN_SHARE   4
#define PEN_HOLD                                                                                   \
    INT64_C(1000000000) /* ns: keys are logged by then, and a first request is told                \
                         */

/* Lines or objects, by way of --join if that is asked for. */
static void add_shown(struct program *p, const struct tap_sink *sink, void *ctx)
{
    struct tap_join_conf conf = {
        .sink = sink, .ctx = ctx, .memory_max = p->options.memory_max / JOIN_SHARE, .tap = p->tap};
    if (!p->options.join) {
        tap_add_sink(p->tap, sink, ctx);
        return;
    }
    p->join = tap_join_new(&conf);
    tap_add_sink(p->tap, &tap_join_sink, p->join);
}

static void add_lines(struct program *p)
{
    const struct tap_options *o = &p->options;
    bool follows = o->follow.flow > 0;
    p->lines.verbose = follows ? 2 : o->verbose;
    p->lines.only = o->follow;
    add_shown(p, &tap_line_sink, &p->lines);
    if (follows)
        tap_want_bodies(p->tap, FOLLOWED_BODY, o->follow.flow);
    else if (o->verbose > 1)
        tap_want_bodies(p->tap, TAP_BODY_SHOWN, 0);
}

static void add_json(struct program *p)
{
    p->json.verbose = p->options.verbose;
    add_shown(p, &tap_json_sink, &p->json);
    if (p->json.verbose > 1)
        tap_want_bodies(p->tap, TAP_BODY_SHOWN, 0);
}

/* A file is read faster than anybody waits; of a stream somebody may look at what is written. */
static bool open_pen(struct program *p)
{
    const struct tap_options *o = &p->options;
    struct stat st;
    bool regular = p->file >= 0 && fstat(p->file, &st) == 0 && S_ISREG(st.st_mode);
    struct tap_pen_conf conf = {.target = o->write,
                                .interface = o->interface,
                                .memory_max = o->memory_max / PEN_SHARE,
                                .hold_ns = regular ? -1 : PEN_HOLD,
                                .chosen_only = p->where != NULL,
                                .only = o->follow.flow};
    if (o->write.path)
        p->pen = tap_pen_open(&conf, p->file);
    return p->pen || !o->write.path;
}

static bool open_har(struct program *p)
{
    const struct tap_options *o = &p->options;
    p->har = (struct tap_har){.path = o->har, .source = p->file, .only = o->follow};
    p->har.scratch.show_secrets = o->show_secrets;
    return !o->har || tap_har_open(&p->har);
}

static bool open_replay(struct program *p)
{
    const struct tap_options *o = &p->options;
    struct tap_replay_conf conf = {.url = o->replay,
                                   .pace = o->pace,
                                   .diff = o->diff,
                                   .memory_max = o->memory_max / REPLAY_SHARE,
                                   .out = &p->replay_out};
    if (!o->replay)
        return true;
    p->replay = tap_replay_open(&conf);
    return p->replay != NULL;
}

/* For the tap itself. */
static size_t memory_left(const struct program *p)
{
    size_t all = p->options.memory_max;
    return all - (p->pen ? all / PEN_SHARE : 0) - (p->replay ? all / REPLAY_SHARE : 0) -
           (p->options.join ? all / JOIN_SHARE : 0);
}

static bool takes_stdout(const struct program *p)
{
    const struct tap_options *o = &p->options;
    return (o->write.path && strcmp(o->write.path, "-") == 0) ||
           (o->har && strcmp(o->har, "-") == 0);
}

static void add_output(struct program *p)
{
    const struct tap_options *o = &p->options;
    struct tap_out out = {.file = stdout,
                          .color = o->color,
                          .show_secrets = o->show_secrets,
                          .over_progress = p->progress && isatty(STDOUT_FILENO)};
    p->lines.out = p->json.out = p->stats.out = p->curl.out = out;
    if (o->json)
        add_json(p);
    else if (o->stats)
        tap_add_sink(p->tap, &tap_stats_sink, &p->stats);
    else if (o->curl.flow) {
        p->curl.id = o->curl;
        tap_add_sink(p->tap, &tap_curl_sink, &p->curl);
        tap_want_bodies(p->tap, TAP_CURL_BODY, o->curl.flow);
    } else if (!takes_stdout(p) && !p->replay)
        add_lines(p);
    if (o->har)
        tap_add_sink(p->tap, &tap_har_sink, &p->har);
    if (o->har)
        tap_want_bodies(p->tap, TAP_HAR_BODY, o->follow.flow);
    p->replay_out = out;
    if (p->replay)
        tap_add_sink(p->tap, &tap_replay_sink, p->replay);
    if (p->replay)
        tap_want_bodies(p->tap, TAP_REPLAY_BODY, 0);
}

/* Who looks on sees each line at once. */
static void set_buffers(const struct program *p)
{
    static char buffer[OUT_BYTES];
    if (p->file >= 0 && !isatty(STDOUT_FILENO))
        setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    else
        setvbuf(stdout, NULL, _IOLBF, 0);
}

/* --- running --- */

static void on_idle(void *ctx)
{
    struct program *p = ctx;
    tap_keylogs_read(p->keylogs, p->tap, false);
    if (!p->regular || ferror(stdout))
        fflush(stdout);
    if (ferror(stdout) || (p->pen && tap_pen_failed(p->pen)))
        stop = 1; /* whoever read it has gone, or the disk is full */
}

/* Whether a connection is wanted is known at its end, and its first packets may be far ahead of
 * that. */
static void look_ahead(struct program *p, const struct tap_file_job *job)
{
    struct tap *ahead = tap_new(memory_left(p));
    tap_set_where(ahead, p->where);
    tap_file_secrets(job, ahead);
    if (tap_keylogs_again(p->keylogs, ahead)) {
        tap_pen_scout(p->pen, ahead);
        tap_file_ahead(job, ahead);
        tap_finish(ahead);
        tap_pen_know(p->pen);
    }
    tap_free(ahead);
}

static bool run_file(struct program *p)
{
    const struct tap_options *o = &p->options;
    struct tap_file_job job = {
        .path = o->file,
        .fd = p->file,
        .bpf = p->bpf,
        .snaplen = o->snaplen,
        .progress = p->progress,
        .stop = &stop,
        .idle = on_idle,
        .idle_ctx = p,
    };
    tap_expect_secrets(p->tap, !p->regular);
    if (p->regular)
        tap_file_secrets(&job, p->tap);
    if (p->regular && p->pen && p->where)
        look_ahead(p, &job);
    if (p->pen)
        tap_pen_attach(p->pen, p->tap);
    return tap_file_run(&job, p->tap);
}

static bool run_live(struct program *p)
{
    struct tap_live_job job = {.stop = &stop, .idle = on_idle, .idle_ctx = p};
    fprintf(stderr, "nuncio-tap: listens on %s\n", p->options.interface);
    if (p->pen)
        tap_pen_attach(p->pen, p->tap);
    tap_expect_secrets(p->tap, true);
    return tap_live_run(p->live, &job, p->tap);
}

/* --- what was lost --- */

static void put_figure(bool *begun, uint64_t n, const char *what)
{
    if (!n)
        return;
    fprintf(stderr, "%s%" PRIu64 " %s", *begun ? ", " : "nuncio-tap: ", n, what);
    *begun = true;
}

/* Who sees nothing at all wants to know whether there was anything. The packets of an interface are
 * counted here: on loopback the kernel counts each twice. */
static void put_packets(const struct program *p, const struct nu_flow_figures *f)
{
    uint64_t read = f->packets - f->not_read;
    if (p->live) {
        struct tap_live_figures live = tap_live_figures(p->live);
        fprintf(stderr,
                "nuncio-tap: %" PRIu64 " packets, %" PRIu64 " dropped by the kernel, %" PRIu64
                " by the interface; %" PRIu64 " connections\n",
                f->packets, live.dropped_kernel, live.dropped_interface, f->flows);
    } else if (!f->flows && read && !f->broken) {
        fprintf(stderr, "nuncio-tap: no TCP connection in %" PRIu64 " packets\n", read);
    } else if (!f->packets && p->bpf) {
        fprintf(stderr, "nuncio-tap: no packet fits \"%s\"\n", p->options.expression);
    }
}

static void put_summary(const struct program *p)
{
    struct tap_figures f = tap_figures(p->tap);
    bool begun = false;
    put_packets(p, &f.flows);
    if (f.flows.not_read)
        fprintf(stderr, "nuncio-tap: %" PRIu64 " packets of link type %" PRIu32 ", not read\n",
                f.flows.not_read, f.flows.link_not_read);
    put_figure(&begun, f.flows.broken, "packets broken or cut");
    put_figure(&begun, f.flows.fragments_lost, "datagrams without all fragments");
    put_figure(&begun, f.flows.hurried, "holes not waited for, for memory");
    put_figure(&begun, f.flows.evicted, "connections forgotten");
    put_figure(&begun, p->pen ? tap_pen_missing(p->pen) : 0,
               "packets of chosen connections not written, for memory (--max-memory)");
    put_figure(&begun, p->join ? tap_join_hurried(p->join) : 0,
               "exchanges not joined, for memory (--max-memory)");
    put_figure(&begun, f.given_up, "connections given up, for memory (--max-memory)");
    if (begun)
        fputc('\n', stderr);
}

/* False: not all was written; told. */
static bool close_files(struct program *p)
{
    bool fine = tap_pen_close(p->pen);
    p->pen = NULL;
    return tap_har_close(&p->har) && fine;
}

static enum nu_exit flushed(bool fine)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return fine ? NU_EXIT_OK : NU_EXIT_FAILED;
    if (errno != EPIPE)
        fprintf(stderr, "nuncio-tap: cannot write to the standard output: %s\n", strerror(errno));
    return NU_EXIT_FAILED;
}

static enum nu_exit run(struct program *p)
{
    struct sigaction action = {.sa_handler = on_signal};
    enum nu_exit wrong = read_where(p);
    if (wrong)
        return wrong;
    if (!open_source(p) || !open_pen(p) || !open_har(p) || !open_replay(p))
        return NU_EXIT_FAILED;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    set_buffers(p);
    p->tap = tap_new(memory_left(p));
    tap_set_where(p->tap, p->where);
    add_output(p);
    if (tap_guard(p->replay != NULL))
        return NU_EXIT_FAILED;
    tap_keylogs_read(p->keylogs, p->tap, p->regular);
    bool fine = p->live ? run_live(p) : run_file(p);
    tap_keylogs_read(p->keylogs, p->tap, true);
    tap_finish(p->tap);
    put_summary(p);
    fine &= close_files(p);
    if (p->replay)
        fine &= tap_replay_run(p->replay, p->tap, &stop);
    enum nu_exit code = flushed(fine);
    if (p->options.curl.flow && !p->curl.found) {
        fprintf(stderr, "nuncio-tap: there is no request with this id\n");
        return NU_EXIT_FAILED;
    }
    return code;
}

static void put_version(void)
{
    printf("nuncio-tap %s\n%s\n", NU_VERSION, pcap_lib_version());
}

int main(int argc, char **argv)
{
    static struct program program;
    struct program *p = &program;
    bool leave;
    enum nu_exit code = tap_options_read(&p->options, argc, argv, &leave);
    if (code || leave)
        return (int)code;
    if (p->options.version) {
        put_version();
        return (int)flushed(true);
    }
    if (p->options.fields) {
        tap_fields_print(stdout);
        return (int)flushed(true);
    }
    if (p->options.docs)
        return tap_docs(p->options.docs) ? (int)flushed(true) : NU_EXIT_USAGE;
    code = run(p);
    close_files(p);
    tap_replay_free(p->replay);
    tap_join_free(p->join);
    tap_out_free(&p->replay_out);
    tap_free(p->tap);
    tap_bpf_free(p->bpf);
    tap_live_free(p->live);
    tap_keylogs_free(p->keylogs);
    nu_where_free(p->where);
    tap_out_free(&p->lines.out);
    tap_out_free(&p->json.out);
    tap_out_free(&p->curl.out);
    tap_stats_free(&p->stats);
    return (int)code;
}
