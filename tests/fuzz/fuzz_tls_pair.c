/* The TLS filter face to face with itself, a wire between them that the input tears, breaks, forges
 * and ends, and two ends that talk, stop and go as it says; in one chain, or twice in two:
 *
 *     source | tls (client) | wire | tls (server)   ~joint~   tls (client) | wire | tls (server) |
 * sink
 *
 * The input: a byte of options, then pairs of bytes, what is done and how much of it. Whatever
 * happens: what comes out is what was put in, as far as it goes; nothing looks whole that is not;
 * nothing stays behind. If the wire broke nothing, everything arrives. */
#include "tests/unit/tls/tls_kit.h"

#include <openssl/rand.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define OPS_MAX   400 /* more of one input is not looked at: a run is to take milliseconds */
#define SENDS_MAX 200000
#define SHRED_MAX 2000 /* pieces of one event, for the same reason */
#define CHUNK_MIN 16

static struct {
    const uint8_t *op;
    size_t left;
} input;

static struct {
    struct hop {
        struct nu_probe probe;
        struct nu_slice late[2]; /* held back */
    } hop[2];
    struct nu_probe joint[2];
    uint8_t what, much; /* is done with the next piece */
    bool broken;        /* what was done to it no connection has to survive */
} wire;

static unsigned open_chains;

/* --- chance that is none */

/* Inputs are to mean the same each time. */
static uint64_t chance;

static int no_chance(unsigned char *out, int len)
{
    for (int i = 0; i < len; i++) {
        chance = chance * 6364136223846793005u + 1442695040888963407u;
        out[i] = (unsigned char)(chance >> 56);
    }
    return 1;
}

static int is_ready(void)
{
    return 1;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void tame_chance(void)
{
    static const RAND_METHOD method = {
        .bytes = no_chance, .pseudorand = no_chance, .status = is_ready};
    nu_assert(RAND_set_rand_method(&method) == 1);
}
#pragma GCC diagnostic pop

/* --- the wire */

enum { PASS, SHRED, SPLIT, LATE, FLIP, FORGE, CUT, RESET, DOUBLE, WIRE_WORDS };

static void pass(struct nu_filter *f, enum nu_dir dir, struct nu_slice data)
{
    if (data.len)
        nu_forward_data(f, dir, data);
    else
        nu_slice_drop(&data);
}

static void shred(struct nu_filter *f, enum nu_dir dir, struct nu_slice data, size_t step)
{
    for (int i = 0; i < SHRED_MAX && data.len > step; i++)
        pass(f, dir, nu_slice_split(&data, step));
    pass(f, dir, data);
}

static struct hop *hop_of(const struct nu_filter *f)
{
    return nu_container(nu_probe_of(f), struct hop, probe);
}

static void come_late(struct nu_filter *f)
{
    for (enum nu_dir dir = NU_FWD; dir <= NU_REV; dir++) {
        struct nu_slice late = hop_of(f)->late[dir];
        hop_of(f)->late[dir] = (struct nu_slice){0};
        if (late.len)
            nu_forward_data(f, dir, late);
        nu_release(f, dir);
    }
}

static void hold_back(struct nu_filter *f, enum nu_dir dir, struct nu_slice data, int64_t ms)
{
    hop_of(f)->late[dir] = data;
    nu_hold(f, dir);
    nu_timer_set(f, 0, ms, come_late);
}

static void flip(struct nu_filter *f, enum nu_dir dir, struct nu_slice data, unsigned at)
{
    struct nu_block *b = nu_block_get(nu_filter_loop(f)->blocks, data.len);
    memcpy(b->data, data.data, data.len);
    b->data[at % data.len] ^= (uint8_t)(1u << at % 8);
    pass(f, dir, nu_block_freeze(b, data.len));
    nu_block_unref(b);
    nu_slice_drop(&data);
}

/* A record of the input's own. */
static void forge(struct nu_filter *f, enum nu_dir dir)
{
    size_t len = input.left < 300 ? input.left : 300;
    struct nu_block *b = nu_block_get(nu_filter_loop(f)->blocks, len + 1);
    memcpy(b->data, input.op, len);
    pass(f, dir, nu_block_freeze(b, len));
    nu_block_unref(b);
}

static void cut(struct nu_filter *f, enum nu_dir dir, struct nu_slice data, enum nu_cause how)
{
    nu_slice_drop(&data);
    nu_forward_end(f, dir, nu_result_of(how));
    nu_drop(f, dir);
}

static void wire_data(struct nu_filter *f, enum nu_dir dir, struct nu_slice data)
{
    unsigned what = wire.what % WIRE_WORDS, much = wire.much;
    wire.what = PASS;
    wire.broken = wire.broken || what >= FLIP;
    if (what == SHRED) {
        shred(f, dir, data, much + 1);
    } else if (what == SPLIT && much < data.len) {
        pass(f, dir, nu_slice_split(&data, much));
        hold_back(f, dir, data, 1);
    } else if (what == LATE) {
        hold_back(f, dir, data, much % 50);
    } else if (what == FLIP) {
        flip(f, dir, data, much);
    } else if (what == FORGE) {
        forge(f, dir);
        pass(f, dir, data);
    } else if (what == CUT) {
        cut(f, dir, data, dir == NU_FWD ? NU_CAUSE_CLIENT_FIN : NU_CAUSE_UPSTREAM_FIN);
    } else if (what == RESET) {
        cut(f, dir, data, dir == NU_FWD ? NU_CAUSE_CLIENT_RST : NU_CAUSE_UPSTREAM_RST);
    } else {
        if (what == DOUBLE)
            pass(f, dir, nu_slice_dup(data));
        pass(f, dir, data);
    }
}

static void on_wire(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_DATA)
        wire_data(f, dir, ev->u.data);
    else
        nu_forward(f, dir, ev);
}

static void wire_closed(struct nu_filter *f)
{
    nu_slice_drop(&hop_of(f)->late[NU_FWD]);
    nu_slice_drop(&hop_of(f)->late[NU_REV]);
}

/* --- two chains */

static void on_closed(struct nu_chain *chain, void *ctx)
{
    *(struct nu_chain **)ctx = NULL;
    open_chains--;
}

static struct nu_chain *chain_of(struct nu_chain **place, const struct nu_place *places,
                                 unsigned count)
{
    static const struct nu_chain_owner owner = {.closed = on_closed};
    open_chains++;
    *place = NULL;
    struct nu_chain *chain = nu_chain_new(&kit->loop, places, count, NULL, &owner, place);
    return *place = chain;
}

static struct nu_chain *chains[2];

static void connect_pair(bool twice)
{
    memset(&wire, 0, sizeof wire);
    for (int i = 0; i < 2; i++)
        wire.hop[i].probe = (struct nu_probe){.event = on_wire, .close = wire_closed};
    struct nu_place first[] = {
        {&nu_source,     &kit->left        },
        {&nu_pedant,     NULL              },
        {&nu_tls_filter, &kit->client.pub  },
        {&nu_probe,      &wire.hop[0].probe},
        {&nu_tls_filter, &kit->server.pub  },
        {&nu_pedant,     NULL              },
        {&nu_sink,       &kit->right       }
    };
    const struct nu_place second[] = {
        {&nu_probe_joint, &wire.joint[1]    },
        {&nu_tls_filter,  &kit->client.pub  },
        {&nu_probe,       &wire.hop[1].probe},
        {&nu_tls_filter,  &kit->server.pub  },
        {&nu_sink,        &kit->right       }
    };
    if (twice)
        first[6] = (struct nu_place){&nu_probe_joint, &wire.joint[0]};
    chain_of(&chains[0], first, 7);
    if (!twice)
        return;
    chain_of(&chains[1], second, 5);
    nu_join(wire.joint[0].self, wire.joint[1].self);
}

/* --- what the input says */

static void step(uint8_t op, uint8_t much)
{
    struct nu_test_end *end = op & 0x80 ? &kit->right : &kit->left;
    bool left = end == &kit->left;
    switch (op & 7) {
    case 0:
        if (end->sent + end->to_send < SENDS_MAX && end->end == NU_CAUSE_NONE)
            nu_endpoint_send(end, 1 + (uint64_t)much * much);
        break;
    case 1:
        if (end->end == NU_CAUSE_NONE)
            nu_endpoint_finish(end, left ? NU_CAUSE_CLIENT_FIN : NU_CAUSE_UPSTREAM_FIN);
        break;
    case 2:
        if (end->end == NU_CAUSE_NONE)
            nu_endpoint_finish(end, left ? NU_CAUSE_CLIENT_RST : NU_CAUSE_UPSTREAM_RST);
        break;
    case 3:
        nu_endpoint_open(end, (uint64_t)much * 64);
        break;
    case 4:
        end->chunk = CHUNK_MIN + (size_t)much * 100;
        break;
    case 5:
        nu_loop_advance(&kit->loop, much);
        break;
    default:
        wire.what = op >> 3;
        wire.much = much;
        break;
    }
    nu_loop_advance(&kit->loop, 1);
}

/* --- what has to hold */

static void judge(const struct nu_test_end *from, const struct nu_test_end *to)
{
    nu_assert(to->wrong == 0 && to->got + to->waiting <= from->sent);
    if (!to->got_end || to->result.how != NU_CLEAN)
        return;
    nu_assert(from->sent_end && nu_cause_row(from->end)->how == NU_CLEAN);
    nu_assert(to->got + to->waiting == from->sent);
}

static bool was_cut(const struct nu_test_end *end)
{
    return end->end != NU_CAUSE_NONE && nu_cause_row(end->end)->how != NU_CLEAN;
}

static void judge_all(bool refuses)
{
    judge(&kit->left, &kit->right);
    judge(&kit->right, &kit->left);
    if (wire.broken || refuses || was_cut(&kit->left) || was_cut(&kit->right))
        return;
    nu_assert(kit->right.got == kit->left.sent && kit->left.to_send == 0);
    nu_assert(kit->left.got == kit->right.sent && kit->right.to_send == 0);
    nu_assert(kit->lines == 0);
}

static void ask_by_name(struct nu_tls_conn *conn)
{
    static const unsigned char alpn[] = "\2h2\10http/1.1";
    nu_assert(SSL_set_tlsext_host_name(conn->ssl, "A.test") == 1);
    nu_assert(SSL_set_alpn_protos(conn->ssl, alpn, sizeof alpn - 1) == 0);
}

static void begin(uint8_t options)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    chance = 1;
    kit->left = kit->right = nu_endpoint_idle();
    kit->lines = 0;
    if (options & 2)
        kit->left.window = kit->right.window = 0;
    kit->left.eager = options & 4;
    kit->right.eager = options & 8;
    tls_kit_versions(versions[options & 1]);
    int verify = options & 16 ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE;
    SSL_CTX_set_verify(kit->server.ctx, verify, NULL);
    kit->client.prepare = options & 64 ? ask_by_name : NULL;
    connect_pair(options & 32);
}

static void finish(void)
{
    for (int i = 0; i < 2; i++)
        if (chains[i])
            nu_chain_abort(chains[i], NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    nu_assert(open_chains == 0);
    nu_assert(nu_block_pool_lent(kit->loop.blocks) == 0);
    nu_assert(ERR_peek_error() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!kit) {
        tame_chance();
        tls_kit_setup(NULL);
    }
    if (len < 1)
        return 0;
    input.op = data + 1;
    input.left = len - 1;
    begin(data[0]);
    for (unsigned i = 0; i < OPS_MAX && input.left >= 2; i++) {
        input.op += 2;
        input.left -= 2;
        step(input.op[-2], input.op[-1]);
    }
    for (int i = 0; i < 4; i++) {
        nu_endpoint_open(&kit->left, UINT64_MAX / 8);
        nu_endpoint_open(&kit->right, UINT64_MAX / 8);
        tls_kit_run(60);
    }
    judge_all(data[0] & 16);
    finish();
    return 0;
}
