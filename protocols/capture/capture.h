/* Capture files, from bytes to packets: pcap (microseconds and nanoseconds, either byte order) and
 * pcapng (draft-ietf-opsawg-pcapng), whose sections, interfaces and link types may change midway.
 *
 * Sans-I/O: the caller has a window on the file that slides on as it is told, so that files of any
 * size and standard input are read alike. One thread. */
#ifndef NU_PROTOCOLS_CAPTURE_CAPTURE_H
#define NU_PROTOCOLS_CAPTURE_CAPTURE_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NU_CAPTURE_INTERFACES 1024 /* of one section */
#define NU_CAPTURE_PACKET_MAX                                                                      \
    (256u * 1024) /* bytes captured of one packet: libpcap's own bound for most link types */
#define NU_CAPTURE_BLOCK_MAX                                                                       \
    (16u * 1024 * 1024) /* bytes of a pcapng block: key logs can be long, and must be held whole   \
                         */

enum nu_capture_kind {
    NU_CAPTURE_PACKET,
    NU_CAPTURE_SECRETS, /* a TLS key log (decryption secrets block) */
};

struct nu_capture_event {
    enum nu_capture_kind kind;
    const uint8_t *data; /* as captured, or the key log's text; the caller's bytes */
    uint32_t len;
    uint32_t wire_len;  /* of a packet: bytes that it had on the wire; >= len */
    uint32_t link;      /* LINKTYPE_*, as www.tcpdump.org/linktypes.html has it */
    uint32_t interface; /* counted over all sections */
    int64_t time_ns;    /* since 1970; 0 where the file does not say */
};

struct nu_capture;

struct nu_capture *nu_capture_new(void);
void nu_capture_free(struct nu_capture *c);

/* The next event from `len` bytes; `*used` of them are done with: the caller drops them before the
 * next call, and after NU_OK no longer needs what the event points to.
 * NU_MORE: there is none in what is left; call again with at least nu_capture_wants() bytes.
 * NU_NOT_THIS: the file is no capture. NU_ERR_SYNTAX: it is damaged from here on.
 * NU_ERR_LIMIT: a packet or block beyond its cap. nu_capture_error() says more of these three. */
enum nu_err nu_capture_next(struct nu_capture *c, const uint8_t *bytes, size_t len, size_t *used,
                            struct nu_capture_event *out);
size_t nu_capture_wants(const struct nu_capture *c);
/* Static; "" without an error. */
const char *nu_capture_error(const struct nu_capture *c);
/* Whether the file may end here, `left` bytes being unread; else it was cut. */
bool nu_capture_may_end(const struct nu_capture *c, size_t left);
/* Bytes of each packet that the capture kept at most, the largest of what the file says; 0 = all.
 */
uint32_t nu_capture_snaplen(const struct nu_capture *c);

#endif
