/* Asks the admin of a running process: one request over a connection of its own, by blocking calls.
 * For sub-commands (ctl, top); nothing of the proxy runs in their process. */
#ifndef NU_TOOLS_NUNCIO_ADMIN_CLIENT_H
#define NU_TOOLS_NUNCIO_ADMIN_CLIENT_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

/* A part of an answer's body; called as it comes. */
typedef void nu_admin_sink_fn(void *ctx, const void *bytes, size_t len);

#define NU_ADMIN_SAY_MAX 512 /* bytes of a sentence that tells what went wrong */

/* Sends a request without a body, `method` GET or POST, to `target` ("/stats?usedonly", encoded).
 * `address` is as nu_admin_address takes it. The answer's status; or 0, and `say` has a sentence:
 * then the sink may have had a part of a body. */
unsigned nu_admin_ask(const char *address, const char *method, const char *target,
                      nu_admin_sink_fn *sink, void *ctx, char say[static NU_ADMIN_SAY_MAX]);

/* The address that a config file's key `admin` names, copied to be free()d. NULL: `say` has what to
 * tell, in lines. Nothing else in the file matters here. */
char *nu_admin_address_of(const char *path, char **say);

/* Bytes of a value in a query: all but letters, digits and -._~ as %XX. `out` has room for three
 * times the length of `text`, and a NUL. */
void nu_admin_encode(const char *text, char *out);

#endif
