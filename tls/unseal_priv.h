/* What the parts of unseal share. From the outside in: unseal.c takes bytes, keeps those whose turn
 * has not come, and knows why; unseal_records.c cuts them into records, also behind gaps;
 * unseal_epochs.c opens them; unseal_handshake.c follows the handshake; unseal_facts.c writes down
 * what it says. */
#ifndef NU_TLS_UNSEAL_PRIV_H
#define NU_TLS_UNSEAL_PRIV_H

#include "core/arena.h"
#include "tls/unseal.h"
#include "tls/unseal_seal.h"

enum { UNSEAL_CLIENT, UNSEAL_SERVER };

/* What a direction's records are sealed with. Up to TLS 1.2 there are the first and the last. */
enum unseal_epoch { EPOCH_CLEAR, EPOCH_EARLY, EPOCH_HANDSHAKE, EPOCH_TRAFFIC };

enum unseal_state {
    UNSEAL_READING,
    UNSEAL_HUNTING, /* behind a gap, for a record */
    UNSEAL_CLOSED,
};

/* What came of a record. */
enum unseal_step {
    STEP_DONE,
    STEP_BLOCKED, /* it needs keys, or what the other side says */
    STEP_BAD,
};

struct unseal_half {
    uint8_t dir;
    enum unseal_state state;
    enum unseal_epoch epoch;
    struct unseal_seal seal, next; /* of the epoch, and of the one behind it where that was tried */
    bool opened;                   /* something, in this epoch */
    uint8_t bad;                   /* records in a row that did not open */
    bool astray;                   /* a part of its handshake is lost */
    int64_t time_ns;               /* of the bytes at hand */

    uint8_t *part; /* of a record, or what is hunted through */
    uint32_t part_len, part_cap;
    uint8_t *message; /* a handshake message's beginning */
    uint32_t message_len, message_cap;
    uint32_t message_skip; /* bytes of one that is too long */

    uint64_t skip;    /* hunting: bytes up to where a record must begin, if nothing else is lost */
    uint64_t lost;    /* hunting: bytes on the wire since the last record that was read */
    uint32_t hunted;  /* bytes given up without finding one */
    bool gap_snapped; /* the last gap is the snap length's */

    size_t queued; /* chunks of its own */
    bool blocked;  /* in this pass */
};

struct unseal_chunk; /* bytes, a gap or an end, waiting */

struct nu_unseals {
    struct nu_secrets *secrets;
    struct unseal_algorithms algorithms;
    size_t sealed_max, sealed_total_max;
    size_t sealed, memory;
    struct nu_list waiting; /* connections with sealed bytes, the oldest first */
    uint8_t room[UNSEAL_RECORD_MAX];
};

struct nu_unseal {
    struct nu_unseals *all;
    const struct nu_unseal_handler *handler;
    void *ctx;
    struct unseal_half half[2];
    struct nu_unseal_facts facts;
    enum nu_unseal_reason closed; /* of the first direction */
    struct nu_arena *arena;       /* the facts' strings; NULL: none yet */
    size_t arena_bytes;           /* of it, as counted */

    struct nu_list queue;
    size_t sealed; /* bytes in it */
    struct nu_list waiting;
    struct nu_secrets_wait wait, wait_rsa;
    bool yield; /* what was just read may be what the other direction waits for */
    bool over;  /* nothing more will be kept */
    size_t hunt_work;

    /* --- the handshake --- */
    bool has_client, has_server, has_encrypted; /* the hellos, EncryptedExtensions */
    bool offers_early;
    bool rsa; /* ClientKeyExchange had a premaster, in the log by rsa_id */
    bool ems; /* RFC 7627 */
    uint8_t client_random[UNSEAL_RANDOM], server_random[UNSEAL_RANDOM];
    uint8_t session_id[32], session_id_len; /* the client's */
    uint8_t rsa_id[NU_SECRET_ID_BYTES];
    bool etm;
    const struct unseal_suite *suite;
    uint8_t *hello; /* the ClientHello, until the hash of the handshake is known */
    uint32_t hello_len;
    EVP_MD_CTX *transcript; /* where a premaster may have to become an extended master secret */
    uint8_t session_hash[EVP_MAX_MD_SIZE];
    unsigned session_hash_len;
};

/* --- unseal.c --- */

/* The direction is done for; `reason` is the connection's where it is the first. */
void unseal_close(struct nu_unseal *u, struct unseal_half *h, enum nu_unseal_reason reason);
void unseal_close_both(struct nu_unseal *u, enum nu_unseal_reason reason);
/* realloc that counts: to `cap` bytes, 0 frees. */
uint8_t *unseal_resize(struct nu_unseal *u, uint8_t *old, uint32_t old_cap, uint32_t cap);
/* Appends, the room doubling up to what is needed. */
void unseal_append(struct nu_unseal *u, uint8_t **at, uint32_t *len, uint32_t *cap,
                   const uint8_t *bytes, uint32_t more);

/* --- unseal_records.c --- */

/* Reads on; how many bytes were taken. Fewer: the direction is blocked, or somebody else's turn has
 * come (u->yield). */
size_t unseal_read(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes, size_t len);
/* Nothing more will come: what was kept to be hunted through is judged as it is. False: that cannot
 * be told yet. */
bool unseal_read_last(struct nu_unseal *u, struct unseal_half *h);
/* The next bytes are lost. */
void unseal_miss(struct nu_unseal *u, struct unseal_half *h, uint64_t bytes);

/* --- unseal_epochs.c --- */

/* A whole record, header included, in sequence. */
enum unseal_step unseal_record(struct nu_unseal *u, struct unseal_half *h, const uint8_t *record,
                               size_t len);
/* What may be the first record behind a gap. False: it is none that opens. */
bool unseal_record_behind(struct nu_unseal *u, struct unseal_half *h, const uint8_t *record,
                          size_t len);
/* There is none up to the end. */
void unseal_tell_lost(struct nu_unseal *u, struct unseal_half *h);
/* Its keys are there, but the other side spoke before, whose key is awaited: not its turn yet. */
bool unseal_held(struct nu_unseal *u, struct unseal_half *h);
/* Whether that can be told yet. */
bool unseal_ready(struct nu_unseal *u, struct unseal_half *h);
/* The direction goes on under other keys. */
void unseal_enter(struct nu_unseal *u, struct unseal_half *h, enum unseal_epoch epoch);
/* TLS 1.3: KeyUpdate. */
void unseal_update_keys(struct nu_unseal *u, struct unseal_half *h);

/* --- unseal_handshake.c --- */

/* Bytes of the handshake, opened where they were sealed. */
void unseal_handshake(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes, size_t len);
/* A part is lost: what follows begins with a message, or is not looked at. */
void unseal_handshake_lost(struct nu_unseal *u, struct unseal_half *h);

/* --- unseal_hello.c: whole messages, headers included --- */

void unseal_client_hello(struct nu_unseal *u, const uint8_t *message, size_t len);
void unseal_server_hello(struct nu_unseal *u, const uint8_t *message, size_t len);
void unseal_encrypted_extensions(struct nu_unseal *u, const uint8_t *message, size_t len);
/* The server's suite has the client send the premaster, encrypted with the certificate's key. */
bool unseal_is_rsa(const struct nu_unseal *u);

/* --- unseal_facts.c --- */

void unseal_fact_hello(struct nu_unseal *u, const uint8_t *message, size_t len);
/* The body of a Certificate message. */
void unseal_fact_certificate(struct nu_unseal *u, int dir, const uint8_t *body, size_t len);
void unseal_fact_cipher(struct nu_unseal *u, uint16_t code);
void unseal_fact_chosen(struct nu_unseal *u, const uint8_t *extension, size_t len);

#endif
