/* Files of a ring, NAME_00001_20231114221320.pcapng and on: opened one after the other, the oldest
 * deleted.
 *
 * Who reads what strangers sent can open no file (guard.h). So a process of its own, started before
 * rights are given up, does this and nothing else: it knows the directory and the name, is asked
 * for "the next one", and hands back a descriptor. */
#ifndef NU_TOOLS_TAP_WRITE_RING_H
#define NU_TOOLS_TAP_WRITE_RING_H

#include <limits.h>
#include <stdint.h>

struct tap_ring;

/* `files` are kept, 0 = all. NULL: told on stderr. */
struct tap_ring *tap_ring_start(const char *path, unsigned files);
/* The next file's descriptor, the caller's; its name is in `name`. -1: errno says why. */
int tap_ring_next(struct tap_ring *ring, int64_t time_ns, char name[static NAME_MAX + 1]);
/* The process ends by itself. NULL is fine. */
void tap_ring_end(struct tap_ring *ring);

#endif
