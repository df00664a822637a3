/* What the layers tell: facts of exchanges, TLS, WebSocket messages, PROXY headers, connections;
 * and the sink, which every output implements.
 *
 * All that an event points to is lent for the call. Texts come from the wire as they are: whoever
 * prints them escapes them. One thread. */
#ifndef NU_TOOLS_TAP_EVENT_H
#define NU_TOOLS_TAP_EVENT_H

#include "protocols/capture/capture.h"
#include "protocols/http/head.h"
#include "tools/tap/layer.h"

#define TAP_NOTE_MAX    256 /* bytes; what does not fit is cut */
#define TAP_INTERIM_MAX 8   /* 1xx responses that are listed of an exchange */
#define TAP_ALPN_MAX    16  /* protocols that are listed of a hello */
#define TAP_ALERT_MAX   64  /* bytes of an alert's text */

enum tap_proto { TAP_H1, TAP_H2, TAP_GRPC };
const char *tap_proto_str(enum tap_proto proto); /* "h1", "h2", "grpc" */

/* What explains a delay or a hole, as counted so far. */
struct tap_trouble {
    uint64_t repeated[2], missing[2], zero_windows;
};
struct tap_trouble tap_trouble_now(const struct tap_conn *conn);
/* "server: handshake_failure", the fatal one of its TLS so far; NULL: none was read. */
const char *tap_alert_str(const struct tap_conn *conn, char text[static TAP_ALERT_MAX]);

/* Things worth saying, "gap of 1448B in the response body; 3 retransmissions". */
struct tap_note {
    char text[TAP_NOTE_MAX]; /* "" = nothing */
};
/* Adds one, behind "; ". */
void tap_note_add(struct tap_note *note, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* One direction of an exchange. */
struct tap_message {
    const struct nu_http_head *head; /* NULL: not seen. Of HTTP/2 fields that are not known (HPACK
                                      * after a missed start) are left out, `unknown` says so */
    const struct nu_http_head *trailers; /* or NULL */
    unsigned unknown;                    /* fields left out */
    struct nu_text type;                 /* media type without parameters, "application/json" */
    struct nu_text coding;               /* "gzip", "gzip, br"; empty without */
    uint64_t body_wire;                  /* bytes as sent, framing aside; gaps aside */
    uint64_t body; /* decoded; where there is no coding, or none that is known, as sent, with the
                    * bytes of gaps */
    const uint8_t *kept; /* the decoded body's first bytes, as tap_body_room asked */
    size_t kept_len;
    int64_t first_ns, last_ns; /* packets of its first and last byte; 0 = not seen */
    bool complete;             /* from its first byte to its last, without a gap */
};

/* Exchanges that --join has found to be the two sides of a proxy, as one of them has it; each may
 * be NULL. */
struct tap_tie {
    const struct tap_exchange *front; /* the client's side of this one */
    const struct tap_exchange *back;  /* the server's side, */
    const char *by;                   /* and how that is known (join_match.h) */
};

/* A request and its response, told once: when both are complete, or nothing more will come. */
struct tap_exchange {
    struct tap_conn *conn;
    uint64_t number; /* ++conn->exchanges, when its first byte is seen */
    uint32_t stream; /* of HTTP/2, else 0 */
    enum tap_proto proto;
    bool tls;
    struct nu_text method, host, target; /* empty = unknown; target: path and query, or as sent */
    unsigned status;                     /* 0 = no response; the final one */
    uint16_t interim[TAP_INTERIM_MAX];   /* 1xx before it, 101 excepted: that is the status */
    unsigned interims;
    int grpc_status;           /* -1 = none */
    uint64_t grpc_messages[2]; /* by direction */
    struct tap_message message[2];
    bool complete;             /* both are */
    struct tap_trouble before; /* as it began; tap_tell_exchange notes what came since */
    struct tap_note note;
    const struct tap_tie *tie; /* or NULL: without --join, and on its way to it */
};
/* From the request's first byte to the response's (1xx aside) first, and last byte; -1 unknown. */
int64_t tap_ttfb_ns(const struct tap_exchange *x);
int64_t tap_total_ns(const struct tap_exchange *x);
/* Of the two sides of a proxy: what it added to the time until the first byte; -1 unknown. */
int64_t tap_proxy_ns(const struct tap_exchange *front, const struct tap_exchange *back);

/* A connection's TLS, told once: with the first of its data that is read; if none is, at the end,
 * when both directions' bytes are counted. Texts "" or NULL = unknown. */
struct tap_tls {
    struct tap_conn *conn;
    int64_t time_ns; /* of the ClientHello */
    const char *sni;
    const char *alpn[TAP_ALPN_MAX]; /* offered */
    unsigned alpns;
    const char *alpn_chosen;
    const char *version; /* "TLSv1.3"; of the ServerHello */
    const char *cipher;  /* "TLS_AES_128_GCM_SHA256" */
    const char *ja3;     /* 32 hexadecimal digits */
    const char *ja4;
    const char *subject; /* of the server's certificate, where it is seen */
    const char *alert;   /* "server: handshake_failure"; the fatal one, so far */
    bool resumed;
    bool decrypted;     /* application data is read */
    const char *reason; /* why not: "no keys", "gap", "missed start", "snap length", ... */
};

/* A message, its fragments joined; control frames too. */
struct tap_ws {
    struct tap_conn *conn;
    uint64_t number; /* of the exchange that opened it */
    int64_t time_ns; /* of its last byte */
    int dir;
    unsigned opcode;     /* of its first frame */
    uint64_t len;        /* inflated */
    const uint8_t *kept; /* its first bytes (TAP_WS_SHOWN, or what tap_body_room asked) */
    size_t kept_len;
    int close_code; /* -1 = none */
    bool complete;
    struct tap_note note;
};
#define TAP_WS_SHOWN 64 /* bytes of a message that the default line shows */

struct tap_proxy {
    struct tap_conn *conn;
    int64_t time_ns;
    unsigned version;                   /* 1 or 2 */
    bool local;                         /* v2 LOCAL, v1 UNKNOWN: no addresses */
    struct nu_addr source, destination; /* NU_ADDR_NONE with local */
};

struct tap_record;

/* Each may be NULL. Connections are told to `conn` last, when all else of them has been told. */
struct tap_sink {
    void (*exchange)(void *ctx, const struct tap_exchange *x);
    void (*tls)(void *ctx, const struct tap_tls *tls);
    void (*ws)(void *ctx, const struct tap_ws *message);
    void (*proxy)(void *ctx, const struct tap_proxy *proxy);
    void (*conn)(void *ctx, struct tap_conn *conn);
    /* Bytes as the innermost layers read them, out of TLS and behind a PROXY header. */
    void (*plain)(void *ctx, struct tap_conn *conn, int dir, struct nu_piece bytes, int64_t ns);
    /* The same, of those that no layer understands. */
    void (*raw)(void *ctx, struct tap_conn *conn, int dir, struct nu_piece bytes, int64_t ns);
    /* A packet as it came, after all that was told because of it; `flow` 0: of no connection. */
    void (*packet)(void *ctx, const struct nu_capture_event *packet, uint64_t flow);
    /* All that is told (where.h), also what does not fit --where, before those above. */
    void (*any)(void *ctx, const struct tap_record *record, bool fits);
    /* TLS in the connection has this id in key logs, NU_SECRET_ID_BYTES; before any of its data. */
    void (*secret_id)(void *ctx, struct tap_conn *conn, const uint8_t *id);
    /* No packet has come for a while, and it is that time now by their clock. */
    void (*tick)(void *ctx, int64_t now_ns);
    /* Nothing more comes. */
    void (*finish)(void *ctx);
};

/* Of a connection or exchange as ids have it, "17.3" or "17": number 0 is the connection itself. */
struct tap_id {
    uint64_t flow, number;
};

/* To all sinks. tap_tell_exchange adds to the note what conn->flow counted since `before`, and, of
 * one that is cut short, what TLS knows of that. */
void tap_tell_exchange(struct tap_exchange *x);
void tap_tell_tls(const struct tap_tls *tls);
void tap_tell_ws(const struct tap_ws *message);
/* Sets conn->source, too. */
void tap_tell_proxy(const struct tap_proxy *proxy);
void tap_tell_plain(struct tap_conn *conn, int dir, struct nu_piece bytes, int64_t ns);
void tap_tell_raw(struct tap_conn *conn, int dir, struct nu_piece bytes, int64_t ns);
void tap_tell_secret_id(struct tap_conn *conn, const uint8_t *id);

#endif
