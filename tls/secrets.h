/* Secrets of TLS connections as key logs have them (NSS' format, SSLKEYLOGFILE; draft-ietf-tls-
 * keylogfile): for who reads along, not for who serves. A table by client random that is bounded,
 * fed with text in any pieces: a file that grows, secrets blocks of a capture.
 *
 * Keys may come after what they open: who waits for a random is called as its keys come. No file,
 * no clock; one thread. */
#ifndef NU_TLS_SECRETS_H
#define NU_TLS_SECRETS_H

#include "core/list.h"

#include <stdint.h>

#define NU_SECRET_MAX_BYTES 48 /* a master secret; the output of SHA-384 */
#define NU_SECRET_ID_BYTES  32 /* a client random */
/* Randoms with keys, where the caller has no figure of its own: 22 MiB when full. */
#define NU_SECRETS_MAX 65536
/* Bytes of a line; the longest that means something has 227. A longer one is skipped. */
#define NU_SECRETS_LINE_MAX 512

/* By their labels. EXPORTER_SECRET and whatever else stands in logs opens no record. */
enum nu_secret {
    NU_SECRET_MASTER,    /* CLIENT_RANDOM: up to TLS 1.2 */
    NU_SECRET_PREMASTER, /* RSA: its id is the first 8 bytes of the encrypted one, then zeros */
    NU_SECRET_CLIENT_EARLY,
    NU_SECRET_CLIENT_HANDSHAKE,
    NU_SECRET_SERVER_HANDSHAKE,
    NU_SECRET_CLIENT_TRAFFIC,
    NU_SECRET_SERVER_TRAFFIC,
    NU_SECRET_KINDS,
};
const char *nu_secret_str(enum nu_secret kind); /* the label */

struct nu_secrets_figures {
    uint64_t keys;      /* lines that were taken */
    uint64_t ignored;   /* comments, empty lines, labels of no use */
    uint64_t malformed; /* lines of no key log, or too long */
    uint64_t evicted;   /* randoms that made room for newer ones */
    size_t randoms;     /* that have keys now */
};

struct nu_secrets;
/* `max`: randoms kept; the oldest makes room. The caller frees it, after those who wait. */
struct nu_secrets *nu_secrets_new(size_t max);
/* Wipes and frees. NULL is fine. */
void nu_secrets_free(struct nu_secrets *secrets);

/* More of a key log; a last line without an end waits for the rest. Those who wait are called
 * before it returns. */
void nu_secrets_feed(struct nu_secrets *secrets, const void *text, size_t len);
/* What was fed is all of that source: its last line counts too, and another may begin. */
void nu_secrets_end(struct nu_secrets *secrets);

/* The secret and its length, valid until more is fed; NULL: not known. */
const uint8_t *nu_secrets_find(const struct nu_secrets *secrets,
                               const uint8_t id[static NU_SECRET_ID_BYTES], enum nu_secret kind,
                               size_t *len);
struct nu_secrets_figures nu_secrets_figures(const struct nu_secrets *secrets);
size_t nu_secrets_memory(const struct nu_secrets *secrets);

struct nu_secret_entry;
/* Zeroed to begin with. */
struct nu_secrets_wait {
    struct nu_list node;
    struct nu_secret_entry *entry;
    void (*came)(struct nu_secrets_wait *wait);
};
/* Has `came` called with each piece of log that has keys for the id, until told otherwise; it may
 * end this wait or others, and start some. */
void nu_secrets_wait(struct nu_secrets *secrets, const uint8_t id[static NU_SECRET_ID_BYTES],
                     struct nu_secrets_wait *wait);
/* Fine if it does not wait. */
void nu_secrets_unwait(struct nu_secrets *secrets, struct nu_secrets_wait *wait);

#endif
