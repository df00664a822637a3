/* The inside of the TLS filter, shared by its events (filter.c), its handshake (handshake.c) and
 * its failures (failure.c). */
#ifndef NU_TLS_FILTER_PRIV_H
#define NU_TLS_FILTER_PRIV_H

#include "protocols/tls/client_hello.h"
#include "tls/bio.h"
#include "tls/filter.h"
#include "tls/stats.h"

/* What either side may send before the handshake is done: OpenSSL takes chains of certificates up
 * to 100 KiB, and hellos may come in records of one byte (NU_HELLO_MAX_WIRE_BYTES). */
#define TLS_HANDSHAKE_MAX_BYTES (256u * 1024)

/* Messages of control after the handshake (KeyUpdate, tickets, attempts to renegotiate): this many
 * at once, then one for each refill. A key is good for 2^24 records and more, so nobody honest
 * comes near; each costs us key derivations and perhaps an answer. */
#define TLS_CONTROL_BURST     32
#define TLS_CONTROL_REFILL_MS 1000

enum tls_state {
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_SHUT,   /* the plain side has ended: nothing is encrypted any more */
    TLS_FAILED, /* an alert is on its way out; then the chain fails */
};
const char *tls_state_str(enum tls_state state);

enum { TLS_TIMER_HANDSHAKE, TLS_TIMER_FAIL };

#define TLS_NO_ALERT 255

/* A refused client may still be talking; closing at once could take the alert from it. */
#define TLS_LINGER_MS 1000

struct tls {
    struct nu_filter filter;
    struct nu_tls_conn conn;
    struct tls_wire wire;
    struct nu_client_hello *hello; /* server: watches the ClientHello until it is whole */
    struct nu_ev waiting;          /* plain event that OpenSSL cannot take in the midst of a message
                                      of its own; if `stuck` */
    int64_t start_ms;
    uint64_t wire_in, wire_out;  /* bytes */
    int64_t refilled_ms;         /* control messages */
    const char *failure_details; /* in TLS_FAILED */
    uint16_t control;            /* messages that may still come */
    uint8_t failure_cause;
    uint8_t state; /* enum tls_state, assigned by tls_set_state alone */
    uint8_t in;    /* direction of what is decrypted: FWD as a server */
    uint8_t alert_in, alert_out;
    bool starting; /* within `start` */
    bool reached;  /* as a client: the way to the server was free once, it is connected */
    bool stuck;
    bool filled; /* the last read had no room left: of its record there may be more */
    bool ahead;  /* a record went on though the way was blocked */
    bool talks;  /* the peer said more after our close_notify */
};

static inline struct tls *tls_of(struct nu_filter *f)
{
    return (struct tls *)f;
}

static inline bool tls_is_server(const struct tls *t)
{
    return t->in == NU_FWD;
}

static inline enum nu_dir tls_outdir(const struct tls *t)
{
    return nu_opposite((enum nu_dir)t->in);
}

static inline void tls_count(const struct tls *t, enum nu_tls_stat stat)
{
    nu_stat_add(t->conn.context->stats, nu_filter_loop(&t->filter)->shard, stat, 1);
}

/* --- filter.c --- */

void tls_set_state(struct tls *t, enum tls_state to);
/* Around each call into OpenSSL; tls_leave sends on what was written. `expect`: bytes, 0 = few. */
void tls_enter(struct tls *t, size_t expect);
void tls_leave(struct tls *t);

/* --- handshake.c --- */

/* Takes the handshake as far as the bytes at hand go. True once it is done: state is OPEN. */
bool tls_shake(struct tls *t);

/* --- hello.c --- */

/* Looks at a server's first bytes before OpenSSL gets them: caps and facts. False: failed. */
bool tls_hello_watch(struct tls *t);
void tls_hello_free(struct tls *t);

/* --- failure.c --- */

/* OpenSSL says no: counts, logs, sends the alert on its way and has the chain fail behind it. */
void tls_broken(struct tls *t);
/* The same for what is ours to say. `details` is static or in the chain's arena. */
void tls_refuse(struct tls *t, enum nu_cause cause, const char *details);
/* The wire ended (or failed) before the handshake did. */
void tls_deserted(struct tls *t, struct nu_result end);
/* The chain is over. Tells of a server that took the connection and then let connect_timeout pass:
 * the leg's timer is over both. */
void tls_cut_short(struct tls *t);
/* Timers' callbacks: the handshake's time is up; the alert has had its time, the chain fails. */
void tls_too_late(struct nu_filter *f);
void tls_fail_now(struct nu_filter *f);

#endif
