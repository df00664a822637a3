/* The handshake's messages, gathered from records (RFC 8446 4, 5246 7.4): which of them are looked
 * into, and what the others mean for the keys. Too long ones are passed over. */
#include "tls/unseal_priv.h"

#include <string.h>

#define MESSAGE_HEADER 4 /* type, length */

/* HandshakeType. */
enum {
    CLIENT_HELLO = 1,
    SERVER_HELLO = 2,
    END_OF_EARLY_DATA = 5,
    ENCRYPTED_EXTENSIONS = 8,
    CERTIFICATE = 11,
    CERTIFICATE_REQUEST = 13,
    CLIENT_KEY_EXCHANGE = 16,
    FINISHED = 20,
    KEY_UPDATE = 24,
};

static size_t message_len(const uint8_t *message)
{
    return MESSAGE_HEADER + ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
}

/* --- messages --- */

static void hellos(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m, size_t len)
{
    if (h->dir == UNSEAL_CLIENT && m[0] == CLIENT_HELLO)
        unseal_client_hello(u, m, len);
    else if (h->dir == UNSEAL_SERVER && m[0] == SERVER_HELLO)
        unseal_server_hello(u, m, len);
}

/* The encrypted premaster, whose first bytes are its name in a key log. */
static void client_key_exchange(struct nu_unseal *u, const uint8_t *m, size_t len)
{
    if (u->transcript)
        EVP_DigestFinal_ex(u->transcript, u->session_hash, &u->session_hash_len);
    EVP_MD_CTX_free(u->transcript);
    u->transcript = NULL;
    if (len < MESSAGE_HEADER + 2 + 8)
        return;
    memcpy(u->rsa_id, m + MESSAGE_HEADER + 2, 8);
    u->rsa = true;
}

static void certificate(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m, size_t len)
{
    unseal_fact_certificate(u, h->dir, m + MESSAGE_HEADER, len - MESSAGE_HEADER);
}

static void certificate_request(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m,
                                size_t len)
{
    u->facts.client_cert_asked = true;
}

static void encrypted_extensions(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m,
                                 size_t len)
{
    if (h->dir == UNSEAL_SERVER && h->epoch == EPOCH_HANDSHAKE)
        unseal_encrypted_extensions(u, m, len);
}

static void key_exchange(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m, size_t len)
{
    if (h->dir == UNSEAL_CLIENT && unseal_is_rsa(u))
        client_key_exchange(u, m, len);
}

static void end_of_early_data(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m,
                              size_t len)
{
    if (h->epoch == EPOCH_EARLY)
        unseal_enter(u, h, EPOCH_HANDSHAKE);
}

static void finished(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m, size_t len)
{
    if (h->epoch == EPOCH_HANDSHAKE)
        unseal_enter(u, h, EPOCH_TRAFFIC);
}

static void key_update(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m, size_t len)
{
    if (u->facts.version == UNSEAL_TLS13)
        unseal_update_keys(u, h);
}

static const struct row {
    uint8_t type;
    void (*take)(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m, size_t len);
} rows[] = {
    {CLIENT_HELLO,         hellos              },
    {SERVER_HELLO,         hellos              },
    {END_OF_EARLY_DATA,    end_of_early_data   },
    {ENCRYPTED_EXTENSIONS, encrypted_extensions},
    {CERTIFICATE,          certificate         },
    {CERTIFICATE_REQUEST,  certificate_request },
    {CLIENT_KEY_EXCHANGE,  key_exchange        },
    {FINISHED,             finished            },
    {KEY_UPDATE,           key_update          },
};

/* Up to the ClientKeyExchange each message counts for the session hash; ClientHello and ServerHello
 * begin it. */
static void hash(struct nu_unseal *u, const uint8_t *m, size_t len)
{
    if (u->transcript && m[0] != SERVER_HELLO && m[0] != 0)
        EVP_DigestUpdate(u->transcript, m, len);
}

static void take_message(struct nu_unseal *u, struct unseal_half *h, const uint8_t *m, size_t len)
{
    hash(u, m, len);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].type == m[0])
            rows[i].take(u, h, m, len);
}

/* --- from records --- */

void unseal_handshake_lost(struct nu_unseal *u, struct unseal_half *h)
{
    h->message = unseal_resize(u, h->message, h->message_cap, 0);
    h->message_len = h->message_cap = h->message_skip = 0;
}

static size_t skip(struct unseal_half *h, size_t len)
{
    size_t n = len < h->message_skip ? len : h->message_skip;
    h->message_skip -= (uint32_t)n;
    return n;
}

/* A message that does not lie whole in the record. */
static size_t gather(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes, size_t len)
{
    size_t whole = h->message_len < MESSAGE_HEADER ? MESSAGE_HEADER : message_len(h->message);
    if (whole > NU_UNSEAL_MESSAGE_MAX) {
        h->message_skip = (uint32_t)(whole - h->message_len);
        h->message_len = 0;
        return 0;
    }
    size_t want = whole - h->message_len, n = want < len ? want : len;
    unseal_append(u, &h->message, &h->message_len, &h->message_cap, bytes, (uint32_t)n);
    return n;
}

static bool gathered(const struct unseal_half *h)
{
    return h->message_len >= MESSAGE_HEADER && h->message_len == message_len(h->message);
}

/* The gathered message leaves the half first: what it means may be the end of that. */
static void take_gathered(struct nu_unseal *u, struct unseal_half *h)
{
    uint8_t *message = h->message;
    uint32_t len = h->message_len, cap = h->message_cap;
    h->message = NULL;
    h->message_len = h->message_cap = 0;
    take_message(u, h, message, len);
    unseal_resize(u, message, cap, 0);
}

void unseal_handshake(struct nu_unseal *u, struct unseal_half *h, const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (at < len && h->state != UNSEAL_CLOSED) {
        size_t left = len - at;
        if (h->message_skip) {
            at += skip(h, left);
        } else if (h->message_len == 0 && left >= MESSAGE_HEADER &&
                   message_len(bytes + at) <= left) {
            take_message(u, h, bytes + at, message_len(bytes + at));
            at += message_len(bytes + at);
        } else {
            at += gather(u, h, bytes + at, left);
            if (gathered(h))
                take_gathered(u, h);
        }
    }
}
