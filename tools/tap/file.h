/* Packets out of a file or the standard input, into the tap. */
#ifndef NU_TOOLS_TAP_FILE_H
#define NU_TOOLS_TAP_FILE_H

#include "tools/tap/bpf.h"
#include "tools/tap/tap.h"

#include <signal.h>

#define TAP_PROGRESS_FROM (16 << 20) /* bytes: smaller files are done before one has read it */

struct tap_file_job {
    const char *path; /* "-" = standard input; for messages */
    int fd;
    const struct tap_bpf *bpf; /* or NULL */
    unsigned snaplen;
    bool progress;                     /* tell on stderr how far it is */
    const volatile sig_atomic_t *stop; /* leave as soon as it is set */
    /* Now and then: key logs may have grown. */
    void (*idle)(void *ctx);
    void *idle_ctx;
};

/* The descriptor, or -1 with errno. */
int tap_file_open(const char *path);
/* A file that can be read twice: its secrets, wherever they stand, before its packets. */
void tap_file_secrets(const struct tap_file_job *job, struct tap *tap);
/* All packets of such a file, to a tap that only looks ahead; what is wrong is told when it is read
 * again. */
void tap_file_ahead(const struct tap_file_job *job, struct tap *tap);
/* All packets. False: it is no capture, or damaged, or cut; told on stderr, what came before was
 * used. */
bool tap_file_run(const struct tap_file_job *job, struct tap *tap);

#endif
