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

/* A file for the TLS of the address before it: behind a --from our certificate, and the CA of the
 * clients'; behind a --to our client certificate, and the CA of the server's. Before all, a
 * certificate for every --from that takes TLS. */
enum nu_quick_file { NU_QUICK_CERT, NU_QUICK_KEY, NU_QUICK_CA, NU_QUICK_FILES };
const char *nu_quick_file_str(enum nu_quick_file file); /* "--tls-cert" */
bool nu_quick_tls(struct nu_quick *quick, enum nu_quick_file file, const char *value);

/* True if there was any of them. */
bool nu_quick_used(const struct nu_quick *quick);
/* The config as YAML, until quick is freed; NULL where something is missing, and stderr says what.
 */
const char *nu_quick_config(struct nu_quick *quick);

#endif
