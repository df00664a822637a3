/* A capture expression (pcap-filter(7)) for packets of files: libpcap compiles it, its interpreter
 * runs it. Compiled for all link types at once, before the process gives up looking up names. */
#ifndef NU_TOOLS_TAP_BPF_H
#define NU_TOOLS_TAP_BPF_H

#include "protocols/capture/capture.h"

#include <stdbool.h>

struct tap_bpf;

/* NULL: the expression is wrong; *error says why, static until the next call. */
struct tap_bpf *tap_bpf_new(const char *expression, const char **error);
/* NULL is fine. */
void tap_bpf_free(struct tap_bpf *bpf);
/* True for all without an expression (NULL); false where it does not fit the link type ("vlan" on
 * raw IP). */
bool tap_bpf_passes(const struct tap_bpf *bpf, const struct nu_capture_event *packet);

#endif
