/* The tap as a whole: frames in, connections and their layers in between, events to sinks out.
 * Where frames come from is not its business (file.h, live.h). One thread. */
#ifndef NU_TOOLS_TAP_TAP_H
#define NU_TOOLS_TAP_TAP_H

#include "tools/tap/event.h"

#define TAP_MEMORY_DEFAULT (64u << 20) /* --max-memory; a capture of any size is read within it */
#define TAP_MEMORY_LEAST   (4u << 20)  /* below that even one connection's disorder is given up */
#define TAP_SINKS_MAX      8

struct tap_figures {
    struct nu_flow_figures flows;
    uint64_t shrunk;   /* connections whose layers had to let go of something */
    uint64_t given_up; /* connections that are only counted since */
    uint64_t exchanges, incomplete;
};

/* Layers and connections together take `memory_max` at most, what they hold for a single call
 * aside. Never NULL. */
struct tap *tap_new(size_t memory_max);
/* Closes what is open, without a word to the sinks unless tap_finish came before. */
void tap_free(struct tap *tap);
/* Sinks are told in the order that they were added in; `ctx` must outlive the tap. */
void tap_add_sink(struct tap *tap, const struct tap_sink *sink, void *ctx);
/* Outputs are told only of what fits; borrowed. */
struct nu_where;
void tap_set_where(struct tap *tap, const struct nu_where *where);
/* Outputs want so many bytes of bodies, of one connection or (0) of all. */
void tap_want_bodies(struct tap *tap, size_t room, uint64_t flow);

/* `wire_len`: bytes that it had on the wire. */
void tap_frame(struct tap *tap, uint32_t link, struct nu_piece frame, size_t wire_len,
               int64_t time_ns);
/* The same, of a file or an interface; sinks are told of it as it came. */
void tap_packet(struct tap *tap, const struct nu_capture_event *packet);
/* So late it is, and no packet came. */
void tap_tick(struct tap *tap, int64_t now_ns);
/* Tells all that is unfinished, then finishes the sinks. */
void tap_finish(struct tap *tap);

/* Whether more of them may come; layers wait for them then. */
void tap_expect_secrets(struct tap *tap, bool may_come);
/* Whole lines of a key log; layers that wait go on. */
void tap_add_secrets(struct tap *tap, struct nu_piece text);
/* Those that are known; never NULL. */
struct nu_secrets;
const struct nu_secrets *tap_secrets(const struct tap *tap);

struct tap_figures tap_figures(const struct tap *tap);
size_t tap_memory(const struct tap *tap);

#endif
