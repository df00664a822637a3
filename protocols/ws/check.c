/* What a stream of WebSocket frames may be; see check.h. Of a frame the header is judged first, by
 * itself and in its place, then the payload as it comes. */
#include "protocols/ws/check.h"

#include "core/assert.h"

#include <string.h>

struct row {
    const char *name, *reason;
    unsigned code;
};

static const struct row *row_of(enum nu_ws_error error)
{
#define ROW(id, name, code, reason) {"websocket_" name, reason, code},
    static const struct row rows[] = {
        {"", "", 0},
        NU_WS_ERRORS(ROW)
    };
#undef ROW
    nu_assert((unsigned)error < sizeof rows / sizeof *rows);
    return &rows[error];
}

const char *nu_ws_error_str(enum nu_ws_error error)
{
    return row_of(error)->name;
}

const char *nu_ws_error_reason(enum nu_ws_error error)
{
    return row_of(error)->reason;
}

unsigned nu_ws_error_code(enum nu_ws_error error)
{
    return row_of(error)->code;
}

bool nu_ws_code_ok(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static bool is_known(enum nu_ws_opcode opcode)
{
    return opcode <= NU_WS_BINARY || (opcode >= NU_WS_CLOSE && opcode <= NU_WS_PONG);
}

/* The header by itself. RSV1 is compression's, on the first frame of a message only (RFC 7692 6).
 */
static enum nu_ws_error judge_header(const struct nu_ws_check *c, const struct nu_ws_header *h)
{
    enum nu_ws_opcode opcode = nu_ws_opcode(h->first);
    bool begins = opcode == NU_WS_TEXT || opcode == NU_WS_BINARY;
    unsigned allowed = c->deflate && begins ? NU_WS_RSV1 : 0;
    if (h->first & NU_WS_RSV & ~allowed)
        return NU_WS_BAD_RESERVED_BITS;
    if (!is_known(opcode))
        return NU_WS_BAD_RESERVED_OPCODE;
    if (h->masked != c->masked)
        return NU_WS_BAD_MASK;
    if (!h->minimal || h->len > INT64_MAX)
        return NU_WS_BAD_LENGTH;
    if (!nu_ws_is_control(h->first))
        return NU_WS_OK;
    if (!(h->first & NU_WS_FIN))
        return NU_WS_BAD_CONTROL_CUT;
    return h->len > NU_WS_CONTROL_MAX ? NU_WS_BAD_CONTROL_LONG : NU_WS_OK;
}

/* A data frame in its place among the others. */
static enum nu_ws_error place_data(struct nu_ws_check *c, const struct nu_ws_rules *rules,
                                   const struct nu_ws_header *h)
{
    enum nu_ws_opcode opcode = nu_ws_opcode(h->first);
    bool goes_on = opcode == NU_WS_CONTINUATION;
    if (rules->validate && goes_on && !c->opcode)
        return NU_WS_BAD_ORPHAN;
    if (rules->validate && !goes_on && c->opcode)
        return NU_WS_BAD_INTERLEAVED;
    c->is_new = !goes_on;
    if (!goes_on) {
        c->opcode = (uint8_t)opcode;
        c->message = 0;
        c->text = rules->validate && opcode == NU_WS_TEXT && !(h->first & NU_WS_RSV1);
    }
    c->in_text = c->text;
    if (rules->max_frame && h->len > rules->max_frame)
        return NU_WS_BAD_FRAME_LARGE;
    if (rules->max_message && h->len > rules->max_message - c->message)
        return NU_WS_BAD_MESSAGE_LARGE;
    c->message += h->len;
    return NU_WS_OK;
}

static enum nu_ws_error begin_frame(struct nu_ws_check *c, const struct nu_ws_rules *rules,
                                    const struct nu_msg *msg)
{
    struct nu_ws_header h;
    nu_assert(nu_ws_read_header(msg->data.data, msg->data.len, &h));
    enum nu_ws_error error = rules->validate ? judge_header(c, &h) : NU_WS_OK;
    if (error)
        return error;
    c->frame_masked = h.masked;
    c->mask_at = 0;
    memcpy(c->mask, h.mask, sizeof c->mask);
    if (!nu_ws_is_control(h.first))
        return place_data(c, rules, &h);
    c->in_text = false;
    c->is_new = true;
    return NU_WS_OK;
}

/* A Close is there as a whole, unless it is none by its length. */
static enum nu_ws_error judge_close(struct nu_ws_check *c, const struct nu_ws_rules *rules,
                                    const uint8_t *payload, size_t len)
{
    struct nu_utf8 utf8 = {0};
    const uint8_t *mask = c->frame_masked ? c->mask : NULL;
    c->code = NU_WS_CLOSE_NO_CODE;
    if (len == 1 && rules->validate)
        return NU_WS_BAD_CLOSE_SHORT;
    if (len < 2)
        return NU_WS_OK;
    c->code = (uint16_t)((payload[0] ^ c->mask[0]) << 8 | (payload[1] ^ c->mask[1]));
    if (!rules->validate)
        return NU_WS_OK;
    if (!nu_ws_code_ok(c->code))
        return NU_WS_BAD_CLOSE_CODE;
    bool text = nu_utf8_check(&utf8, payload + 2, len - 2, mask, 2) && nu_utf8_whole(&utf8);
    return text ? NU_WS_OK : NU_WS_BAD_CLOSE_TEXT;
}

/* What of a text has come. */
static enum nu_ws_error judge_text(struct nu_ws_check *c, const struct nu_msg *msg,
                                   const uint8_t *payload, size_t len)
{
    const uint8_t *mask = c->frame_masked ? c->mask : NULL;
    bool good = nu_utf8_check(&c->utf8, payload, len, mask, c->mask_at);
    c->mask_at = (uint8_t)((c->mask_at + len) & 3);
    bool ends = msg->last && msg->first & NU_WS_FIN;
    return good && (!ends || nu_utf8_whole(&c->utf8)) ? NU_WS_OK : NU_WS_BAD_TEXT;
}

enum nu_ws_error nu_ws_check(struct nu_ws_check *c, const struct nu_ws_rules *rules,
                             const struct nu_msg *msg)
{
    const uint8_t *payload = msg->data.data + msg->head;
    size_t len = msg->data.len - msg->head;
    enum nu_ws_error error = NU_WS_OK;
    c->is_new = false;
    if (msg->head)
        error = begin_frame(c, rules, msg);
    if (error)
        return error;
    if (nu_ws_opcode(msg->first) == NU_WS_CLOSE && msg->head)
        return judge_close(c, rules, payload, len);
    if (c->in_text)
        error = judge_text(c, msg, payload, len);
    if (msg->last && msg->first & NU_WS_FIN && !nu_ws_is_control(msg->first))
        c->opcode = 0;
    return error;
}
