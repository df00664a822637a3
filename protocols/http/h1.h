/* HTTP/1.0 and 1.1, RFC 9110 and 9112: reads requests and responses off received bytes. Strict:
 * what could be read two ways is refused with a reason, never repaired; clients and servers are
 * equally hostile. No socket, no clock, one thread per parser. h1_write.h is the other half.
 *
 * For each message: nu_h1_begin_request or _response, then nu_h1_read as long as there are bytes,
 * one event a call, until NU_H1_END. The caller stops calling to hold a peer back. Between messages
 * a parser holds no memory; everything of a message is in its arena.
 *
 * Where reads cut the bytes makes no difference to what comes out. A head that lies in one read
 * is not copied; of one that is cut, what came before the last cut is copied once to the arena (of
 * a line that is cut often the bytes move again as its room doubles). */
#ifndef NU_PROTOCOLS_HTTP_H1_H
#define NU_PROTOCOLS_HTTP_H1_H

#include "protocols/http/h1_error.h"
#include "protocols/http/head.h"

struct nu_h1_limits {
    uint32_t head_bytes;    /* start line to the empty line; beyond it nobody is honest */
    uint32_t target_bytes;  /* logs, routes and regexes work on it */
    uint32_t fields;        /* each costs a slot in the arena, and filters look at all */
    uint32_t trailer_bytes; /* few use them, none for bulk */
    uint64_t body_bytes;    /* 0 = any size */
};

/* 60 KiB and 100 fields are Envoy's, nobody's browser is stopped by them. 8000 is the least that
 * RFC 9112 3 asks for; with 8 KiB a target fits one read. */
#define NU_H1_LIMITS_DEFAULT                                                                       \
    {                                                                                              \
        .head_bytes = 60 * 1024, .target_bytes = 8 * 1024, .fields = 100,                          \
        .trailer_bytes = 8 * 1024, .body_bytes = 0                                                 \
    }

#define NU_H1_METHOD_MAX_BYTES   32   /* UPDATEREDIRECTREF has 17 (RFC 4437) */
#define NU_H1_REASON_MAX_BYTES   1024 /* nobody reads it */
#define NU_H1_EMPTY_LINES_MAX    4 /* one is to be ignored (RFC 9112 2.2); a few are an old client */
#define NU_H1_CHUNK_DIGITS_MAX   16   /* of a size, leading zeros counted: 64 bits */
#define NU_H1_CHUNK_EXT_MAX      1024 /* bytes in one chunk head: real ones carry a signature of 80 */
#define NU_H1_CHUNK_EXT_BUDGET   (16 * 1024) /* bytes that extensions may be ahead of the body */
#define NU_H1_CONNECTION_OPTIONS 16          /* each is looked for among all fields */
#define NU_H1_INTERIM_MAX        100         /* 1xx heads before one response; each costs a head */

/* For the arena of a message: its head with 12 fields fits the first chunk, and that chunk malloc's
 * cache. */
#define NU_H1_ARENA_BYTES 976

enum nu_h1_event {
    NU_H1_MORE,    /* all input was used, nothing is complete: come back with more */
    NU_H1_INTERIM, /* the head of a 1xx response; the parser goes on to the next head by itself */
    NU_H1_HEAD,    /* head->body says what follows */
    NU_H1_DATA,    /* some of the body, or of a tunnel */
    NU_H1_TRAIL,   /* trailers, only if there are any */
    NU_H1_END,     /* the message is complete; its last byte was the one before `in` */
    NU_H1_ERROR,   /* refused; final */
};
const char *nu_h1_event_str(enum nu_h1_event event);

struct nu_h1_out {
    /* INTERIM, HEAD, TRAIL: the arena's; drop it when the stream goes. ERROR: what was read of a
     * head whose start line was fine, for logs; all in the arena; else NULL. */
    struct nu_http_head *head;
    struct nu_slice data;   /* DATA: the caller's own share */
    enum nu_h1_error error; /* ERROR */
};

/* Treat as private. Zeroed memory is a parser that only nu_h1_init may be called on. */
struct nu_h1_parser {
    const struct nu_h1_limits *limits;
    struct nu_arena *arena;    /* of the message; NULL between messages */
    struct nu_http_head *head; /* being read: the head, then the trailers */
    const uint8_t *run;        /* head bytes in the input that are not copied; NULL = none */
    uint64_t left;             /* bytes of the body, or of this chunk */
    uint64_t body_bytes;       /* received so far */
    char *seg;                 /* room for lines that reads have cut, in the arena */
    uint32_t seg_used, seg_cap;
    uint32_t seg_line, seen; /* where the cut line begins; how much of it is known to be text */
    uint32_t head_bytes;     /* of this head or trailer, in whole lines */
    uint32_t interim_bytes;  /* of all 1xx heads before this one */
    uint64_t ext_bytes;      /* of all chunk extensions of this message */
    uint16_t line_ext;       /* of this chunk's */
    uint8_t state, role, error;
    uint8_t method;  /* enum nu_method: what a response answers */
    uint8_t upgrade; /* a response: 101 may come */
    uint8_t digits, ext, empty_lines, interims;
};

/* The limits are borrowed for the parser's life; they are at most 1 GiB each. Nothing to free. */
void nu_h1_init(struct nu_h1_parser *p, const struct nu_h1_limits *limits);

/* A message is to be read; the one before is over. The arena is the message's, and outlives what
 * events lend. A response is read in the light of the request it answers: its method, and whether
 * it asked for an upgrade (RFC 9112 6.3). */
void nu_h1_begin_request(struct nu_h1_parser *p, struct nu_arena *arena);
void nu_h1_begin_response(struct nu_h1_parser *p, struct nu_arena *arena, enum nu_method method,
                          bool upgrade);
/* After the END of a request for CONNECT or an upgrade that was granted: all further bytes are
 * DATA until nu_h1_eof. (A response's parser knows by itself.) */
void nu_h1_tunnel(struct nu_h1_parser *p);

/* Takes bytes off the front of `in` up to the next event; `in` keeps its share in the block, which
 * the caller drops. The input must not be empty while the answer is not known otherwise: the empty
 * one gives NU_H1_MORE, or an event that needs no byte (END). After END or ERROR nothing may be
 * read before the next begin. `out` is set on every path. */
enum nu_h1_event nu_h1_read(struct nu_h1_parser *p, struct nu_slice *in, struct nu_h1_out *out);
/* The peer has closed, cleanly, and all bytes were read. END: a body until close, or a tunnel, is
 * complete. ERROR: the message is cut short. MORE: no byte of a message has come. */
enum nu_h1_event nu_h1_eof(struct nu_h1_parser *p, struct nu_h1_out *out);

/* So many bytes from here on are body or tunnel and nothing else; 0 = look at each. A caller that
 * moves some of them past the parser (splice) says so by nu_h1_passed. */
uint64_t nu_h1_opaque(const struct nu_h1_parser *p);
void nu_h1_passed(struct nu_h1_parser *p, uint64_t bytes);

/* No byte of the message has come yet, empty lines aside: no headers timeout runs. */
bool nu_h1_idle(const struct nu_h1_parser *p);

#endif
