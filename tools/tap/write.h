/* -w: packets as they came, into a pcapng that Wireshark opens decrypted. Each connection's secrets
 * stand before its packets and its story (write_story.h) at the first of them.
 *
 * So packets wait a while, in their order: until it is known whether their connection was asked for
 * (--where), what its keys are, and what it was about. How long is a matter of memory, and live of
 * time. docs/internals/tap-files.md has the reasons. One thread. */
#ifndef NU_TOOLS_TAP_WRITE_H
#define NU_TOOLS_TAP_WRITE_H

#include "tools/tap/tap.h"
#include "tools/tap/write_file.h"

#define TAP_PEN_INTERFACES 1024 /* of one file; beyond, packets count as of another like theirs */
#define TAP_PEN_IDS        8    /* TLS within one connection whose secrets are written */

struct tap_pen_conf {
    struct tap_target target;
    const char *interface; /* that is captured on, or NULL */
    size_t memory_max;     /* bytes of packets that wait, and of what is known of connections */
    int64_t hold_ns;       /* that they wait at most, -1 = as long as there is room */
    bool chosen_only;      /* only connections of which something fits --where */
    uint64_t only;         /* one connection, 0 = all */
};

struct tap_pen;
/* Opens what is written to. NULL: told on stderr. `source` as tap_outfile_open has it. */
struct tap_pen *tap_pen_open(const struct tap_pen_conf *conf, int source);
/* Its context is the pen; its secrets come from `tap`. */
extern const struct tap_sink tap_pen_sink;
void tap_pen_attach(struct tap_pen *pen, struct tap *tap);
/* A file that can be read twice, and conditions: the first reading, by a tap of its own, only finds
 * out which connections are wanted and what they were; attach it to the second one's after
 * tap_pen_know. Where they are too many to be remembered, packets wait as ever. */
void tap_pen_scout(struct tap_pen *pen, struct tap *tap);
void tap_pen_know(struct tap_pen *pen);
/* Writing has failed, and nothing more will be written; told. */
bool tap_pen_failed(const struct tap_pen *pen);
/* Packets of chosen connections that had to be let go before they were known to be, and those of
 * more kinds of links than a file has interfaces. */
uint64_t tap_pen_missing(const struct tap_pen *pen);
/* False: not everything was written. NULL is fine. */
bool tap_pen_close(struct tap_pen *pen);

#endif
