/* Sinks and their rounds: connections are counted, gauges brought up to date, then lines made in
 * pieces, one a turn, so that nothing else waits for ten thousand clusters. */
#include "tools/nuncio/statsd.h"

#include "core/assert.h"
#include "core/stats_statsd.h"
#include "tools/nuncio/server.h"
#include "tools/nuncio/statsd_priv.h"

#include <stdlib.h>
#include <string.h>

static const struct nu_stat_def defs[] = {
    [STATSD_LINES_SENT] = {"lines_sent",      NU_COUNTER, NULL, "Lines that the kernel took."},
    [STATSD_LINES_DROPPED] = {"lines_dropped",   NU_COUNTER, NULL,
                           "Lines for which there was no room, or no way."                   },
    [STATSD_CX_TOTAL] = {"cx_total",        NU_COUNTER, NULL, "TCP connections made."      },
    [STATSD_CX_CONNECT_FAIL] = {"cx_connect_fail", NU_COUNTER, NULL,
                           "Sockets that could not be made or connected."                    },
};
const struct nu_stat_group nu_statsd_stats =
    NU_STAT_GROUP("statsd.<name>", "A statsd sink, by its server's address.", defs);

struct sink {
    struct nu_statsd_conf conf; /* the prefix is its own */
    struct nu_server *server;
    struct nu_statsd_lines *lines;
    struct statsd_out out;
    struct nu_timer timer;
    struct nu_waiter waiter;
    struct nu_task task; /* a round goes on */
    bool wanted;         /* by the generation that is coming */
};

static struct sink *sinks[NU_SINKS_MAX];
static size_t sink_count;

static struct nu_loop *loop_of_main(void)
{
    return &nu_worker_main()->loop;
}

/* --- rounds --- */

static void put(const char *line, size_t len, void *ctx)
{
    statsd_out_put(&((struct sink *)ctx)->out, line, len);
}

static void arm(struct sink *sink)
{
    int64_t due_ms = loop_of_main()->now_ms + sink->conf.interval_ms;
    nu_timer_arm(&loop_of_main()->timers, &sink->timer, due_ms);
}

static void go_on(struct nu_task *task)
{
    struct sink *sink = nu_container(task, struct sink, task);
    if (nu_statsd_lines_more(sink->lines, put, sink)) {
        nu_loop_ready(loop_of_main(), &sink->task);
        return;
    }
    statsd_out_flush(&sink->out);
    arm(sink);
}

static void counted(struct nu_waiter *waiter, bool ok, const char *text)
{
    struct sink *sink = nu_container(waiter, struct sink, waiter);
    nu_server_refresh(sink->server, strtoull(text, NULL, 10));
    nu_loop_ready(loop_of_main(), &sink->task);
}

static void begin_round(struct nu_timer *timer)
{
    nu_census(&nu_container(timer, struct sink, timer)->waiter);
}

/* --- sinks --- */

static struct sink *sink_new(struct nu_server *server, const struct nu_statsd_conf *conf,
                             bool first)
{
    char name[NU_ADDR_TEXT_MAX + 16] = "statsd.";
    struct sink *sink = calloc(1, sizeof *sink);
    nu_assert(sink != NULL);
    sink->conf = *conf;
    sink->conf.prefix = strdup(conf->prefix);
    nu_assert(sink->conf.prefix != NULL);
    sink->server = server;
    sink->lines = nu_statsd_lines_new(conf->prefix, conf->tags, !first);
    nu_addr_str(&conf->addr, name + strlen(name));
    statsd_out_init(&sink->out, &conf->addr, conf->tcp, nu_stats_get(&nu_statsd_stats, name));
    sink->timer.fn = begin_round;
    sink->waiter.told = counted;
    sink->task.run = go_on;
    arm(sink);
    return sink;
}

static void sink_free(struct sink *sink)
{
    nu_timer_disarm(&loop_of_main()->timers, &sink->timer);
    nu_waiter_cancel(&sink->waiter);
    nu_task_cancel(&sink->task);
    nu_statsd_lines_free(sink->lines);
    statsd_out_fini(&sink->out);
    nu_stats_put(sink->out.stats);
    free((char *)sink->conf.prefix);
    free(sink);
}

static bool same(const struct nu_statsd_conf *a, const struct nu_statsd_conf *b)
{
    return nu_addr_equal(&a->addr, &b->addr) && a->tcp == b->tcp && a->tags == b->tags &&
           a->interval_ms == b->interval_ms && strcmp(a->prefix, b->prefix) == 0;
}

/* One that goes on; it is not taken twice. */
static struct sink *find(const struct nu_statsd_conf *conf)
{
    for (size_t i = 0; i < sink_count; i++)
        if (!sinks[i]->wanted && same(&sinks[i]->conf, conf))
            return sinks[i];
    return NULL;
}

void nu_sinks_change(struct nu_server *server, const struct nu_vec *confs, bool first)
{
    struct sink *next[NU_SINKS_MAX] = {0};
    const struct nu_sink_conf *conf = confs->items;
    nu_assert(confs->count <= NU_SINKS_MAX);
    for (size_t i = 0; i < confs->count; i++) {
        next[i] = find(&conf[i].statsd);
        if (next[i])
            next[i]->wanted = true;
        else
            next[i] = sink_new(server, &conf[i].statsd, first);
    }
    for (size_t i = 0; i < sink_count; i++) {
        if (!sinks[i]->wanted)
            sink_free(sinks[i]);
        else
            sinks[i]->wanted = false;
    }
    memcpy(sinks, next, confs->count * sizeof *next);
    sink_count = confs->count;
}

void nu_sinks_flush(void)
{
    for (size_t i = 0; i < sink_count; i++) {
        nu_server_refresh(sinks[i]->server, 0);
        for (int rounds = 0; rounds < 2; rounds++) /* the first may be the rest of one under way */
            while (nu_statsd_lines_more(sinks[i]->lines, put, sinks[i]))
                ;
        statsd_out_flush(&sinks[i]->out);
    }
}

void nu_sinks_end(void)
{
    while (sink_count > 0)
        sink_free(sinks[--sink_count]);
}
