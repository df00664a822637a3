/* Keys of session tickets: what lets a client resume with any worker, after a reload and, with keys
 * from files, at another machine.
 *
 * A set of keys is named; a reload finds it again by its name. Keys that are made here change by
 * themselves; those from files change when the files do. Sets are made and dropped on the main
 * thread; any worker seals and opens tickets with them. */
#ifndef NU_TLS_TICKET_H
#define NU_TLS_TICKET_H

#include "core/conf/schema.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* Keys of a set: the one that seals, those that still open, those of files to come. */
#define NU_TLS_TICKET_KEYS_MAX 16

struct nu_tls_ticket_conf {
    struct nu_vec keys;             /* const char *: files; the first one seals. None: made here */
    int64_t rotate_ms, lifetime_ms; /* of keys made here; of tickets */
};
extern const struct nu_schema nu_tls_ticket_schema;

struct nu_tls_tickets;

/* The set of that name, made or found, with these settings from now on; one more reference. Paths
 * are copied; files are read by nu_tls_tickets_load only. NULL conf: the defaults. Never NULL. */
struct nu_tls_tickets *nu_tls_tickets_get(const char *name, const struct nu_tls_ticket_conf *conf);
/* With the last reference the keys are forgotten. NULL is fine. */
void nu_tls_tickets_put(struct nu_tls_tickets *tickets);
/* Reads the key files, if it has any. A file holds one key of 80 bytes (name 16, HMAC 32, AES 32)
 * or 48 (16, 16, 16: AES first), as nginx has them, or lines of either in Base64, as HAProxy has
 * them (of several the last but one seals). False: the old keys stay, `why` says why. */
bool nu_tls_tickets_load(struct nu_tls_tickets *tickets, char *why, size_t len);

/* Has the context seal and open its tickets with the set, one for each handshake; NULL: none. The
 * set has to outlive the SSL_CTX. */
void nu_tls_tickets_setup(SSL_CTX *ctx, struct nu_tls_tickets *tickets);

/* For tests: moves the clock of key rotation. */
void nu_tls_tickets_advance(int64_t ms);

#endif
