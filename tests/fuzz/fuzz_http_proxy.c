/* The HTTP/1 proxy between a client and servers that say what the input says, cut as it says:
 *
 *     client | http   ~joint~   stream | [slow] | [late] | router   ~joint~   h1_client | server
 *
 * The input: a byte of options, then steps: a byte what, a byte how much, and for what is said the
 * bytes themselves. Whatever happens: what a server gets are requests that a strict reader takes,
 * no more of them than the client's bytes have; what the client gets are responses that a strict
 * reader takes, no more than it asked for; both directions end once; nothing stays behind. */
#include "core/build.h"
#include "tests/unit/l7/proxy_kit.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STEPS_MAX 300 /* a run is to take milliseconds */

static const char conf[] =
    "clusters: [{name: c, endpoints: [10.0.0.1:80, 10.0.0.2:80], pool: {max_idle: 2}}]\n"
    "routes: [{match: {path: /own}, respond: {status: 200, body: hi}},\n"
    "  {match: {path: /try}, cluster: c, retry: {when: [5xx, reset], attempts: 3}}, {cluster: "
    "c}]\n";

static struct {
    const uint8_t *at;
    size_t left;
} input;

/* What was said by each, for the judges. */
static struct said {
    uint8_t bytes[KIT_BYTES_MAX];
    size_t len;
} said;

/* --- judges: the parser of the product, on all the bytes at once */

struct verdict {
    unsigned heads, posts;
    bool failed; /* not HTTP from some byte on */
    bool tunnel;
};

static struct verdict judge_requests(const void *bytes, size_t len)
{
    static const struct nu_h1_limits limits = {1 << 20, 1 << 16, 4000, 1 << 16, 0};
    struct nu_h1_parser p;
    struct nu_h1_out out;
    struct verdict v = {0};
    struct nu_arena *arena = nu_arena_new(4096);
    struct nu_slice in = nu_slice_copy(kit.loop.blocks, bytes, len);
    nu_h1_init(&p, &limits);
    nu_h1_begin_request(&p, arena);
    for (;;) {
        enum nu_h1_event e = nu_h1_read(&p, &in, &out);
        if (out.data.len)
            nu_slice_drop(&out.data);
        if (e == NU_H1_HEAD) {
            v.heads++;
            v.posts += out.head->method_id == NU_METHOD_POST && !nu_text_is(out.head->path, "/try");
            v.tunnel = out.head->upgrade.len > 0 || out.head->method_id == NU_METHOD_CONNECT;
        }
        if ((e == NU_H1_HEAD || e == NU_H1_TRAIL) && out.head->wire.len)
            nu_http_head_drop(out.head);
        if (e == NU_H1_END) {
            if (v.tunnel || in.len == 0)
                break;
            nu_h1_begin_request(&p, arena);
        }
        if (e == NU_H1_ERROR || e == NU_H1_MORE) {
            v.failed = e == NU_H1_ERROR;
            break;
        }
    }
    nu_slice_drop(&in);
    nu_arena_free(arena);
    return v;
}

/* All that servers got. */
static struct verdict judge_legs(void)
{
    struct verdict all = {0};
    for (unsigned i = 0; i < kit.legs; i++) {
        const struct kit_peer *leg = &kit.leg[i];
        if (leg->len == 0)
            continue;
        struct verdict v = judge_requests(leg->got, leg->len);
        nu_assert(!v.failed && v.heads > 0);
        all.heads += v.heads;
        all.posts += v.posts;
    }
    return all;
}

/* Final heads in what the client got; the methods it asked by are not known here, so that only the
 * start lines are counted where one must stand. */
static void judge_client(void)
{
    if (kit.client.len == 0)
        return;
    nu_assert(kit.client.len < 12 || memcmp(kit.client.got, "HTTP/1.1 ", 9) == 0);
}

/* --- what the input says */

static uint8_t next_byte(void)
{
    if (input.left == 0)
        return 0;
    input.left--;
    return *input.at++;
}

static void speak(struct kit_peer *peer, size_t len)
{
    len = len < input.left ? len : input.left;
    if (len == 0 || peer->said_end || !peer->probe.self)
        return;
    if (peer == &kit.client && said.len + len <= sizeof said.bytes) {
        memcpy(said.bytes + said.len, input.at, len);
        said.len += len;
    }
    kit_say_bytes(peer, input.at, len);
    input.at += len;
    input.left -= len;
}

static void hold(struct kit_peer *peer, enum nu_dir dir, bool on)
{
    if (peer->probe.self && !nu_chain_ended(peer->probe.self->chain) && !peer->ends)
        nu_outside_hold(peer->probe.self, dir, on);
    nu_loop_settle(&kit.loop);
}

/* Between a stream's ends: who watches over the grammar, and who is slow. */
static bool slow_filter, late_filter;

static unsigned expand(const struct nu_place *places, unsigned count, struct nu_place *out)
{
    static const struct nu_slow_conf slow = {.bytes = 3, .every_ms = 50};
    static const struct nu_late_conf late = {.delay_ms = 30};
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        out[n++] = places[i];
        if (places[i].type != &nu_stream_in)
            continue;
        out[n++] = (struct nu_place){&nu_pedant, NULL};
        if (slow_filter)
            out[n++] = (struct nu_place){&nu_slow, &slow};
        if (late_filter)
            out[n++] = (struct nu_place){&nu_late, &late};
        out[n++] = (struct nu_place){&nu_pedant, NULL};
    }
    return n;
}

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static void step(uint8_t op, uint8_t much)
{
    struct kit_peer *leg = kit.legs ? &kit.leg[kit.legs - 1 - (op >> 4) % kit.legs] : NULL;
    switch (op & 15) {
    case 0:
        speak(&kit.client, much + 1u);
        break;
    case 1:
        if (leg)
            speak(leg, much + 1u);
        break;
    case 2:
        kit_finish(&kit.client, much & 1 ? NU_CAUSE_CLIENT_RST : NU_CAUSE_CLIENT_FIN);
        break;
    case 3:
        if (leg)
            kit_finish(leg, much & 1 ? NU_CAUSE_UPSTREAM_RST : NU_CAUSE_UPSTREAM_FIN);
        break;
    case 4:
        nu_loop_advance(&kit.loop, (int64_t)much * much);
        break;
    case 5:
        nu_loop_advance(&kit.loop, (int64_t)much * 20000);
        break;
    case 6:
        hold(&kit.client, NU_REV, much & 1);
        break;
    case 7:
        if (leg)
            hold(leg, NU_FWD, much & 1);
        break;
    case 8:
        kit.late = much & 1;
        kit.full = much & 2;
        break;
    case 9:
        if (kit.client.probe.self)
            nu_chain_signal(kit.client.probe.self->chain, NU_DRAIN);
        break;
    case 10:
        if (leg)
            kit_say(leg, answer);
        break;
    default:
        if (leg)
            kit_abort(leg);
        break;
    }
    kit_turn();
}

/* --- one run */

static void begin(uint8_t options)
{
    kit_begin(conf);
    kit.conf.codec = NU_CODEC_HTTP1; /* the other has a fuzzer of its own */
    said.len = 0;
    if (options & 1)
        kit.conf.limits.body_bytes = 20;
    slow_filter = options & 2;
    late_filter = options & 4;
    nu_chain_set_expander(expand);
    kit_client();
    kit_turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    input.at = data + 1;
    input.left = len - 1;
    begin(data[0]);
    for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++) {
        uint8_t op = next_byte();
        step(op, next_byte());
    }
    struct verdict sent = judge_legs();
    judge_client();
    struct verdict asked = judge_requests(said.bytes, said.len);
    nu_assert(sent.heads <= 4 * asked.heads && sent.posts <= asked.posts);
    kit_end();
    return 0;
}
