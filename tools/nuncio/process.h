/* The process as its config wants it: whose it is and what it may do. Everything here is settled
 * at the start, once and for good; a reload can only say that it would want something else. Main
 * thread. */
#ifndef NU_TOOLS_NUNCIO_PROCESS_H
#define NU_TOOLS_NUNCIO_PROCESS_H

#include "core/generation.h"

/* Between reading the config and using it: becomes its user. What cannot be is told in gen->conf.
 * `path`: of the config file, which reloads will have to read; NULL = none. */
void nu_process_become(struct nu_generation *gen, const char *path);
/* Before the first generation goes to the workers: each will set its filter before it does
 * anything else. */
void nu_process_confine_workers(void);
/* The first generation is bound, no other thread runs: capabilities that nobody will need go. */
void nu_process_settle(const struct nu_generation *gen);
/* Main's own filter; all threads have been started. */
void nu_process_confine_main(void);

/* At a reload: warns of keys that take effect at a restart only. */
void nu_process_warn(const struct nu_generation *gen);

#endif
