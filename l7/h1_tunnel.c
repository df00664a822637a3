/* Tunnels on the HTTP/1 side towards clients: once 101, or 2xx to CONNECT, is on its way, each half
 * ends by itself, and where the client's socket is next to the codec bytes pass it by (D1). */
#include "l7/h1_server_priv.h"
#include "l7/tunnel.h"
#include "l7/tunnel_rest.h"

#include "l4/sock.h"

void h1_tunnel_decided(struct h1_server *s, bool open)
{
    if (s->in != IN_ASKED)
        return;
    if (!open) {
        h1_request_over(s);
        return;
    }
    h1_set_in(s, IN_TUNNEL);
    nu_h1_tunnel(&s->reading->parser);
    h1_watch(&s->filter); /* tunnel_idle_timeout may be the shortest */
    if (s->half_closed)
        h1_inject(s, nu_ev_end((struct nu_result){.how = NU_CLEAN}));
    else
        h1_read_later(s);
}

/* Each half ends by itself; with the second one all is over. */
void h1_tunnel_ended(struct h1_server *s)
{
    struct nu_result clean = {.how = NU_CLEAN};
    if (s->out != OUT_OVER)
        nu_forward_end(&s->filter, NU_REV, clean);
    s->out = OUT_OVER;
    if (!s->half_closed)
        return;
    s->stream->response_ms = h1_now(s);
    h1_tunnel_count(s);
    nu_part(&s->joint, clean);
    s->stream = NULL;
    h1_set_in(s, IN_SHUT);
    nu_done(&s->filter, NU_FWD);
}

/* What the client's socket has moved; once the connection is over it stands in its facts. */
static void totals(const struct h1_server *s, uint64_t *rx, uint64_t *tx)
{
    struct nu_chain *chain = s->filter.chain;
    if (s->filter.next[NU_REV]) {
        nu_sock_totals(chain, rx, tx);
    } else {
        const struct nu_facts_exchange *exchange = nu_facts_exchange(nu_chain_facts(chain));
        *rx = exchange->bytes_in;
        *tx = exchange->bytes_out;
    }
}

void h1_tunnel_count(struct h1_server *s)
{
    uint64_t rx, tx;
    if (s->aside == ASIDE_NOT || !s->stream)
        return;
    s->aside = ASIDE_NOT;
    totals(s, &rx, &tx);
    s->stream->request_bytes += rx;
    s->stream->response_bytes += tx;
    if ((int64_t)s->stream->response_bytes < 0) /* not even all of the head went out */
        s->stream->response_bytes = 0;
}

static void count(struct nu_filter *codec)
{
    h1_tunnel_count((struct h1_server *)codec);
}

static void go_to_rest(struct nu_filter *f)
{
    struct h1_server *s = (struct h1_server *)f;
    struct nu_tunnel_rest *rest;
    nu_timer_stop(f, TIMER_REST);
    if (s->aside != ASIDE_STANDS || s->half_closed || s->out == OUT_OVER || !s->stream ||
        !(rest = nu_tunnel_rest(s->stream)))
        return;
    s->stream = NULL;
    h1_reading_free(s);
    s->rest = rest;
    s->aside = ASIDE_RESTS;
}

void h1_tunnel_wake(struct h1_server *s)
{
    struct nu_tunnel_rest *rest = s->rest;
    if (s->aside != ASIDE_RESTS)
        return;
    s->reading = NULL;
    s->aside = ASIDE_STANDS;
    s->stream = nu_tunnel_wake(rest, &s->filter, s->conf);
    s->stream->watch = h1_watch;
    s->stream->count = count;
}

static void wake(struct nu_filter *f)
{
    h1_tunnel_wake((struct h1_server *)f);
}

void nu_tunnel_disturb(const struct nu_joint *joint)
{
    struct nu_filter *codec = nu_joint_peer(joint);
    if (codec && codec->type == &nu_filter_http)
        nu_call(codec, wake);
}

/* Nothing of the tunnel may wait here, and no filter between may still have some. */
void h1_tunnel_pass(struct h1_server *s)
{
    struct nu_filter *f = &s->filter;
    uint64_t rx, tx;
    bool beside = f->next[NU_REV]->type->flags & NU_F_SOCKET;
    if (s->in != IN_TUNNEL || s->aside != ASIDE_NOT || h1_rest(s) > 0 || !beside)
        return;
    totals(s, &rx, &tx);
    s->aside = ASIDE_STANDS;
    s->stream->request_bytes -= rx;
    s->stream->response_bytes -= tx + nu_sock_unsent(f->chain);
    s->stream->count = count;
    nu_tunnel_pass(f);
    nu_timer_set(f, TIMER_REST, 0, go_to_rest); /* not while the stream is on the stack */
}
