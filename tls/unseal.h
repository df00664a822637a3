/* TLS as an onlooker reads it: what both sides sent, and their secrets, become facts of the
 * handshake and the plain bytes (TLS 1.0 to 1.3; RFC 5246, 8446). It judges nothing that the peers
 * judge themselves: no certificate, no Finished. docs/internals/unseal.md has the reasons.
 *
 * Sans-I/O, fed by captures of any quality: bytes in order, in any pieces, with gaps told. Keys may
 * be there or come later; sealed bytes are kept meanwhile, within bounds. One thread. */
#ifndef NU_TLS_UNSEAL_H
#define NU_TLS_UNSEAL_H

#include "core/err.h"
#include "tls/secrets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes kept of a connection, and of all, until keys come: what callers take who have no opinion.
 * A client's secrets are written as it learns them, so that it is the first flights that wait. */
#define NU_UNSEAL_SEALED_MAX       (256u * 1024)
#define NU_UNSEAL_SEALED_TOTAL_MAX (16u * 1024 * 1024)
/* Of a handshake message that is looked into; a longer one is passed over. Chains of certificates
 * with all their staples are 16 KiB. */
#define NU_UNSEAL_MESSAGE_MAX (64u * 1024)
/* ALPN names told of those offered; browsers have two, nobody more than ten. */
#define NU_UNSEAL_ALPN_MAX 16
/* Bytes looked through for a record behind a gap: two of the longest, since one may be cut. */
#define NU_UNSEAL_HUNT_MAX (2u * (16384 + 2048 + 5))
/* Sequence numbers tried for the first record behind a gap: 64 KiB lost of HTTP/2's small ones. */
#define NU_UNSEAL_HUNT_TRIES 1024
/* Bytes decrypted in vain in a connection for that; about 20 ms of a CPU. */
#define NU_UNSEAL_HUNT_WORK (32u * 1024 * 1024)
/* Records in a row that do not open before a direction is given up. */
#define NU_UNSEAL_BAD_MAX 4

/* Why a connection, or one direction from some point on, stays closed. */
enum nu_unseal_reason {
    NU_UNSEAL_OPEN,            /* it does not */
    NU_UNSEAL_NO_DATA,         /* the handshake did not come to an end: nothing was sealed */
    NU_UNSEAL_NO_KEYS,         /* none came while its bytes could be kept */
    NU_UNSEAL_WRONG_KEYS,      /* its first sealed record does not open */
    NU_UNSEAL_GAP,             /* bytes are missing that all others depend on */
    NU_UNSEAL_SNAP_LENGTH,     /* the same: the capture cut its packets */
    NU_UNSEAL_MISSED_START,    /* its hellos were not seen */
    NU_UNSEAL_VERSION_UNKNOWN, /* SSL 3, drafts */
    NU_UNSEAL_CIPHER_UNKNOWN,  /* no cipher that is read here */
    NU_UNSEAL_RC4,             /* OpenSSL 3 has it only in a provider of its own, "legacy" */
    NU_UNSEAL_NOT_SEALED,      /* a cipher that only authenticates */
    NU_UNSEAL_COMPRESSED,      /* TLS' own compression, before 1.3 */
    NU_UNSEAL_BAD_RECORD,      /* what came are no TLS records, or they do not open */
    NU_UNSEAL_MEMORY,          /* others needed the room in which it waited for its keys */
    NU_UNSEAL_REASONS,
};
const char *nu_unseal_reason_str(enum nu_unseal_reason reason); /* "no keys" */

/* Strings are printable ASCII, others' bytes in them \xHH; they live as long as the connection. */
struct nu_unseal_facts {
    const char *sni;                      /* NULL: none */
    const char *alpn[NU_UNSEAL_ALPN_MAX]; /* offered */
    unsigned alpn_count;
    const char *alpn_chosen;                     /* NULL: none, or not seen */
    uint16_t version;                            /* 0x0303; 0: no ServerHello */
    uint16_t cipher;                             /* with version */
    const char *cipher_name;                     /* OpenSSL's; "0x1234" of an unknown; NULL: none */
    const char *server_subject, *client_subject; /* RFC 2253; NULL: no certificate was read */
    bool client_cert_asked;
    bool resumed;          /* by session id or ticket; of TLS 1.3, a PSK was chosen */
    bool retried;          /* HelloRetryRequest */
    bool early_data;       /* 0-RTT, and the server took it */
    char ja3[33], ja4[37]; /* of the first ClientHello; "" */
    /* The last alert of each side but close_notify, level and code; 0: none that could be read. */
    uint16_t alert[2];
    bool close_notify[2];
    uint64_t wire[2];             /* bytes that were fed, and gaps */
    uint64_t plain[2];            /* bytes that were told */
    bool decrypted;               /* some sealed record was opened */
    enum nu_unseal_reason reason; /* of the direction that closed first; while keys are awaited,
                                     what would be said now */
};
const char *nu_tls_version_str(uint16_t version); /* "TLSv1.3"; "?" */
const char *nu_tls_alert_str(uint8_t code);       /* "handshake_failure"; "?" */

/* What becomes of a connection's bytes; `dir` is 0 from the client, 1 from the server. Nothing of
 * this may feed or free the connection. */
struct nu_unseal_handler {
    void (*plain)(void *ctx, int dir, const uint8_t *bytes, size_t len, int64_t time_ns);
    /* Plain bytes are missing. `exact`: so many; else about. */
    void (*gap)(void *ctx, int dir, uint64_t bytes, bool exact, int64_t time_ns);
    /* The direction has ended (nu_unseal_end), all before it being told. */
    void (*end)(void *ctx, int dir, int64_t time_ns);
    /* From here on nothing of it will be told but its end. */
    void (*closed)(void *ctx, int dir, enum nu_unseal_reason reason, int64_t time_ns);
};

/* What the connections of a capture share: secrets, ciphers, bounds. */
struct nu_unseals;
/* Borrows secrets. The caller frees it, after its connections. */
struct nu_unseals *nu_unseals_new(struct nu_secrets *secrets, size_t sealed_max,
                                  size_t sealed_total_max);
void nu_unseals_free(struct nu_unseals *all); /* NULL is fine */
/* Bytes that all connections take. */
size_t nu_unseals_memory(const struct nu_unseals *all);

struct nu_unseal;
struct nu_unseal *nu_unseal_new(struct nu_unseals *all, const struct nu_unseal_handler *handler,
                                void *ctx);
void nu_unseal_free(struct nu_unseal *u); /* NULL is fine */

/* The next bytes of a direction; those of the other that came before were fed before. */
void nu_unseal_feed(struct nu_unseal *u, int dir, const uint8_t *bytes, size_t len,
                    int64_t time_ns);
/* The next `bytes` are missing; `why` is GAP or SNAP_LENGTH. */
void nu_unseal_gap(struct nu_unseal *u, int dir, uint64_t bytes, enum nu_unseal_reason why,
                   int64_t time_ns);
void nu_unseal_end(struct nu_unseal *u, int dir, int64_t time_ns);
/* It holds sealed bytes that keys would open; the secrets' table calls it by itself as they come,
 * also after both ends. */
bool nu_unseal_waits(const struct nu_unseal *u);
/* No keys will come: what waits is given up, and told as closed. */
void nu_unseal_finish(struct nu_unseal *u);
const struct nu_unseal_facts *nu_unseal_facts(struct nu_unseal *u);
/* By what its secrets are found (nu_secrets_find): 0 the client random, 1 that of an RSA premaster;
 * NU_SECRET_ID_BYTES that live as long as the connection. NULL: not seen. */
const uint8_t *nu_unseal_id(const struct nu_unseal *u, unsigned which);

/* Whether a direction's first bytes are TLS records: NU_OK, NU_MORE (too few to tell), NU_NOT_THIS.
 * Also in the middle of a connection, at a record's beginning. */
enum nu_err nu_unseal_looks(const uint8_t *bytes, size_t len);

#endif
