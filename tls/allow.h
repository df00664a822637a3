/* Which certificates are allowed, beyond being signed by a trusted CA: by their names, by their
 * hashes. What `client_certs.allow` says of clients and `san` of servers. Inside of tls/. */
#ifndef NU_TLS_ALLOW_H
#define NU_TLS_ALLOW_H

#include "core/conf/schema.h"
#include "tls/names.h"

#include <openssl/x509.h>

#define TLS_SANS_MAX 1024 /* names of a certificate that are looked at; public CAs stop at 100 */
#define TLS_HASH_LEN 32   /* bytes: SHA-256 */

struct tls_hash {
    unsigned char byte[TLS_HASH_LEN];
};

/* A name as written: a pattern, or a network. */
struct tls_san {
    enum tls_name_kind kind; /* of the pattern */
    const char *pattern;     /* NULL: the network */
    struct nu_addr net;
};

/* Lists of one kind each. None at all: any certificate will do. */
struct tls_allow {
    struct nu_vec dns, uri, email, ip; /* struct tls_san */
    struct nu_vec sha256, spki;        /* struct tls_hash */
};
extern const struct nu_schema tls_allow_schema;

bool tls_allow_has_names(const struct tls_allow *allow);
bool tls_allow_has_hashes(const struct tls_allow *allow);
/* Whether one of the client's names is among the allowed ones. Literally: a wildcard in its
 * certificate is nobody's name. */
bool tls_allow_name(const struct tls_allow *allow, X509 *cert);
/* The same for the certificate's hash, or that of its key. */
bool tls_allow_hash(const struct tls_allow *allow, const X509 *cert);

/* Parses a name of any kind by its looks: "a.test", "spiffe://mesh/a", "a@b.test", "10.0.0.1". */
nu_parse_fn tls_parse_san;
/* Whether a server's certificate has one of these (struct tls_san); for names of hosts a wildcard
 * in it counts, too. */
bool tls_server_has_san(const struct nu_vec *sans, X509 *cert);
/* The same for one host, or an address. A common name does not count (RFC 9525 2). */
bool tls_server_is_host(X509 *cert, const char *host);
bool tls_server_is_addr(X509 *cert, const struct nu_addr *addr);

#endif
