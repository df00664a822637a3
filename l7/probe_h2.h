/* A check in HTTP/2: one request on a connection of its own, and its answer. What is asked and what
 * is a good answer is the way's: HTTP's (probe.c), gRPC's (probe_grpc.c). Inside of l7/probe*.c. */
#ifndef NU_L7_PROBE_H2_H
#define NU_L7_PROBE_H2_H

#include "core/filter.h"
#include "protocols/http/head.h"

/* Bytes of a body that are kept: what one that is looked at may have, and one to know of more. */
#define PROBE_H2_KEPT_BYTES 64

struct probe_answer {
    const struct nu_http_head *head;
    const struct nu_http_head *trailers; /* NULL = none came */
    const uint8_t *body;                 /* the first of its bytes, up to PROBE_H2_KEPT_BYTES */
    size_t len;                          /* of all of it */
};

/* Each of the last two may say the verdict (l4/health/probe.h). */
struct probe_way {
    /* Fills the request's head; writes its body to `body`, of PROBE_BODY_MAX bytes: how many. */
    size_t (*ask)(struct nu_filter *f, const void *conf, struct nu_http_head *head, uint8_t *body);
    void (*head)(struct nu_filter *f, const void *conf, const struct nu_http_head *head);
    void (*end)(struct nu_filter *f, const void *conf, const struct probe_answer *answer);
};
#define PROBE_BODY_MAX 512

/* In memory of a filter, from its `open` on or when it has become this. */
struct probe_h2 {
    struct nu_filter filter;
    const struct probe_way *way;
    const void *conf;
    struct nu_h2 *h2;
    struct nu_h2_stream *st; /* NULL: it is over */
    struct probe_answer answer;
    uint8_t *kept;
};

/* What to do in `open`: says over TLS that this is what we speak; "h2" or "h2,http/1.1". */
void probe_h2_offer(struct nu_filter *f, const char *alpn);
/* Whether the server agreed to it: over TLS only; in clear text it is known before. */
bool probe_h2_is_agreed(const struct nu_filter *f);
/* A filter, from its own callback and with nothing ahead that holds, goes on as this and asks. */
void probe_h2_become(struct nu_filter *f, const struct probe_way *way, const void *conf);
/* The verdict over one who did not agree. */
void probe_h2_refuse(struct nu_filter *f);

#endif
