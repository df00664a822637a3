/* The probe `grpc`: grpc.health.v1.Health/Check, over a connection of its own. Well is who says
 * SERVING. What is said and heard goes through probe_h2.c; on main's loop.
 *
 * The filter only waits for the connection and its handshake. Faces: nothing | bytes. Sees: DATA
 * and END of REV, for a server's first bytes may come with the last of its handshake. Stores and
 * holds nothing. END: no answer. `close` has nothing to cancel. */
#include "l4/health/probe.h"
#include "l7/probe.h"
#include "l7/probe_h2.h"
#include "l7/probe_priv.h"
#include "protocols/grpc/grpc.h"
#include "protocols/grpc/health.h"

#include <ctype.h>
#include <string.h>

#define MESSAGE_SHOWN 80 /* bytes of grpc-message in a reason */

struct grpc_conf {
    const char *service, *host; /* host NULL: the endpoint's */
};

_Static_assert(PROBE_BODY_MAX >= NU_GRPC_HEALTH_MAX_BYTES, "a request fits");

/* --- asking and judging --- */

static size_t ask(struct nu_filter *f, const void *conf, struct nu_http_head *head, uint8_t *body)
{
    const struct grpc_conf *c = conf;
    head->method = NU_TEXT("POST");
    head->method_id = NU_METHOD_POST;
    head->path = NU_TEXT(NU_GRPC_HEALTH_PATH);
    head->authority = probe_host(f, c->host, head->arena);
    head->te_trailers = true;
    nu_http_add_known(head, NU_HDR_CONTENT_TYPE, NU_TEXT("application/grpc"));
    nu_http_add_known(head, NU_HDR_USER_AGENT, NU_TEXT(PROBE_USER_AGENT));
    return nu_grpc_health_write(c->service, body);
}

static void judge_head(struct nu_filter *f, const void *conf, const struct nu_http_head *head)
{
    if (head->status != 200)
        probe_refuse_status(f, head->status);
    else if (!nu_grpc_is(head))
        nu_probe_refuse(f, "the answer is none of gRPC: look at its content-type");
}

/* Zero, or why the call failed. */
static bool is_good_status(struct nu_filter *f, const struct nu_http_head *last)
{
    int status = nu_grpc_status_read(nu_http_value(last, NU_HDR_GRPC_STATUS));
    struct nu_text text = nu_http_value(last, NU_HDR_GRPC_MESSAGE);
    int shown = text.len < MESSAGE_SHOWN ? (int)text.len : MESSAGE_SHOWN;
    if (status == NU_GRPC_OK)
        return true;
    if (status < 0)
        nu_probe_refuse(f, "the answer has no grpc-status");
    else
        nu_probe_refuse(
            f, "grpc-status %d %s%s%.*s", status,
            status < NU_GRPC_STATUS_COUNT ? nu_grpc_status_snake((enum nu_grpc_status)status) : "",
            shown > 0 ? ": " : "", shown, text.at);
    return false;
}

static void judge(struct nu_filter *f, const void *conf, const struct probe_answer *answer)
{
    enum nu_grpc_serving serving;
    if (!is_good_status(f, answer->trailers ? answer->trailers : answer->head))
        return;
    bool fits = answer->len <= PROBE_H2_KEPT_BYTES;
    if (!fits || nu_grpc_health_read(answer->body, answer->len, &serving) != NU_OK)
        nu_probe_refuse(f, "the answer is no HealthCheckResponse");
    else if (serving == NU_GRPC_SERVING)
        nu_probe_pass(f);
    else
        nu_probe_refuse(f, "%s", nu_grpc_serving_str(serving));
}

static const struct probe_way way = {.ask = ask, .head = judge_head, .end = judge};

/* --- the filter --- */

static const struct nu_filter_type grpc_filter;

struct grpc_probe {
    struct probe_h2 room; /* what it becomes; first member */
    const struct grpc_conf *conf;
};

static enum nu_open grpc_open(struct nu_filter *f, const void *conf)
{
    ((struct grpc_probe *)f)->conf = conf;
    probe_h2_offer(f, "h2");
    return NU_OPEN;
}

static void begin(struct nu_filter *f)
{
    if (nu_probe_cluster(f)->near_count > 0 && !probe_h2_is_agreed(f))
        probe_h2_refuse(f);
    else
        probe_h2_become(f, &way, ((struct grpc_probe *)f)->conf);
}

static void grpc_start(struct nu_filter *f)
{
    if (!nu_blocked(f, NU_FWD))
        begin(f);
}

static void grpc_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (dir == NU_FWD && go)
        begin(f);
}

static void grpc_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_DATA)
        begin(f);
    if (f->type != &grpc_filter) {
        f->type->event(f, dir, ev);
        return;
    }
    if (ev->kind == NU_END)
        nu_probe_refuse(f, "closed without a response");
    nu_ev_free(ev);
}

static const struct nu_filter_type grpc_filter = {
    .name = "grpc_probe",
    .doc = "Asks a server by gRPC whether it serves.",
    .size = sizeof(struct grpc_probe),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {0, NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .open = grpc_open,
    .start = grpc_start,
    .event = grpc_event,
    .flow = grpc_flow,
};

/* --- config --- */

static enum nu_err parse_service(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR ? node->text : NULL;
    *(const char **)out = nu_arena_strdup(arena, text ? text : "");
    if (text && strlen(text) <= NU_GRPC_HEALTH_SERVICE_MAX)
        return NU_OK;
    nu_conf_error(conf, node, "expected the name of a service, of at most %d bytes",
                  NU_GRPC_HEALTH_SERVICE_MAX);
    return NU_ERR_CONFIG;
}

static const struct nu_field fields[] = {
    {.key = "service",
     .type = NU_CUSTOM,
     .offset = offsetof(struct grpc_conf, service),
     .fallback = "",
     .parse = parse_service,
     .shown = "name",
     .item = sizeof(char *),
     .doc = "The service that is asked for, as `package.Service`; empty: the server as a whole."},
    {.key = "host",
     .type = NU_CUSTOM,
     .offset = offsetof(struct grpc_conf, host),
     .parse = probe_parse_host,
     .shown = "host name",
     .item = sizeof(char *),
     .doc = "The `:authority`. Default: the endpoint as it is written; `localhost` for UNIX "
            "sockets."},
    {0                     },
};

static const struct nu_schema schema = {
    .name = "grpc",
    .doc =
        "Asks each endpoint by gRPC (`grpc.health.v1.Health/Check`) whether it serves, by HTTP/2 "
        "whatever the cluster's `protocol`, with a connection of its own (over TLS, where the "
        "cluster has `tls`). The service alone may stand for it.",
    .size = sizeof(struct grpc_conf),
    .fields = fields,
    .scalar = "service",
};

static void place(void *value, struct nu_arena *owner, struct nu_place *out)
{
    *out = (struct nu_place){&grpc_filter, value};
}

struct nu_ext nu_probe_grpc = {
    .field = {.key = "grpc",
              .type = NU_OBJECT,
              .flags = NU_PTR,
              .sub = &schema,
              .doc = "A service: an endpoint is well that says it is SERVING."},
    .place = place,
};
