/* The inside of the capture reader: capture.c tells the formats apart, pcap.c and pcapng.c read
 * them. */
#ifndef NU_PROTOCOLS_CAPTURE_CAPTURE_PRIV_H
#define NU_PROTOCOLS_CAPTURE_CAPTURE_PRIV_H

#include "protocols/capture/capture.h"

#include <string.h>

struct capture_interface {
    uint32_t link, snaplen;
    uint64_t ticks; /* a second */
    int64_t offset; /* seconds to add */
};

struct nu_capture {
    /* Reads one record from the window, with the meaning of nu_capture_next; a record without an
     * event is skipped (NU_NOT_THIS). */
    enum nu_err (*record)(struct nu_capture *c, const uint8_t *bytes, size_t len, size_t *used,
                          struct nu_capture_event *out);
    const char *error;
    size_t wants;
    uint32_t snaplen;
    bool swapped;  /* the file's byte order is not this machine's */
    bool old_lens; /* pcap before 2.3: both lengths of a packet the other way round */
    size_t record_head;
    uint32_t first; /* number of the section's first interface */
    unsigned count;
    struct capture_interface *interface; /* of the section; pcap has one */
};

enum nu_err capture_fail(struct nu_capture *c, enum nu_err err, const char *why);
/* Not enough bytes: `needs` in all. */
enum nu_err capture_more(struct nu_capture *c, size_t needs);
/* NULL and an error: too many. */
struct capture_interface *capture_add(struct nu_capture *c);

enum nu_err pcap_begin(struct nu_capture *c, const uint8_t *bytes, size_t len, size_t *used);
/* A section's header is the first block of a file, and may come again. */
enum nu_err pcapng_record(struct nu_capture *c, const uint8_t *bytes, size_t len, size_t *used,
                          struct nu_capture_event *out);

static inline uint32_t capture_u32(const struct nu_capture *c, const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return c->swapped ? __builtin_bswap32(v) : v;
}

static inline uint16_t capture_u16(const struct nu_capture *c, const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return c->swapped ? __builtin_bswap16(v) : v;
}

#endif
