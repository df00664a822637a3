/* What happened lately: how reloads went, and which connections and requests ended badly
 * (core/recent.h keeps those). Main thread. */
#ifndef NU_TOOLS_NUNCIO_HISTORY_H
#define NU_TOOLS_NUNCIO_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define NU_HISTORY_MAX      32   /* loads kept */
#define NU_HISTORY_TEXT_MAX 4096 /* bytes of what one had to say */

/* From now on errors are kept. Before workers run. */
void nu_history_begin(void);
void nu_history_end(void);

/* A load has ended: it serves as that generation, or that one serves on. `text` holds its errors or
 * warnings, "" for none; it is copied. */
void nu_history_add(bool ok, uint64_t generation, int64_t took_ms, const char *text);
/* A JSON array, the newest first. */
void nu_history_print(FILE *out);

#endif
