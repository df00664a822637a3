/* What the hellos settle: randoms, version, cipher, whether there is early data (RFC 8446 4.1,
 * 4.3.1; RFC 5246 7.4.1). Every length is checked; a hello that cannot be read is as good as none.
 */
#include "tls/unseal_priv.h"

#include <string.h>

#define HEADER 4 /* of a message */

/* Extension types. */
enum {
    EXT_ALPN = 16,
    EXT_ENCRYPT_THEN_MAC = 22,
    EXT_EXTENDED_MASTER = 23,
    EXT_PRE_SHARED_KEY = 41,
    EXT_EARLY_DATA = 42,
    EXT_VERSIONS = 43,
};

/* Bytes not read yet; after a read that did not fit `bad`, and zeros. */
struct reader {
    const uint8_t *at, *end;
    bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
    static const uint8_t none[64];
    if ((size_t)(r->end - r->at) < n) {
        r->bad = true;
        r->at = r->end;
        return none;
    }
    r->at += n;
    return r->at - n;
}

static unsigned take_number(struct reader *r, unsigned width)
{
    const uint8_t *p = take(r, width);
    unsigned n = 0;
    for (unsigned i = 0; i < width; i++)
        n = n << 8 | p[i];
    return n;
}

static struct reader take_vector(struct reader *r, unsigned width)
{
    size_t n = take_number(r, width);
    struct reader inner = {.at = take(r, n)};
    inner.end = inner.at + (r->bad ? 0 : n);
    return inner;
}

static bool left(const struct reader *r)
{
    return !r->bad && r->at < r->end;
}

/* --- the client's --- */

static bool offers_early(struct reader *r)
{
    struct reader extensions;
    take_vector(r, 2); /* ciphers */
    take_vector(r, 1); /* compression methods */
    extensions = take_vector(r, 2);
    while (left(&extensions)) {
        unsigned type = take_number(&extensions, 2);
        take_vector(&extensions, 2);
        if (type == EXT_EARLY_DATA)
            return true;
    }
    return false;
}

/* Which keys the client goes on with, once both hellos are known. */
static void client_goes_on(struct nu_unseal *u)
{
    struct unseal_half *client = &u->half[UNSEAL_CLIENT];
    if (u->has_client && u->has_server && u->facts.version == UNSEAL_TLS13 &&
        client->epoch == EPOCH_CLEAR && client->state != UNSEAL_CLOSED)
        unseal_enter(u, client,
                     u->offers_early && !u->facts.retried ? EPOCH_EARLY : EPOCH_HANDSHAKE);
    u->yield = true;
}

/* For the session hash, whose algorithm the server chooses. */
static void keep_hello(struct nu_unseal *u, const uint8_t *message, size_t len)
{
    uint32_t cap = 0;
    u->hello = unseal_resize(u, u->hello, u->hello_len, 0);
    u->hello_len = 0;
    if (!u->has_server) {
        unseal_append(u, &u->hello, &u->hello_len, &cap, message, (uint32_t)len);
        u->hello = unseal_resize(u, u->hello, cap, u->hello_len);
    }
}

void unseal_client_hello(struct nu_unseal *u, const uint8_t *message, size_t len)
{
    struct reader r = {.at = message + HEADER, .end = message + len};
    take_number(&r, 2);
    const uint8_t *random = take(&r, UNSEAL_RANDOM);
    struct reader id = take_vector(&r, 1);
    if (r.bad || id.end - id.at > 32)
        return;
    if (!u->has_client)
        unseal_fact_hello(u, message, len);
    if (u->has_client && memcmp(u->client_random, random, UNSEAL_RANDOM) != 0)
        nu_secrets_unwait(u->all->secrets, &u->wait);
    memcpy(u->client_random, random, UNSEAL_RANDOM);
    u->session_id_len = (uint8_t)(id.end - id.at);
    memcpy(u->session_id, id.at, u->session_id_len);
    u->has_client = true;
    u->offers_early = u->facts.retried ? u->offers_early : offers_early(&r);
    keep_hello(u, message, len);
    client_goes_on(u);
}

/* --- the server's --- */

/* What its extensions say. */
struct said {
    unsigned version;
    bool etm, ems, psk;
};

static void read_extensions(struct nu_unseal *u, struct reader *r, struct said *said)
{
    struct reader all = take_vector(r, 2);
    while (left(&all)) {
        unsigned type = take_number(&all, 2);
        struct reader body = take_vector(&all, 2);
        if (type == EXT_VERSIONS)
            said->version = take_number(&body, 2);
        else if (type == EXT_ALPN)
            unseal_fact_chosen(u, body.at, (size_t)(body.end - body.at));
        else if (type == EXT_EARLY_DATA)
            u->facts.early_data = true;
        said->etm = said->etm || type == EXT_ENCRYPT_THEN_MAC;
        said->ems = said->ems || type == EXT_EXTENDED_MASTER;
        said->psk = said->psk || type == EXT_PRE_SHARED_KEY;
    }
}

bool unseal_is_rsa(const struct nu_unseal *u)
{
    return u->suite && u->facts.version < UNSEAL_TLS13 && !strstr(u->suite->name, "DH");
}

static void start_transcript(struct nu_unseal *u, const uint8_t *message, size_t len)
{
    const char *hash = u->facts.version < 0x0303 ? "MD5-SHA1" : u->suite->hash;
    EVP_MD_CTX_free(u->transcript);
    u->transcript = NULL;
    u->session_hash_len = 0;
    if (!u->ems || !u->hello || !unseal_is_rsa(u))
        return;
    EVP_MD *md = EVP_MD_fetch(NULL, hash, NULL);
    u->transcript = EVP_MD_CTX_new();
    if (!md || !u->transcript || EVP_DigestInit_ex2(u->transcript, md, NULL) != 1 ||
        EVP_DigestUpdate(u->transcript, u->hello, u->hello_len) != 1 ||
        EVP_DigestUpdate(u->transcript, message, len) != 1) {
        EVP_MD_CTX_free(u->transcript);
        u->transcript = NULL;
    }
    EVP_MD_free(md);
}

static bool is_known(unsigned version)
{
    return version >= 0x0301 && version <= UNSEAL_TLS13;
}

/* Suites of 1.3 are no others', and the other way round (RFC 8446 B.4). */
static const struct unseal_suite *usable_suite(unsigned version, unsigned code)
{
    bool of_13 = code >> 8 == 0x13;
    return of_13 == (version == UNSEAL_TLS13) ? unseal_suite((uint16_t)code) : NULL;
}

static enum nu_unseal_reason why_not(unsigned code)
{
    const struct unseal_unread *unread = unseal_unread((uint16_t)code);
    return unread ? unread->reason : NU_UNSEAL_CIPHER_UNKNOWN;
}

static void settle(struct nu_unseal *u, unsigned code, unsigned compression, struct said said)
{
    u->etm = said.etm;
    u->ems = said.ems;
    u->has_server = true;
    u->suite = usable_suite(said.version, code);
    u->facts.version = (uint16_t)said.version;
    unseal_fact_cipher(u, (uint16_t)code);
    if (!is_known(said.version))
        unseal_close_both(u, NU_UNSEAL_VERSION_UNKNOWN);
    else if (!u->suite)
        unseal_close_both(u, why_not(code));
    else if (compression != 0)
        unseal_close_both(u, NU_UNSEAL_COMPRESSED);
}

/* Its random says that it is a HelloRetryRequest (RFC 8446 4.1.3). */
static bool is_retry(const uint8_t *random)
{
    static const uint8_t retry[UNSEAL_RANDOM] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
                                                 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
                                                 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
                                                 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
    return memcmp(random, retry, sizeof retry) == 0;
}

void unseal_server_hello(struct nu_unseal *u, const uint8_t *message, size_t len)
{
    struct reader r = {.at = message + HEADER, .end = message + len};
    struct said said = {.version = take_number(&r, 2)};
    const uint8_t *random = take(&r, UNSEAL_RANDOM);
    struct reader id = take_vector(&r, 1);
    unsigned code = take_number(&r, 2), compression = take_number(&r, 1);
    if (r.bad)
        return;
    if (is_retry(random)) {
        u->facts.retried = u->yield = true;
        return;
    }
    if (left(&r))
        read_extensions(u, &r, &said);
    size_t id_len = (size_t)(id.end - id.at);
    bool same_id =
        id_len && id_len == u->session_id_len && memcmp(id.at, u->session_id, id_len) == 0;
    u->facts.resumed = said.version == UNSEAL_TLS13 ? said.psk : same_id;
    memcpy(u->server_random, random, UNSEAL_RANDOM);
    settle(u, code, compression, said);
    if (u->half[UNSEAL_SERVER].state == UNSEAL_CLOSED)
        return;
    start_transcript(u, message, len);
    u->hello = unseal_resize(u, u->hello, u->hello_len, 0);
    u->hello_len = 0;
    if (said.version == UNSEAL_TLS13)
        unseal_enter(u, &u->half[UNSEAL_SERVER], EPOCH_HANDSHAKE);
    client_goes_on(u);
}

void unseal_encrypted_extensions(struct nu_unseal *u, const uint8_t *message, size_t len)
{
    struct reader r = {.at = message + HEADER, .end = message + len};
    struct said said = {0};
    read_extensions(u, &r, &said);
    u->has_encrypted = u->yield = true;
}
