/* What the parts of the HTTP/1 reader share. h1.c drives; h1_line.c finds lines in bytes that reads
 * have cut; h1_start.c and h1_field.c read them; h1_frame.c and h1_host.c judge the whole head;
 * h1_chunk.c reads chunked bodies. */
#ifndef NU_PROTOCOLS_HTTP_H1_PRIV_H
#define NU_PROTOCOLS_HTTP_H1_PRIV_H

#include "protocols/http/chars_priv.h"
#include "protocols/http/h1.h"

enum h1_role { H1_REQUEST, H1_RESPONSE };

enum h1_state {
    H1_REST,     /* no message is to be read */
    H1_START,    /* before or in the start line */
    H1_FIELDS,   /* in the header section */
    H1_LENGTH,   /* in a body of known length */
    H1_CLOSE,    /* in a body that ends with the connection */
    H1_TUNNEL,   /* no message any more */
    H1_SIZE,     /* in a chunk size */
    H1_EXT,      /* in a chunk's extensions */
    H1_SIZE_LF,  /* before the LF of a chunk head */
    H1_CHUNK,    /* in a chunk's data */
    H1_CHUNK_CR, /* before the CR that follows it */
    H1_CHUNK_LF, /* before its LF */
    H1_TRAILERS, /* in the trailer section */
    H1_ENDING,   /* END is the next event */
    H1_FAILED,
    H1_STATES,
};

/* What a step answers when there is no event yet and the state says how to go on. */
#define H1_AGAIN ((enum nu_h1_event)(NU_H1_ERROR + 1))

/* The only place that assigns the state. */
void h1_go(struct nu_h1_parser *p, enum h1_state state);
/* Latches the reason; the answer is NU_H1_ERROR. */
enum nu_h1_event h1_fail(struct nu_h1_parser *p, enum nu_h1_error error);

static inline void h1_skip(struct nu_slice *in, size_t len)
{
    in->data += len;
    in->len -= len;
}

/* nu_slice_split, but no slice goes through memory as a whole: what was just written by parts would
 * be waited for. */
static inline void h1_split(struct nu_slice *in, uint64_t most, struct nu_slice *out)
{
    size_t len = in->len < most ? in->len : (size_t)most;
    if (in->block)
        in->block->refs++;
    out->data = in->data;
    out->len = len;
    out->block = in->block;
    h1_skip(in, len);
}

/* nu_text_is_fold for a literal. */
#define h1_is_word(text, word) h1_is_name((text), (word), sizeof(word) - 1)
static inline bool h1_is_name(struct nu_text text, const char *is, size_t len)
{
    return text.len == len && ch_is_name(text.at, is, len);
}

/* h1_line.c: takes a line of at most `room` bytes with its CRLF. TOOK: `line` is what stands before
 * the CRLF. CUT: all input is used up, kept in the arena, and the line is not whole. LONG: it is
 * longer than room. BAD: the byte behind `line` must not stand there; *error says what it is. But
 * for TOOK, `line` is what of it is known to be text. */
enum h1_line { H1_TOOK, H1_CUT, H1_LONG, H1_BAD };
enum h1_line h1_take_hard_line(struct nu_h1_parser *p, struct nu_slice *in, size_t room,
                               struct nu_text *line, enum nu_h1_error *error);
static inline enum h1_line h1_take_line(struct nu_h1_parser *p, struct nu_slice *in, size_t room,
                                        struct nu_text *line, enum nu_h1_error *error)
{
    const char *at = (const char *)in->data;
    size_t len = in->len < room ? in->len : room;
    if (p->seg_used > p->seg_line)
        return h1_take_hard_line(p, in, room, line, error);
    size_t text = len && *at == '\r' ? 0 : ch_text(at, len); /* most are empty lines */
    if (text + 1 >= len || at[text] != '\r' || at[text + 1] != '\n')
        return h1_take_hard_line(p, in, room, line, error);
    if (!p->run)
        p->run = in->data;
    *line = nu_text(at, text);
    p->head_bytes += (uint32_t)text + 2;
    h1_skip(in, text + 2);
    return H1_TOOK;
}
/* A new head begins: no line is kept. */
void h1_lines_reset(struct nu_h1_parser *p);
/* The head is whole: it gets its share of the input that its texts point into. */
void h1_lines_pin(struct nu_h1_parser *p, const struct nu_slice *in);
/* The head is refused: its texts move to the arena. */
void h1_lines_salvage(struct nu_h1_parser *p, const struct nu_slice *in);

/* h1_start.c: what is wrong with the start line so far, judged by its first word only; a longer
 * part of the same line never gets another answer than FINE or the same. */
enum nu_h1_error h1_start_begins(enum h1_role role, struct nu_text text);
enum nu_h1_error h1_request_line(struct nu_h1_parser *p, struct nu_text line);
enum nu_h1_error h1_status_line(struct nu_h1_parser *p, struct nu_text line);

/* h1_field.c: one line without its CRLF. */
enum nu_h1_error h1_field_line(struct nu_http_head *head, struct nu_text line);
/* Takes lines that lie whole in the `len` bytes and have nothing wrong, as long as the head has
 * less than `fields`; how many bytes. */
size_t h1_easy_lines(struct nu_http_head *head, const char *begin, size_t len, unsigned fields);

/* h1_host.c: host [":" port] (RFC 3986 3.2.2). port -1 = none given. */
struct h1_authority {
    struct nu_text host;
    int port;
};
bool h1_authority(struct nu_text text, struct h1_authority *out);
enum nu_h1_error h1_judge_host(struct nu_http_head *head);

/* h1_frame.c: the head is whole: Connection, Host, framing; sets the head's facts. */
enum nu_h1_error h1_judge_request(struct nu_h1_parser *p, struct nu_http_head *head);
enum nu_h1_error h1_judge_response(struct nu_h1_parser *p, struct nu_http_head *head);

/* h1_chunk.c: steps of the states of its name. */
typedef enum nu_h1_event h1_step(struct nu_h1_parser *p, struct nu_slice *in,
                                 struct nu_h1_out *out);
h1_step h1_chunk_size, h1_chunk_ext, h1_chunk_size_lf, h1_chunk_data, h1_chunk_cr, h1_chunk_lf;
/* h1.c: what follows the last chunk. */
h1_step h1_trailers;

#endif
