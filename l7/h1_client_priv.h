/* Inside of the HTTP/1 side towards servers: what a leg keeps. */
#ifndef NU_L7_H1_CLIENT_PRIV_H
#define NU_L7_H1_CLIENT_PRIV_H

#include "l4/upstream.h"
#include "l7/h1_client.h"
#include "l7/pool.h"
#include "protocols/http/h1.h"

enum client_state {
    CLIENT_CONNECTING, /* joined, not ready */
    CLIENT_BUSY,       /* joined: a request is in progress */
    CLIENT_KEPT,       /* in the pool, not joined */
    CLIENT_ENDING,     /* nothing of it may be used any more */
};

/* What of the exchange in progress is over. */
enum { SAID = 1, HEARD = 2 };

/* What it has as long as it speaks HTTP: a tunnel, which may be there for hours, has none. */
struct http_part {
    struct h1_client *of;
    struct nu_pooled pooled;
    struct nu_http_head *request; /* in progress: the router's */
    struct nu_slice rest;         /* received, not read */
    int64_t since_ms;             /* kept since */
    uint32_t requests;
    bool chunked; /* the request's body is */
    bool keep;    /* the response allows another request */
    bool idle_timer;
    struct nu_h1_parser parser;
};

struct h1_client {
    struct nu_filter filter;
    struct nu_joint joint;
    struct nu_upstream up;
    void (*ready)(struct nu_filter *router);
    struct http_part *http; /* NULL: bytes pass it by */
    uint8_t state;
    uint8_t over; /* SAID, HEARD */
    bool tunnel;  /* what flows is no message any more: each half ends by itself */
};

#endif
