/* What the kernel still does for us once we serve: a list of system calls for each kind of thread,
 * set as a seccomp filter. A call that is not on it fails as if the kernel did not have it and is
 * told once on stderr; one that only an intruder makes ends the process.
 * docs/internals/privileges.md has the reasons. */
#ifndef NU_TOOLS_NUNCIO_SANDBOX_H
#define NU_TOOLS_NUNCIO_SANDBOX_H

#include "core/err.h"

enum nu_sandbox {
    NU_SANDBOX_WORKER, /* traffic: sockets, logs that are open */
    NU_SANDBOX_MAIN,   /* also what a reload takes: files, watches, names */
};
const char *nu_sandbox_str(enum nu_sandbox kind);

/* NULL, or why this build or this run goes without: sanitizers and valgrind make system calls of
 * their own, in our threads. */
const char *nu_sandbox_why_not(void);
/* On main, before any thread enters. NU_ERR_SYSTEM: the kernel cannot do it. */
enum nu_err nu_sandbox_prepare(void);
/* The calling thread, and those it starts later, for good. After nu_sandbox_prepare. */
void nu_sandbox_enter(enum nu_sandbox kind);
/* Different calls that were refused so far. Any thread. */
unsigned nu_sandbox_refused(void);

#endif
