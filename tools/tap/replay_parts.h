/* What the parts of replay.h share. */
#ifndef NU_TOOLS_TAP_REPLAY_PARTS_H
#define NU_TOOLS_TAP_REPLAY_PARTS_H

#include "core/arena.h"
#include "tools/tap/replay.h"

#include <sys/socket.h>

#define REPLAY_EXCERPT 32 /* bytes that are shown of bodies that differ */

enum replay_skip {
    SKIP_NONE,
    SKIP_CUT,     /* not captured from its begin to its end */
    SKIP_TUNNEL,  /* CONNECT, WebSocket and other upgrades */
    SKIP_GRPC,    /* needs HTTP/2 */
    SKIP_LONG,    /* its body is */
    SKIP_MEMORY,  /* no room for it */
    SKIP_INVALID, /* cannot be said in HTTP/1.1 */
    SKIPS,
};
const char *replay_skip_str(enum replay_skip why);

/* A recorded exchange, and how it went this time. */
struct replay_item {
    struct tap_id id;
    int64_t at_ns; /* of its first byte */
    struct nu_arena *arena;
    struct nu_http_head *head;
    uint8_t *body;
    size_t body_len;
    bool tls;

    unsigned status;   /* of the recorded answer; 0 = there was none */
    bool whole;        /* the recorded answer was captured to its end */
    uint64_t size;     /* of its body, decoded */
    uint8_t *answer;   /* its first bytes */
    size_t answer_len; /* of those */
    int64_t total_ns;  /* -1 = unknown */

    struct replay_item *before; /* on its connection, whose answer it waited for; or NULL */
    bool begun, done;

    unsigned now_status;
    uint64_t now_size;
    int64_t now_ns;    /* that it took */
    const char *error; /* static; NULL = it was answered */
    bool now_whole;
    bool same_body;
    uint64_t differs_at;         /* of the bodies */
    uint8_t now[REPLAY_EXCERPT]; /* of the body, from there on */
    uint8_t now_len;
};

/* --- replay.c --- */

/* One that has no target yet: it only gathers. */
struct tap_replay *replay_new(const struct tap_replay_conf *conf);
/* The i-th that was gathered; NULL behind the last. */
const struct replay_item *replay_item_at(const struct tap_replay *replay, size_t i);

/* --- replay_conn.c --- */

struct replay_conn;
struct replay_target {
    struct sockaddr_storage addr;
    socklen_t addr_len;
};
/* What connections share: blocks, and whom they count memory with. Never NULL. */
struct replay_conns;
struct replay_conns *replay_conns_new(const struct replay_target *target, struct tap *tap);
void replay_conns_free(struct replay_conns *all);

/* A connection that is idle, without a socket yet; `lane` is the recorded one's number. */
struct replay_conn *replay_conn_new(struct replay_conns *all);
void replay_conn_free(struct replay_conn *conn);
/* Sends it; its answer is compared as it comes, and `done` is set in the end. */
void replay_conn_send(struct replay_conn *conn, struct replay_item *item, int64_t now_ns);
/* NULL: it is idle. */
const struct replay_item *replay_conn_item(const struct replay_conn *conn);
/* The recorded connection that it was used for last. */
uint64_t replay_conn_lane(const struct replay_conn *conn);
/* What poll() is to wait for; -1 = nothing. */
int replay_conn_fd(const struct replay_conn *conn, short *events);
/* It is ready for that. */
void replay_conn_step(struct replay_conn *conn, short events, int64_t now_ns);
/* When it will have taken too long; INT64_MAX = idle. */
int64_t replay_conn_deadline(const struct replay_conn *conn);
void replay_conn_expire(struct replay_conn *conn, int64_t now_ns);

/* --- replay_run.c --- */

/* All items, ordered by time; `each` is told of those that are done. */
void replay_run(struct replay_item **items, size_t count, const struct tap_pace *pace,
                struct replay_conns *conns, const volatile sig_atomic_t *stop,
                void (*each)(void *ctx, struct replay_item *item), void *ctx);
int64_t replay_now_ns(void);

#endif
