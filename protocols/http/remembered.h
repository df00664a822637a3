/* Passwords that were right lately, so that a slow hash is not asked each time: a bounded set of
 * salted SHA-256. One thread. */
#ifndef NU_PROTOCOLS_HTTP_REMEMBERED_H
#define NU_PROTOCOLS_HTTP_REMEMBERED_H

#include "protocols/http/htpasswd.h"

#define NU_REMEMBERED_MAX 1024 /* of one set: 32 KiB */

struct nu_remembered;

/* An empty one with a salt of its own. Never NULL; the caller frees it. */
struct nu_remembered *nu_remembered_new(void);
/* NULL is fine. */
void nu_remembered_free(struct nu_remembered *set);

/* A password that is right for a bcrypt hash; takes the place of an older one where it must. */
void nu_remembered_add(struct nu_remembered *set, const char *hash, struct nu_text password);
/* Whether exactly that was added, and not replaced since. */
bool nu_remembered_has(const struct nu_remembered *set, const char *hash, struct nu_text password);

#endif
