/* What happens when a filter refuses a system call: SIGSYS, whose handler tells it and lets the
 * call fail. Of sandbox.c alone. */
#ifndef NU_TOOLS_NUNCIO_SANDBOX_TRAP_H
#define NU_TOOLS_NUNCIO_SANDBOX_TRAP_H

#include <stddef.h>
#include <stdint.h>

/* The filter's action for calls that are on no list. */
uint32_t nu_sandbox_trap_action(void);
/* Sets the handler; before a filter is in place. The calls of `ends` end the process, should the
 * filter leave that to the handler. */
void nu_sandbox_trap_start(const int *ends, size_t count);
/* Different calls that were refused so far. Any thread. */
unsigned nu_sandbox_trap_count(void);

#endif
