/* The inside of the socket filter, shared by its reading (sock.c), writing (sock_out.c) and
 * splicing (splice.c). */
#ifndef NU_L4_SOCK_PRIV_H
#define NU_L4_SOCK_PRIV_H

#include "core/assert.h"
#include "core/chain.h"
#include "l4/sock.h"

struct sock_out;
struct sock_again;

enum sock_write { SOCK_CONNECTING, SOCK_OPEN, SOCK_SHUT, SOCK_DEAD };

/* What the kernel said and we have not used up. */
enum {
    SOCK_IN = 1,   /* perhaps something to read */
    SOCK_OUT = 2,  /* perhaps room to write */
    SOCK_TAIL = 4, /* a hang-up, error or urgent byte came with it: a short read does not mean
                      drained */
    SOCK_ERR = 8,
    SOCK_RESET = 16, /* a write failed: what reading ends with is a reset, not a FIN */
};

struct sock {
    struct nu_filter filter;
    struct nu_io io;
    struct sock_again *again; /* it is to read in this turn; else NULL */
    struct sock_out *out;     /* NULL when nothing is unsent */
    struct nu_stats *stats;
    uint64_t rx, tx;
    uint8_t meter_rx, meter_tx;
    uint8_t in;   /* the direction it is the source of */
    uint8_t side; /* enum nu_side */
    uint8_t mask; /* SOCK_IN ... */
    uint8_t read_ended;
    uint8_t write; /* enum sock_write */
    bool bulk;     /* a read came full: the next takes more, or is spliced */
};

static inline struct sock *sock_of(struct nu_filter *f)
{
    return (struct sock *)f;
}

static inline enum nu_dir sock_outdir(const struct sock *s)
{
    return nu_opposite(s->in);
}

static inline void sock_took(struct sock *s, size_t n)
{
    s->rx += n;
    if (s->stats)
        nu_stat_add(s->stats, nu_filter_loop(&s->filter)->shard, s->meter_rx, (int64_t)n);
    nu_chain_touch(s->filter.chain);
}

static inline void sock_gave(struct sock *s, size_t n)
{
    s->tx += n;
    if (s->stats)
        nu_stat_add(s->stats, nu_filter_loop(&s->filter)->shard, s->meter_tx, (int64_t)n);
    nu_chain_touch(s->filter.chain);
}

/* sock.c: has it read when the loop's ready list runs. */
void sock_read_soon(struct sock *s);

/* --- sock_out.c: the sink --- */

void sock_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev);
/* Within a callback of the socket: writes what it can, ends what has to end. */
void sock_flush(struct nu_filter *f);
void sock_write_failed(struct sock *s);
/* Takes over a pipe with `left` bytes in it: the socket holds until they are out. Within its
 * callback. */
void sock_out_pipe(struct sock *s, const int pipe[2], size_t left);
void sock_out_free(struct sock *s);
void sock_close_fd(struct sock *s, bool reset);
/* Bytes that the kernel holds because the peer has not acknowledged them; a FIN counts as one. */
int sock_unsent(const struct sock *s);

/* --- splice.c --- */

#define SPLICE_CHUNK (256u * 1024) /* bytes a turn: measured best over a 1 MiB pipe */

/* From s to d through a pipe of this worker. False: no pipe was to be had, or s cannot be spliced:
 * read instead. */
bool sock_splice(struct sock *s, struct sock *d);
/* Bytes moved on; -1 with errno. */
ssize_t splice_out(const int pipe[2], int fd, size_t left);
/* An empty pipe goes back to the worker's pool; one with bytes in it is closed. */
void splice_give_back(const int pipe[2], bool empty);

/* sock.c: after a read or splice of n bytes (or its failure) into `room`. True if there were bytes.
 */
bool sock_read_result(struct sock *s, ssize_t n, size_t room);

#endif
