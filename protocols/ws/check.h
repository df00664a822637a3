/* What a stream of WebSocket frames may be (RFC 6455 5, RFC 7692 6): one direction, piece by piece,
 * nothing kept. No socket, no clock; one thread per check. */
#ifndef NU_PROTOCOLS_WS_CHECK_H
#define NU_PROTOCOLS_WS_CHECK_H

#include "protocols/ws/frame.h"
#include "protocols/ws/utf8.h"

/* Close codes that we say ourselves (RFC 6455 7.4.1). */
enum {
    NU_WS_CLOSE_GOING_AWAY = 1001,
    NU_WS_CLOSE_PROTOCOL = 1002,
    NU_WS_CLOSE_NO_CODE = 1005,  /* never sent: a Close without a code */
    NU_WS_CLOSE_ABNORMAL = 1006, /* never sent: no Close at all */
    NU_WS_CLOSE_PAYLOAD = 1007,
    NU_WS_CLOSE_POLICY = 1008,
    NU_WS_CLOSE_TOO_BIG = 1009,
};

/* Name, close code, reason of the Close. The name, behind "websocket_", is the response's details.
 */
#define NU_WS_ERRORS(X)                                                                            \
    X(RESERVED_BITS, "reserved_bits", 1002, "reserved bits are set")                               \
    X(RESERVED_OPCODE, "reserved_opcode", 1002, "an opcode that means nothing")                    \
    X(MASK, "mask", 1002, "clients mask and servers do not")                                       \
    X(LENGTH, "length", 1002, "a length that is not written as it has to be")                      \
    X(CONTROL_LONG, "control_too_long", 1002, "a control frame of more than 125 bytes")            \
    X(CONTROL_CUT, "control_fragmented", 1002, "a control frame in fragments")                     \
    X(ORPHAN, "unexpected_continuation", 1002, "a continuation of no message")                     \
    X(INTERLEAVED, "unexpected_message", 1002, "a message within another")                         \
    X(CLOSE_SHORT, "close_of_one_byte", 1002, "a Close of one byte")                               \
    X(CLOSE_CODE, "close_code", 1002, "a close code that must not be sent")                        \
    X(CLOSE_TEXT, "close_reason", 1007, "a close reason that is not UTF-8")                        \
    X(TEXT, "text", 1007, "text that is not UTF-8")                                                \
    X(FRAME_LARGE, "frame_too_large", 1009, "a frame over the limit")                              \
    X(MESSAGE_LARGE, "message_too_large", 1009, "a message over the limit")

#define NU_WS_ERROR(id, name, code, reason) NU_WS_BAD_##id,
enum nu_ws_error { NU_WS_OK, NU_WS_ERRORS(NU_WS_ERROR) NU_WS_ERROR_COUNT };
#undef NU_WS_ERROR
const char *nu_ws_error_str(enum nu_ws_error error);
const char *nu_ws_error_reason(enum nu_ws_error error);
unsigned nu_ws_error_code(enum nu_ws_error error);

struct nu_ws_rules {
    uint64_t max_frame, max_message; /* bytes of payload, as sent; 0 = any */
    bool validate; /* all of the protocol; else sizes, and where messages and Closes are */
};

/* Zeroed memory is one at the start; deflate and masked are set by its owner. */
struct nu_ws_check {
    uint64_t message; /* bytes of the message in progress */
    struct nu_utf8 utf8;
    uint8_t opcode;  /* of the message in progress; 0 = none */
    uint8_t mask_at; /* payload bytes of this frame so far, modulo 4 */
    uint8_t mask[4]; /* of the frame in progress */
    uint16_t code;   /* of the Close that came; 0 = none has */
    bool in_text;    /* of the frame in progress: its payload has to be UTF-8 */
    bool text;       /* of the message in progress: it is not compressed */
    bool frame_masked;
    bool masked;  /* frames have to be: a client sends them */
    bool deflate; /* messages may be compressed */
    bool is_new;  /* this piece began a message, or is a control frame */
};

/* The next piece. After an error nothing may be looked at any more. */
enum nu_ws_error nu_ws_check(struct nu_ws_check *c, const struct nu_ws_rules *rules,
                             const struct nu_msg *msg);

/* Whether a code may stand in a Close (RFC 6455 7.4, and what IANA has since). */
bool nu_ws_code_ok(unsigned code);

#endif
