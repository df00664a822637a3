/* Drives the reading of HTTP/1 messages: states, steps, limits of a head; see h1.h. */
#include "protocols/http/h1.h"

#include "core/assert.h"
#include "protocols/http/chars_priv.h"
#include "protocols/http/h1_priv.h"

#define LIMIT_MAX (1u << 30) /* bytes: sums and doubles of limits stay in 32 bits */

#define TO(state) (1u << H1_##state)

/* The states that may follow each; all but REST may fail. */
static const uint32_t edges[H1_STATES] = {
    [H1_REST] = TO(START) | TO(TUNNEL),
    [H1_START] = TO(FIELDS),
    [H1_FIELDS] = TO(START) | TO(LENGTH) | TO(CLOSE) | TO(TUNNEL) | TO(SIZE) | TO(ENDING),
    [H1_LENGTH] = TO(ENDING),
    [H1_CLOSE] = TO(REST),
    [H1_TUNNEL] = TO(REST),
    [H1_SIZE] = TO(EXT) | TO(CHUNK) | TO(TRAILERS),
    [H1_EXT] = TO(SIZE_LF),
    [H1_SIZE_LF] = TO(CHUNK) | TO(TRAILERS),
    [H1_CHUNK] = TO(CHUNK_CR) | TO(SIZE),
    [H1_CHUNK_CR] = TO(CHUNK_LF),
    [H1_CHUNK_LF] = TO(SIZE),
    [H1_TRAILERS] = TO(ENDING),
    [H1_ENDING] = TO(REST),
};

void h1_go(struct nu_h1_parser *p, enum h1_state state)
{
    nu_assert(edges[p->state] >> state & 1);
    p->state = (uint8_t)state;
}

enum nu_h1_event h1_fail(struct nu_h1_parser *p, enum nu_h1_error error)
{
    nu_assert(p->state != H1_REST && p->state != H1_FAILED && error != NU_H1_FINE);
    p->state = H1_FAILED;
    p->error = (uint8_t)error;
    return NU_H1_ERROR;
}

void nu_h1_init(struct nu_h1_parser *p, const struct nu_h1_limits *limits)
{
    nu_assert(limits->head_bytes <= LIMIT_MAX && limits->target_bytes <= LIMIT_MAX &&
              limits->trailer_bytes <= LIMIT_MAX && limits->fields <= NU_HTTP_FIELDS_MAX);
    *p = (struct nu_h1_parser){.limits = limits};
}

static void begin(struct nu_h1_parser *p, enum h1_role role, struct nu_arena *arena)
{
    nu_assert(p->state == H1_REST && arena);
    *p = (struct nu_h1_parser){.limits = p->limits, .arena = arena, .role = role, .state = H1_REST};
    h1_go(p, H1_START);
}

void nu_h1_begin_request(struct nu_h1_parser *p, struct nu_arena *arena)
{
    begin(p, H1_REQUEST, arena);
}

void nu_h1_begin_response(struct nu_h1_parser *p, struct nu_arena *arena, enum nu_method method,
                          bool upgrade)
{
    begin(p, H1_RESPONSE, arena);
    p->method = (uint8_t)method;
    p->upgrade = upgrade;
}

void nu_h1_tunnel(struct nu_h1_parser *p)
{
    h1_go(p, H1_TUNNEL);
}

bool nu_h1_idle(const struct nu_h1_parser *p)
{
    return p->state == H1_REST ||
           (p->state == H1_START && p->seg_used == p->seg_line && p->interims == 0);
}

/* Of the start line with its CRLF. */
static size_t start_room(const struct nu_h1_parser *p)
{
    const struct nu_h1_limits *l = p->limits;
    size_t room = p->role == H1_REQUEST ? NU_H1_METHOD_MAX_BYTES + l->target_bytes + 12u
                                        : NU_H1_REASON_MAX_BYTES + 15u;
    return room < l->head_bytes ? room : l->head_bytes;
}

static enum nu_h1_event empty_line(struct nu_h1_parser *p)
{
    if (p->role == H1_RESPONSE)
        return h1_fail(p, NU_H1_STATUS_LINE);
    if (++p->empty_lines > NU_H1_EMPTY_LINES_MAX)
        return h1_fail(p, NU_H1_EMPTY_LINES);
    h1_lines_reset(p);
    return H1_AGAIN;
}

/* The first word is judged first, so that no cut makes another reason come first. */
static enum nu_h1_event start_failed(struct nu_h1_parser *p, enum h1_line is, struct nu_text line,
                                     enum nu_h1_error error)
{
    enum nu_h1_error begins = h1_start_begins(p->role, line);
    if (begins)
        return h1_fail(p, begins);
    if (is == H1_CUT)
        return NU_H1_MORE;
    if (is == H1_LONG)
        error = p->role == H1_REQUEST ? NU_H1_TARGET_LONG : NU_H1_STATUS_LINE_LONG;
    return h1_fail(p, error);
}

static enum nu_h1_event step_start(struct nu_h1_parser *p, struct nu_slice *in,
                                   struct nu_h1_out *out)
{
    (void)out;
    struct nu_text line;
    enum nu_h1_error error;
    if (in->len == 0)
        return NU_H1_MORE;
    enum h1_line is = h1_take_line(p, in, start_room(p), &line, &error);
    if (is != H1_TOOK)
        return start_failed(p, is, line, error);
    if (line.len == 0)
        return empty_line(p);
    p->head = nu_http_head_new(p->arena);
    error = p->role == H1_REQUEST ? h1_request_line(p, line) : h1_status_line(p, line);
    if (error)
        return h1_fail(p, error);
    h1_go(p, H1_FIELDS);
    return H1_AGAIN;
}

/* An interim response: the final one is still to come. */
static enum nu_h1_event interim(struct nu_h1_parser *p, struct nu_slice *in, struct nu_h1_out *out)
{
    p->interim_bytes += p->head_bytes;
    if (++p->interims > NU_H1_INTERIM_MAX || p->interim_bytes > p->limits->head_bytes)
        return h1_fail(p, NU_H1_INTERIM_MANY);
    h1_lines_pin(p, in);
    out->head = p->head;
    p->head = NULL;
    h1_lines_reset(p);
    h1_go(p, H1_START);
    return NU_H1_INTERIM;
}

static enum h1_state state_of_body(const struct nu_http_head *head)
{
    static const uint8_t states[] = {[NU_BODY_NONE] = H1_ENDING,
                                     [NU_BODY_LENGTH] = H1_LENGTH,
                                     [NU_BODY_CHUNKED] = H1_SIZE,
                                     [NU_BODY_CLOSE] = H1_CLOSE,
                                     [NU_BODY_TUNNEL] = H1_TUNNEL};
    return states[head->body];
}

static enum nu_h1_event head_done(struct nu_h1_parser *p, struct nu_slice *in,
                                  struct nu_h1_out *out)
{
    struct nu_http_head *head = p->head;
    enum nu_h1_error error =
        p->role == H1_REQUEST ? h1_judge_request(p, head) : h1_judge_response(p, head);
    if (error)
        return h1_fail(p, error);
    if (head->status && head->status < 200 && head->status != 101)
        return interim(p, in, out);
    h1_lines_pin(p, in);
    out->head = head;
    p->head = NULL;
    p->left = head->body == NU_BODY_LENGTH ? head->content_length : 0;
    h1_lines_reset(p);
    h1_go(p, state_of_body(head));
    return NU_H1_HEAD;
}

/* What has nothing wrong and lies whole in the input; what stops it, step_fields does again in
 * full. */
static void read_easy_lines(struct nu_h1_parser *p, struct nu_slice *in)
{
    size_t room = p->limits->head_bytes - p->head_bytes;
    size_t took = h1_easy_lines(p->head, (const char *)in->data, in->len < room ? in->len : room,
                                p->limits->fields);
    if (took == 0)
        return;
    if (!p->run)
        p->run = in->data;
    p->head_bytes += (uint32_t)took;
    h1_skip(in, took);
}

static enum nu_h1_event step_fields(struct nu_h1_parser *p, struct nu_slice *in,
                                    struct nu_h1_out *out)
{
    const struct nu_h1_limits *limits = p->limits;
    struct nu_http_head *head = p->head;
    for (;;) {
        struct nu_text line;
        enum nu_h1_error error = NU_H1_HEAD_LARGE;
        if (p->seg_used == p->seg_line)
            read_easy_lines(p, in);
        enum h1_line is = h1_take_line(p, in, limits->head_bytes - p->head_bytes, &line, &error);
        if (is != H1_TOOK)
            return is == H1_CUT ? NU_H1_MORE : h1_fail(p, error);
        if (line.len == 0)
            return head_done(p, in, out);
        error = head->count < limits->fields ? h1_field_line(head, line) : NU_H1_FIELDS_MANY;
        if (error)
            return h1_fail(p, error);
    }
}

static enum nu_h1_event trailers_done(struct nu_h1_parser *p, struct nu_slice *in,
                                      struct nu_h1_out *out)
{
    h1_go(p, H1_ENDING);
    if (!p->head)
        return H1_AGAIN;
    h1_lines_pin(p, in);
    out->head = p->head;
    p->head = NULL;
    return NU_H1_TRAIL;
}

static enum nu_h1_error trailer_line(struct nu_h1_parser *p, struct nu_text line)
{
    if (!p->head)
        p->head = nu_http_head_new(p->arena);
    if (p->head->count == p->limits->fields)
        return NU_H1_TRAILERS_MANY;
    enum nu_h1_error error = h1_field_line(p->head, line);
    if (error)
        return error;
    const struct nu_http_field *field = &p->head->fields[p->head->count - 1];
    return nu_hdr_flags(field->id) & NU_HDR_NO_TRAIL ? NU_H1_TRAILER_BARRED : NU_H1_FINE;
}

enum nu_h1_event h1_trailers(struct nu_h1_parser *p, struct nu_slice *in, struct nu_h1_out *out)
{
    for (;;) {
        struct nu_text line;
        enum nu_h1_error error = NU_H1_TRAILERS_LARGE;
        size_t room = p->limits->trailer_bytes + 2u - p->head_bytes;
        enum h1_line is = h1_take_line(p, in, room, &line, &error);
        if (is != H1_TOOK)
            return is == H1_CUT ? NU_H1_MORE : h1_fail(p, error);
        if (line.len == 0)
            return trailers_done(p, in, out);
        error = trailer_line(p, line);
        if (error)
            return h1_fail(p, error);
    }
}

static enum nu_h1_event step_length(struct nu_h1_parser *p, struct nu_slice *in,
                                    struct nu_h1_out *out)
{
    if (in->len == 0)
        return NU_H1_MORE;
    h1_split(in, p->left, &out->data);
    p->left -= out->data.len;
    p->body_bytes += out->data.len;
    if (p->left == 0)
        h1_go(p, H1_ENDING);
    return NU_H1_DATA;
}

/* What is allowed comes out before the refusal, so that it does not depend on the reads' sizes. */
static enum nu_h1_event step_close(struct nu_h1_parser *p, struct nu_slice *in,
                                   struct nu_h1_out *out)
{
    uint64_t cap = p->limits->body_bytes ? p->limits->body_bytes : UINT64_MAX;
    if (in->len == 0)
        return NU_H1_MORE;
    if (p->body_bytes == cap)
        return h1_fail(p, NU_H1_BODY_LARGE);
    uint64_t room = cap - p->body_bytes;
    h1_split(in, room, &out->data);
    p->body_bytes += out->data.len;
    return NU_H1_DATA;
}

static enum nu_h1_event step_tunnel(struct nu_h1_parser *p, struct nu_slice *in,
                                    struct nu_h1_out *out)
{
    (void)p;
    if (in->len == 0)
        return NU_H1_MORE;
    h1_split(in, in->len, &out->data);
    return NU_H1_DATA;
}

static enum nu_h1_event step_ending(struct nu_h1_parser *p, struct nu_slice *in,
                                    struct nu_h1_out *out)
{
    (void)in;
    (void)out;
    p->arena = NULL;
    p->seg = NULL;
    h1_go(p, H1_REST);
    return NU_H1_END;
}

static h1_step *const steps[H1_STATES] = {
    [H1_START] = step_start,         [H1_FIELDS] = step_fields,   [H1_LENGTH] = step_length,
    [H1_CLOSE] = step_close,         [H1_TUNNEL] = step_tunnel,   [H1_SIZE] = h1_chunk_size,
    [H1_EXT] = h1_chunk_ext,         [H1_CHUNK] = h1_chunk_data,  [H1_CHUNK_CR] = h1_chunk_cr,
    [H1_SIZE_LF] = h1_chunk_size_lf, [H1_CHUNK_LF] = h1_chunk_lf, [H1_TRAILERS] = h1_trailers,
    [H1_ENDING] = step_ending,
};

/* A head with a version has a whole start line; trailers have none. */
static void tell_error(struct nu_h1_parser *p, const struct nu_slice *in, struct nu_h1_out *out)
{
    out->error = p->error;
    if (!p->head || !p->head->version)
        return;
    h1_lines_salvage(p, in);
    out->head = p->head;
    p->head = NULL;
}

enum nu_h1_event nu_h1_read(struct nu_h1_parser *p, struct nu_slice *in, struct nu_h1_out *out)
{
    enum nu_h1_event event;
    *out = (struct nu_h1_out){0};
    do {
        nu_assert(steps[p->state]);
        event = steps[p->state](p, in, out);
    } while (event == H1_AGAIN);
    if (event == NU_H1_ERROR)
        tell_error(p, in, out);
    return event;
}

enum nu_h1_event nu_h1_eof(struct nu_h1_parser *p, struct nu_h1_out *out)
{
    *out = (struct nu_h1_out){0};
    nu_assert(p->state != H1_FAILED);
    if (nu_h1_idle(p))
        return NU_H1_MORE;
    if (p->state == H1_CLOSE || p->state == H1_TUNNEL)
        return step_ending(p, NULL, out);
    if (p->state == H1_ENDING)
        return step_ending(p, NULL, out);
    bool head = p->state == H1_START || p->state == H1_FIELDS;
    h1_fail(p, head ? NU_H1_CUT_HEAD : NU_H1_CUT_BODY);
    tell_error(p, NULL, out);
    return NU_H1_ERROR;
}

uint64_t nu_h1_opaque(const struct nu_h1_parser *p)
{
    if (p->state == H1_LENGTH || p->state == H1_CHUNK)
        return p->left;
    if (p->state == H1_CLOSE && p->limits->body_bytes)
        return p->limits->body_bytes - p->body_bytes;
    return p->state == H1_CLOSE || p->state == H1_TUNNEL ? UINT64_MAX : 0;
}

void nu_h1_passed(struct nu_h1_parser *p, uint64_t bytes)
{
    nu_assert(bytes <= nu_h1_opaque(p));
    if (bytes == 0 || p->state == H1_TUNNEL)
        return;
    p->body_bytes += bytes;
    if (p->state == H1_CLOSE)
        return;
    p->left -= bytes;
    if (p->left == 0)
        h1_go(p, p->state == H1_LENGTH ? H1_ENDING : H1_CHUNK_CR);
}

const char *nu_h1_event_str(enum nu_h1_event event)
{
    static const char *const names[] = {"more", "interim", "head", "data", "trail", "end", "error"};
    nu_assert((unsigned)event < sizeof names / sizeof *names);
    return names[event];
}
