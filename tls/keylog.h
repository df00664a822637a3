/* The key log: secrets of TLS connections in NSS' format, as Wireshark and nuncio-tap read them.
 *
 * Whoever has the file can read the traffic, so it exists only where a config asks for it, belongs
 * to its owner alone (mode 0600), and is warned about by check and in the log. Lines go through
 * core/logfile: whole lines whatever the number of workers, reopened by USR1. */
#ifndef NU_TLS_KEYLOG_H
#define NU_TLS_KEYLOG_H

#include "core/conf/schema.h"
#include "tls/conn.h"

/* As written: `keylog: path`, or a map. */
struct nu_keylog_conf {
    const char *path;      /* absolute; NULL = none */
    struct nu_vec clients; /* struct nu_addr prefixes; none = all */
    struct nu_vec servers;
};
extern const struct nu_schema nu_keylog_schema;

struct nu_keylog;

/* Copies the conf; opens nothing. NULL for a NULL conf. Main thread, as open and free. */
struct nu_keylog *nu_keylog_new(const struct nu_keylog_conf *conf);
/* When it is about to serve, not in `check`. False: it could not be opened, `errno` says why; then
 * nothing is logged. Open already: true. NULL is fine. */
bool nu_keylog_open(struct nu_keylog *keylog);
void nu_keylog_free(struct nu_keylog *keylog);
const char *nu_keylog_path(const struct nu_keylog *keylog);

/* Has OpenSSL tell secrets of connections of this SSL_CTX. Which log they go to, says their
 * context. */
void nu_keylog_install(SSL_CTX *ctx);

#endif
