/* The probe `tcp`: a connection is enough, or a few bytes are sent and others must come back.
 *
 * Faces: nothing | bytes. Sees: DATA and END of REV. Stores: what the server says, up to
 * RECEIVE_MAX_BYTES, in the chain's arena, where bytes are expected. END: the verdict. Holds never;
 * the probe's timer bounds all. `close`: nothing. */
#include "core/assert.h"
#include "l4/health/conf.h"
#include "l4/health/probe.h"

#include <ctype.h>
#include <string.h>

#define RECEIVE_MAX_BYTES 4096 /* a greeting is shorter; nobody hides it behind more */

struct bytes {
    const uint8_t *data;
    size_t len;
};

struct tcp_conf {
    struct bytes send;
    struct nu_vec receive; /* struct bytes, to be found in this order */
};

struct tcp_probe {
    struct nu_filter filter;
    const struct tcp_conf *conf;
    uint8_t *got;
    size_t len, at; /* bytes in got; where those begin that no expectation has used */
    size_t found;   /* expectations met */
    bool ready;
};

static void ready(struct tcp_probe *p)
{
    p->ready = true;
    if (p->conf->send.len)
        nu_forward_data(&p->filter, NU_FWD,
                        (struct nu_slice){p->conf->send.data, p->conf->send.len, NULL});
    if (p->conf->receive.count == 0)
        nu_probe_pass(&p->filter);
}

static enum nu_open tcp_open(struct nu_filter *f, const void *conf)
{
    ((struct tcp_probe *)f)->conf = conf;
    return NU_OPEN;
}

static void tcp_start(struct nu_filter *f)
{
    if (!nu_blocked(f, NU_FWD))
        ready((struct tcp_probe *)f);
}

static void tcp_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct tcp_probe *p = (struct tcp_probe *)f;
    if (dir == NU_FWD && go && !p->ready)
        ready(p);
}

/* As many expectations as what came so far meets. */
static void look(struct tcp_probe *p)
{
    const struct bytes *want = p->conf->receive.items;
    for (; p->found < p->conf->receive.count; p->found++) {
        const struct bytes *w = &want[p->found];
        const uint8_t *at = memmem(p->got + p->at, p->len - p->at, w->data, w->len);
        if (!at)
            return;
        p->at = (size_t)(at - p->got) + w->len;
    }
}

static void take(struct tcp_probe *p, const struct nu_slice *data)
{
    size_t room = RECEIVE_MAX_BYTES - p->len, n = data->len < room ? data->len : room;
    if (!p->got)
        p->got = nu_arena_alloc(nu_chain_arena(p->filter.chain), RECEIVE_MAX_BYTES);
    memcpy(p->got + p->len, data->data, n);
    p->len += n;
    look(p);
    if (p->found == p->conf->receive.count)
        nu_probe_pass(&p->filter);
    else if (p->len == RECEIVE_MAX_BYTES)
        nu_probe_refuse(&p->filter, "not the expected bytes in the first %d", RECEIVE_MAX_BYTES);
}

static void tcp_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct tcp_probe *p = (struct tcp_probe *)f;
    if (ev->kind == NU_DATA)
        take(p, &ev->u.data);
    else
        nu_probe_refuse(f, "closed without the expected bytes");
    nu_ev_free(ev);
}

static const struct nu_filter_type tcp_probe = {
    .name = "tcp_probe",
    .doc = "Asks whether a server accepts connections, or says what is expected.",
    .size = sizeof(struct tcp_probe),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {0, NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .open = tcp_open,
    .start = tcp_start,
    .event = tcp_event,
    .flow = tcp_flow,
};

/* --- config --- */

static bool read_hex(struct nu_arena *arena, const char *hex, struct bytes *out)
{
    size_t len = strlen(hex);
    if (len == 0 || len % 2 || hex[strspn(hex, "0123456789abcdefABCDEF")])
        return false;
    uint8_t *bytes = nu_arena_alloc(arena, len / 2);
    for (size_t i = 0; i < len; i++) {
        int c = tolower((unsigned char)hex[i]);
        int digit = isdigit(c) ? c - '0' : c - 'a' + 10;
        bytes[i / 2] = (uint8_t)(bytes[i / 2] << 4 | digit);
    }
    *out = (struct bytes){bytes, len / 2};
    return true;
}

static enum nu_err parse_bytes(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    struct bytes *bytes = out;
    const char *text = node->kind == NU_NODE_SCALAR ? node->text : "";
    size_t len = strlen(text);
    if (strncmp(text, "hex:", 4) == 0 && read_hex(arena, text + 4, bytes))
        return NU_OK;
    if (len > 0 && len <= RECEIVE_MAX_BYTES && strncmp(text, "hex:", 4) != 0) {
        *bytes = (struct bytes){(const uint8_t *)nu_arena_strdup(arena, text), len};
        return NU_OK;
    }
    nu_conf_error(conf, node, "expected 1 to %d bytes as text, or like hex:0aff",
                  RECEIVE_MAX_BYTES);
    return NU_ERR_CONFIG;
}

static const struct nu_field fields[] = {
    {.key = "send",
     .type = NU_CUSTOM,
     .offset = offsetof(struct tcp_conf, send),
     .parse = parse_bytes,
     .shown = "bytes",
     .item = sizeof(struct bytes),
     .doc = "Said once it is connected: text (`\"PING\\r\\n\"`), or `hex:0aff`."},
    {.key = "receive",
     .type = NU_CUSTOM,
     .flags = NU_LIST,
     .offset = offsetof(struct tcp_conf, receive),
     .parse = parse_bytes,
     .shown = "bytes",
     .item = sizeof(struct bytes),
     .doc =
         "What the server's first 4 KiB must have in them, in this order, with anything between. "
         "Without it a connection is enough."},
    {0              }
};

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    const struct tcp_conf *c = out;
    if (c->send.len == 0 || c->receive.count > 0)
        return NU_OK;
    nu_conf_error_key(conf, nu_node_get(node, "send"),
                      "\"send\" without \"receive\": which answer is a good one?");
    return NU_ERR_CONFIG;
}

static const struct nu_schema schema = {
    .name = "tcp",
    .doc = "Connects to each endpoint (and shakes hands, where the cluster has `tls`).",
    .size = sizeof(struct tcp_conf),
    .fields = fields,
    .check = check,
};

static void place(void *value, struct nu_arena *owner, struct nu_place *out)
{
    *out = (struct nu_place){&tcp_probe, value};
}

struct nu_ext nu_health_tcp = {
    .field = {.key = "tcp",
              .type = NU_OBJECT,
              .flags = NU_PTR,
              .sub = &schema,
              .doc = "`{}`: an endpoint is well that accepts a connection."},
    .place = place,
};
