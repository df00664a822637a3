/* One certificate with its chain, key and OCSP staple, as named in a config: loaded, checked, and
 * shared by every context that names the same files.
 *
 * Made on the main thread; immutable afterwards, but for `stale`. Whoever refers to one holds a
 * reference and may drop it on any thread. Inside of tls/. */
#ifndef NU_TLS_CERT_H
#define NU_TLS_CERT_H

#include "core/arena.h"
#include "tls/file.h"

#include <openssl/x509.h>
#include <stdint.h>

#define TLS_CERT_WARNINGS 6 /* of one certificate: each check has at most one */

/* As written. Paths are absolute; NULL = not given. */
struct tls_cert_files {
    const char *cert, *key; /* PEM; no key: it stands in cert */
    const char *pkcs12;     /* instead of both */
    const char *passphrase; /* a file */
    const char *ocsp;       /* DER */
};
enum { TLS_CERT_FILES = 5 };

struct tls_cert {
    struct nu_arena *arena;
    unsigned refs; /* under the lock of cert_store.c */
    const char *id;
    struct tls_cert_files files;
    struct tls_stamp stamp[TLS_CERT_FILES];
    bool stale; /* main: a file has changed; who asks for these files gets a new one */

    X509 *leaf;
    STACK_OF(X509) * chain; /* behind the leaf, as in the file; may be empty */
    EVP_PKEY *key;
    const char *
        *names; /* DNS names, lower case, wildcards as they are; the CN where there is none */
    size_t name_count;
    int64_t not_after_s; /* since the epoch; of the leaf */

    const unsigned char *staple; /* NULL: none, or not fit to be sent */
    size_t staple_len;
    int64_t staple_until_s; /* nextUpdate; not sent from then on */

    struct tls_problem warning[TLS_CERT_WARNINGS];
    unsigned warning_count;
};

/* The certificate of these files, loaded already and unchanged, or loaded now; with a reference for
 * the caller. NULL: told in problem. Main thread. */
struct tls_cert *tls_cert_get(const struct tls_cert_files *files, struct tls_problem *problem);
struct tls_cert *tls_cert_ref(struct tls_cert *cert);
/* Any thread. NULL is fine. */
void tls_cert_put(struct tls_cert *cert);
/* Makes those stale that were read from the path. Main thread. */
void tls_cert_changed(const char *path);
/* Calls fn for each that is alive. Main thread. */
void tls_cert_each(void (*fn)(struct tls_cert *cert, void *ctx), void *ctx);

/* Of cert_load.c: fills in what the files say. False: told in problem, and what was loaded is
 * tls_cert_unload's. */
bool tls_cert_load(struct tls_cert *cert, struct tls_problem *problem);
void tls_cert_unload(struct tls_cert *cert);
void tls_cert_warn(struct tls_cert *cert, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Of ocsp.c: reads and checks cert->files.ocsp. False: it is no OCSP response; one that must not be
 * sent is a warning. */
bool tls_ocsp_load(struct tls_cert *cert, struct tls_problem *problem);

/* Of cert_text.c: the subject as RFC 2253 has it, escaped to printable ASCII and cut; returns buf.
 */
const char *tls_subject(const X509 *cert, char *buf, size_t size);
int64_t tls_time_s(const ASN1_TIME *time);

#endif
