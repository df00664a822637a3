/* The inside of TLS contexts: settings as written, credentials as loaded, what each worker uses.
 * Inside of tls/context*.c, *_conf.c, select.c, verify.c and watch.c. */
#ifndef NU_TLS_CONTEXT_PRIV_H
#define NU_TLS_CONTEXT_PRIV_H

#include "core/list.h"
#include "tls/cert.h"
#include "tls/context.h"
#include "tls/keylog.h"
#include "tls/params.h"
#include "tls/starttls.h"
#include "tls/ticket.h"
#include "tls/verify.h"

#include <stdalign.h>

/* --- as written --- */

struct tls_cert_conf {
    struct tls_cert_files files;
    struct tls_cert *now; /* main's; replaced when files change */
};

struct tls_trust_conf {
    struct tls_trust_files files;
    struct tls_trust *now; /* main's; NULL: none is needed */
};

enum tls_clients { TLS_CLIENTS_REQUIRE, TLS_CLIENTS_OPTIONAL, TLS_CLIENTS_OFF };

struct tls_client_certs {
    int mode;      /* enum tls_clients */
    int crl_check; /* enum tls_crl_check */
    int64_t depth;
    struct tls_trust_conf trust;
    struct tls_allow allow;
};

struct tls_server_conf {
    struct tls_params params;
    struct nu_vec certificates;       /* struct tls_cert_conf; the first is the default */
    struct tls_client_certs *clients; /* NULL: none are asked for */
    const char *clients_text;         /* as written */
    struct tls_tickets_conf {
        bool off;
        struct nu_tls_ticket_conf *conf; /* NULL: the defaults */
    } tickets;
    struct nu_keylog_conf *keylog;
    struct nu_starttls *starttls;
};

enum tls_server_check { TLS_VERIFY_FULL, TLS_VERIFY_CA, TLS_VERIFY_NONE };

struct tls_client_conf {
    struct tls_params params;
    const char *sni; /* NULL: the endpoint's host name, if it has one */
    bool sni_from_client;
    int verify;    /* enum tls_server_check */
    int crl_check; /* enum tls_crl_check */
    int64_t depth;
    struct tls_trust_conf trust;
    struct nu_vec san;         /* struct tls_san */
    struct tls_cert_conf cert; /* our own; files.cert and pkcs12 NULL: none */
    struct nu_keylog_conf *keylog;
    struct nu_starttls *starttls;
};

extern const struct nu_schema tls_client_certs_schema;
extern const char *const tls_crl_check_names[];

/* --- in service --- */

/* The certificates of one name, or the default ones: one for each kind of key. */
struct tls_pick {
    struct tls_cert *cert[4]; /* borrowed from creds */
    unsigned count;
    unsigned dots; /* in the name */
};

/* What the named files held at one time, ready for use. Owned by its SSL_CTX (ex data), and with it
 * by every SSL made of that: freed on whatever thread lets go last. */
struct tls_creds {
    struct nu_arena *arena;
    struct tls_context *context; /* outlives every SSL */
    struct tls_cert **cert;      /* references */
    size_t cert_count;
    struct tls_trust *trust; /* a reference; NULL: none */
    struct tls_verify verify;
    struct nu_domain_table *names; /* -> struct tls_pick; NULL: the default is for all */
    struct tls_pick fallback;
};

/* Files have changed. */
enum tls_renewal {
    TLS_RENEWAL_NONE,
    TLS_RENEWAL_DUE,      /* and are about to be loaded */
    TLS_RENEWAL_SETTLING, /* and could not be used; others may come that belong to them */
};

struct tls_watched;

/* A worker's own; a cache line each. */
struct tls_view {
    alignas(64) SSL_CTX *ctx; /* a reference */
};

struct tls_context {
    struct nu_tls_context pub; /* first member */
    struct nu_arena *arena;    /* it lives in; also all that was written */
    unsigned refs;             /* main */
    struct nu_list link;       /* of all */
    const char *text;          /* role, owner and config: the same text, the same object */
    union {
        struct tls_server_conf *server;
        struct tls_client_conf *client;
    } conf;
    const struct nu_starttls *starttls; /* NULL = TLS from the first byte */
    struct tls_view *view;              /* by shard */
    struct tls_watched **watched;       /* its files, once it serves */
    unsigned watched_count;
    enum tls_renewal renewal;
    bool tickets_due;   /* a file with their keys has changed */
    int64_t changed_ms; /* when the last file did; the loop's clock */
    bool served;        /* workers may know it: views are changed by posts */
};

static inline struct tls_context *tls_context_of(struct nu_tls_context *pub)
{
    return (struct tls_context *)pub;
}

/* Of context.c; main thread. */

/* An empty one with an arena, for the schema to be parsed into. */
struct tls_context *tls_context_new(enum nu_tls_role role);
/* One that is ready, or will never be; takes the caller's reference away. */
void tls_context_put(struct tls_context *context);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_drop(void *context); /* the same as put, for nu_arena_on_free */
/* `place` of the extensions: the chains and legs of `owner` keep the context. */
void tls_context_place(void *value, struct nu_arena *owner, struct nu_place *out);
/* Called when all of `conf` is there: builds credentials, or finds the context that was made of the
 * same text before (and gives this one back). Never NULL. */
struct tls_context *tls_context_finish(struct tls_context *context, const char *kind,
                                       const char *owner, const char *text);
/* Its own certificates as written. */
size_t tls_context_cert_count(const struct tls_context *context);
struct tls_cert_conf *tls_context_cert(struct tls_context *context, size_t i);
/* Has every worker use new credentials of what is loaded now. */
void tls_context_renew(struct tls_context *context);
void tls_context_each(void (*fn)(struct tls_context *context, void *ctx), void *ctx);

/* What it trusts; NULL: nothing is verified by CAs. */
struct tls_trust_conf *tls_context_trust(struct tls_context *context);

/* Files with keys of tickets (const char *); NULL: none. */
const struct nu_vec *tls_context_ticket_keys(const struct tls_context *context);

/* Of watch.c: watches the files that it depends on now. */
void tls_watch_paths(struct tls_context *context);
/* No more of it. */
void tls_watch_end(struct tls_context *context);

/* Of cert_conf.c: the check of a certificate's schema, which loads it. */
enum nu_err tls_check_cert(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                           void *out);
extern const struct nu_schema tls_cert_schema;
/* The value under `key`, or where it is missing the map. */
const struct nu_node *tls_place_of(const struct nu_node *node, const char *key);
void tls_show_warnings(struct nu_conf *conf, const struct nu_node *node,
                       const struct tls_loaded *loaded);

/* Of client_certs.c: loads what is trusted; and parses a file or a folder. */
enum nu_err tls_load_trust(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                           struct tls_trust_conf *trust);
nu_parse_fn tls_parse_ca;

/* Of creds.c */

/* An SSL_CTX of the context's settings and the certificates loaded now, with its creds. */
SSL_CTX *tls_creds_build(struct tls_context *context);
struct tls_creds *tls_creds_of(const SSL_CTX *ctx);

/* Of select.c */

void tls_select_build(struct tls_creds *creds, SSL_CTX *ctx);

/* Of resume.c: binds a server's sessions to all that its verification depends on. */
void tls_resume_install(SSL_CTX *ctx, const struct tls_creds *creds);

/* Of ocsp.c: staples what the certificates have, as long as it is good. */
void tls_ocsp_install(SSL_CTX *ctx, struct tls_creds *creds);

#endif
