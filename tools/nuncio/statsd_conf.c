/* What `stats_sinks` may say. */
#include "tools/nuncio/statsd.h"

#include <stddef.h>
#include <string.h>

static enum nu_err parse_address(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    struct nu_statsd_conf *c = out;
    const char *text = node->kind == NU_NODE_SCALAR ? node->text : "";
    c->tcp = strncmp(text, "tcp://", 6) == 0;
    if (c->tcp || strncmp(text, "udp://", 6) == 0)
        text += 6;
    if (node->kind != NU_NODE_SCALAR || nu_addr_parse(&c->addr, text, 8125) != NU_OK ||
        c->addr.kind == NU_ADDR_UNIX || c->addr.port == 0) {
        nu_conf_error(conf, node, "expected udp://ADDRESS:PORT or tcp://ADDRESS:PORT, of numbers");
        return NU_ERR_CONFIG;
    }
    return NU_OK;
}

static const struct nu_field fields[] = {
    {.key = "address",
     .type = NU_CUSTOM,
     .flags = NU_REQUIRED,
     .parse = parse_address,
     .shown = "udp://address:port or tcp://address:port",
     .doc =
         "The server; udp and port 8125 unless it says otherwise. Datagrams have up to 1,400 "
         "bytes. A TCP server that is away is connected to with each round; 1 MiB of lines waits "
         "for it, and what is beyond is dropped and counted."},
    {.key = "prefix",
     .type = NU_STRING,
     .offset = offsetof(struct nu_statsd_conf, prefix),
     .fallback = "nuncio",
     .doc = "What all names begin with, and a dot; \"\" for nothing."},
    {.key = "interval",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_statsd_conf, interval_ms),
     .fallback = "5s",
     .min = 50,
     .max = 3600 * 1000,
     .doc = "Time between two rounds: counters tell what was added since, gauges their value, "
            "histograms each value."},
    {.key = "tags",
     .type = NU_BOOL,
     .offset = offsetof(struct nu_statsd_conf, tags),
     .fallback = "off",
     .doc = "Names of listeners, clusters and the like as DogStatsD's tags (`|#cluster:web`) "
            "instead of in the metric's name; so are classes of status codes."},
    {0                                  }
};

static const struct nu_schema statsd_schema = {
    .name = "statsd",
    .doc = "Pushes all figures to a statsd server. Times are told as `|ms`; from the ninth equal "
           "value of a round on as one line with a sample rate, as `3|ms|@0.05` for twenty.",
    .size = sizeof(struct nu_statsd_conf),
    .fields = fields,
    .scalar = "address",
};

static const struct nu_field sink_fields[] = {
    {.key = "statsd",
     .type = NU_OBJECT,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct nu_sink_conf, statsd),
     .sub = &statsd_schema,
     .doc = "A statsd server."},
    {0}
};

const struct nu_schema nu_sink_schema = {
    .name = "stats_sinks",
    .doc = "Where figures are pushed to. The admin's `/stats/prometheus` is there without.",
    .size = sizeof(struct nu_sink_conf),
    .fields = sink_fields,
};
