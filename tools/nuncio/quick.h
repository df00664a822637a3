/* Quick mode: `--from ADDRESS --to ADDRESS` pairs turned into the config text that says the same.
 * Main thread, before anything runs. */
#ifndef NU_TOOLS_NUNCIO_QUICK_H
#define NU_TOOLS_NUNCIO_QUICK_H

#include <stdbool.h>

struct nu_quick;

/* Never NULL; the caller frees it. */
struct nu_quick *nu_quick_new(void);
void nu_quick_free(struct nu_quick *quick);

/* An option's value, in the order of the command line. False: it is wrong, and stderr has the
 * reason. */
bool nu_quick_from(struct nu_quick *quick, const char *value);
bool nu_quick_to(struct nu_quick *quick, const char *value);
/* True if there was any of them. */
bool nu_quick_used(const struct nu_quick *quick);
/* The config as YAML, until quick is freed; NULL where something is missing, and stderr says what.
 */
const char *nu_quick_config(struct nu_quick *quick);

#endif
