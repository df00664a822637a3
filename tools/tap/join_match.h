/* --join: whether one exchange is the other one's way on, behind a proxy. Pure: what is known of
 * exchanges in, a tie out; who gathers them and who shows them is not its business (join.c,
 * join_show.c). A tie that is not sure is none. One thread. */
#ifndef NU_TOOLS_TAP_JOIN_MATCH_H
#define NU_TOOLS_TAP_JOIN_MATCH_H

#include "tools/tap/event.h"

#define JOIN_MARKS_MAX 8  /* values of an exchange that may tie it; nobody sends more */
#define JOIN_EDGES_MAX 8  /* others that an exchange could be tied to, the strongest */
#define JOIN_HOPS_MAX  16 /* elements of X-Forwarded-For that are compared; more tie nothing */

/* What ties two legs, the weakest first. Each but the last two also needs that both agree in all
 * that is compared (join_judge), and that nobody else could be meant. */
enum join_by {
    JOIN_NONE,
    JOIN_LOOKS,      /* host, path, and the client of one is where the other's server is */
    JOIN_FORWARDED,  /* what a proxy has added: X-Forwarded-For, Via and such */
    JOIN_PROXY,      /* the PROXY header names the client */
    JOIN_PROXY_PATH, /* and the path agrees, too: of requests that share a connection */
    JOIN_VALUE,      /* a field's value that only these two have */
    JOIN_ID,         /* the same of a field that is there for it: x-request-id, traceparent */
};
const char *join_by_str(enum join_by by); /* "forwarded" */

/* A value by which an exchange could be known on both sides. */
enum join_mark_kind {
    JOIN_MARK_VALUE, /* of any field: long, with a digit */
    JOIN_MARK_TRACE, /* several requests may share it: of a page, of all that one has caused */
    JOIN_MARK_ID,    /* made for one request */
};
struct join_mark {
    struct nu_text name, value;
    int dir;
    enum join_mark_kind kind;
};

/* What would tie one to the other if nobody else could be meant. */
struct join_verdict {
    enum join_by by, looks; /* the strongest; the same without marks */
};

struct join_face;
struct join_edge {
    struct join_face *to;
    struct join_verdict verdict;
};
struct join_edges {
    struct join_edge edge[JOIN_EDGES_MAX];
    unsigned count;
    enum join_by dropped; /* the strongest that had no room: by that or less nobody can be meant */
};

/* What is compared of an exchange; lent as long as that is. */
struct join_face {
    const struct tap_exchange *x;
    const struct nu_addr *client, *server;
    struct nu_text path, query, last; /* `last`: the path's last segment */
    struct join_mark mark[JOIN_MARKS_MAX];
    unsigned marks;
    bool ws;        /* asks for WebSocket */
    bool open;      /* it still goes on */
    int64_t end_ns; /* when it was over */

    bool due;                       /* all that is behind it has been told */
    bool alone;                     /* nothing is, that is decided */
    struct join_face *front, *back; /* whose server side it is, and its own; or NULL */
    enum join_by by;                /* of `back` */

    struct join_edges fronts, backs; /* who could be, by join_link */
    bool awaited; /* one that still goes on, or is not due, could be in front of it */
};
/* What the exchange says; the rest is zero. */
void join_face_of(struct join_face *face, const struct tap_exchange *x, bool open);
bool join_has_mark(const struct join_face *face, const struct join_mark *mark);

/* `front` may still go on. */
struct join_verdict join_judge(const struct join_face *front, const struct join_face *back);

/* When one went on, beside the others: most pairs are told apart by that alone. */
struct join_span {
    int64_t from_ns, end_ns;
    struct join_face *face;
};

/* All that are known: told ones, and those that still go on. */
struct join_field {
    struct join_face **told;
    size_t tolds;
    struct join_face *open;
    size_t opens;
    struct join_span *span; /* room for tolds + opens */
    int64_t lost_ns; /* until then some had to be forgotten: no rival is known to be missing */
};
/* Judges all pairs that are not tied. True: one may yet be tied to one that goes on. */
bool join_link(const struct join_field *field);
/* Ties to `front` what is meant by this evidence; after join_link. False: nothing, or not sure. */
bool join_tie(const struct join_field *field, struct join_face *front, enum join_by by);
/* Whether more may become known: what could be behind it might be of one that goes on. `any` is
 * what join_link said. */
bool join_may_find(const struct join_face *front, bool any);
/* Whether one that goes on, or is not decided, may be in front of it. */
bool join_may_front(const struct join_face *back);

#endif
