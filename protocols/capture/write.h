/* Writes pcapng (draft-ietf-opsawg-pcapng), block after block behind what a buffer has; the reader
 * is capture.h. The order is the caller's care: a section first, an interface before its packets,
 * secrets before what they open.
 *
 * Sans-I/O: the caller writes the buffer to where it belongs, and empties it. One thread. */
#ifndef NU_PROTOCOLS_CAPTURE_WRITE_H
#define NU_PROTOCOLS_CAPTURE_WRITE_H

#include "protocols/capture/link.h"

#define NU_CAPTURE_COMMENT_MAX 8192 /* bytes; the rest is cut, between letters */

/* Zeroed to begin with. Whole blocks only. */
struct nu_capture_out {
    uint8_t *data;
    size_t len, cap;
};
void nu_capture_out_free(struct nu_capture_out *out);

/* The front of a file, or of another one in the same stream: interfaces count from 0 again.
 * `program` has made it; NULL is fine. */
void nu_capture_put_section(struct nu_capture_out *out, const char *program);
/* Its number is one more than that of the one before. Times are in nanoseconds. `name` may be NULL;
 * `snaplen` 0 = packets are whole. */
void nu_capture_put_interface(struct nu_capture_out *out, uint32_t link, uint32_t snaplen,
                              const char *name);
/* A key log (SSLKEYLOGFILE), at most NU_CAPTURE_BLOCK_MAX - 64 bytes. */
void nu_capture_put_secrets(struct nu_capture_out *out, struct nu_piece lines);

enum nu_capture_way { NU_CAPTURE_WAY_UNKNOWN, NU_CAPTURE_IN, NU_CAPTURE_OUT };

struct nu_capture_packet {
    uint32_t interface;      /* of this section */
    struct nu_piece frame;   /* what was captured, at most NU_CAPTURE_PACKET_MAX */
    uint32_t wire_len;       /* bytes that it had */
    int64_t time_ns;         /* since 1970; what is before counts as 1970 */
    struct nu_piece comment; /* UTF-8; len 0 = none */
    enum nu_capture_way way;
};
void nu_capture_put_packet(struct nu_capture_out *out, const struct nu_capture_packet *packet);
/* Bytes that nu_capture_put_packet appends, at most. */
size_t nu_capture_packet_room(const struct nu_capture_packet *packet);

#endif
