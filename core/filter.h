/* The vtable of a filter: the one abstraction from socket to HTTP. Rules are cited by the letters
 * of docs/internals/chain.md.
 *
 * A filter is a struct whose first member is struct nu_filter, and one const struct nu_filter_type.
 * It lives in one chain on one thread; the chain owns it. */
#ifndef NU_CORE_FILTER_H
#define NU_CORE_FILTER_H

#include "core/event.h"

struct nu_chain;
struct nu_facts;
struct nu_filter;
struct nu_schema;
struct nu_conf;
struct nu_arena;
struct nu_node;
struct nu_generation;

/* What a filter speaks to its left and right. SAME: whatever the neighbour speaks; NONE: nothing,
 * the chain's end. */
enum nu_face { NU_FACE_NONE, NU_FACE_BYTES, NU_FACE_HTTP, NU_FACE_WS, NU_FACE_DGRAM, NU_SAME };
const char *nu_face_str(enum nu_face face);
#define NU_FACES(left, right)                                                                      \
    {                                                                                              \
        left, right                                                                                \
    }

enum nu_signal { NU_DRAIN, NU_RELOAD };

/* What `open` answers besides 0. */
enum nu_open { NU_OPEN = 0, NU_PASS, NU_REFUSE };

enum {
    NU_F_SOCKET = 1,   /* a plain socket: a possible end of a direct relay (D1) */
    NU_F_INTERNAL = 2, /* made by the program, never named in a config */
    NU_F_TEST = 4,     /* test filters */
    NU_F_RENEWS = 8,   /* ends a chain, and takes a newer config between two messages */
    NU_F_ASKS = 16,    /* ends a chain that has facts of an exchange from the start */
};

struct nu_filter_type {
    const char *name; /* in config, logs, stats: "tls", "http", "throttle" */
    const char *doc;
    size_t size;     /* of the instance, aligned to a pointer; struct nu_filter comes first */
    uint8_t face[2]; /* enum nu_face: left, right */
    uint8_t flags;
    uint16_t joint; /* offset of its struct nu_joint, which has to follow the struct nu_filter: who
                       crosses needs no look where it is; 0 = not the end of a joint */
    uint16_t sees[2]; /* per direction: kinds delivered to it; others pass by untouched; nu_narrow()
                         lessens it */
    const struct nu_schema *schema; /* its config and its docs; NULL = it has no options */

    /* Config time, main thread: what `open` gets as conf, from the parsed struct. NULL: the parsed
     * struct itself. */
    enum nu_err (*prepare)(struct nu_generation *, struct nu_conf *, struct nu_arena *,
                           const struct nu_node *, void *parsed);
    /* Instead of prepare where the options are wrong: reports the names in them that nothing has,
     * so that all mistakes show at once. NULL: it refers to nothing by name. */
    void (*check_names)(const struct nu_generation *, struct nu_conf *, const struct nu_node *);

    /* Before a request's chain is built: by what the facts say this place may stay empty, so that
     * it costs nothing. It hears of nothing then, not even open. NULL: never. */
    bool (*spare)(const void *conf, const struct nu_facts *facts);
    /* A member of the chain now. May hold, may not forward. NU_REFUSE ends the chain: latch why by
     * nu_fail. */
    enum nu_open (*open)(struct nu_filter *, const void *conf);
    /* Left to right once all are open: who speaks first does it here. */
    void (*start)(struct nu_filter *);
    /* An event it sees; takes ownership. NULL only if it sees nothing. */
    void (*event)(struct nu_filter *, enum nu_dir, struct nu_ev *);
    /* Of one that as a rule only looks at DATA: whether these bytes, read by the socket at one end,
     * may go to the one at the other end as they are (D1). Counts and remembers, and nothing else:
     * not within a frame of its own. False: it has forgotten them, and gets them as an event.
     * NULL: it wants events. */
    bool (*look)(struct nu_filter *, enum nu_dir, const uint8_t *at, size_t len);
    /* The way ahead of it in this direction became blocked (go = false) or free. NULL = don't care.
     */
    void (*flow)(struct nu_filter *, enum nu_dir, bool go);
    void (*signal)(struct nu_filter *, enum nu_signal);
    /* Last call ever, also after a failed open. May not forward, hold, or look at neighbours. NULL
     * = nothing to free. */
    void (*close)(struct nu_filter *);
};

/* Two bits of each, one per direction. */
enum nu_filter_bit {
    NU_B_HOLD,     /* its own: nu_hold */
    NU_B_FAR_HOLD, /* joint: blocked beyond it, in the partner's chain (J2) */
    NU_B_COUNTED,  /* stands in the chain's count of blocks */
    NU_B_TOLD,     /* it knows from flow() or nu_blocked() that the way ahead is blocked */
    NU_B_ENDED,    /* END has left it in this direction (O2) */
    NU_B_ARRIVED,  /* END has been delivered to it */
    NU_B_DROP,     /* arrivals are discarded */
    NU_B_SHIELD,   /* what is blocked ahead of it stops nobody before it (B6) */
};

struct nu_queued;

struct nu_filter {
    const struct nu_filter_type *type;
    struct nu_chain *chain;
    struct nu_filter *next[2];  /* [NU_FWD] its right neighbour, [NU_REV] its left one */
    struct nu_queued *queue[2]; /* last of a ring, NULL when empty */
    uint16_t bits;              /* enum nu_filter_bit, two each */
    uint8_t sees[2];            /* what is left of type->sees */
    uint8_t busy;               /* one of its callbacks is on the stack (R1) */
    uint8_t opened;             /* 1 while open runs, 2 from then on */
    uint8_t apart;              /* inserted later: its memory is its own */
    uint8_t bypassed;           /* hears of nothing but close */
};

/* For chain code and the few filters that ask about their own state. */
static inline bool nu_bit(const struct nu_filter *f, enum nu_filter_bit bit, enum nu_dir dir)
{
    return f->bits >> (bit * 2 + dir) & 1;
}

#endif
