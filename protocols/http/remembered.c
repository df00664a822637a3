/* Passwords that were right; see remembered.h. A digest may stand in any of the few places of its
 * set, which its first bytes choose; whoever does not know the salt cannot choose for others. */
#include "protocols/http/remembered.h"

#include "core/assert.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 4
#define SETS (NU_REMEMBERED_MAX / WAYS)

struct digest {
    uint8_t bytes[SHA256_DIGEST_LENGTH];
};

struct nu_remembered {
    uint8_t salt[32];
    unsigned turn; /* which of a set's ways the next one takes */
    struct digest digests[SETS][WAYS];
};

struct nu_remembered *nu_remembered_new(void)
{
    struct nu_remembered *set = calloc(1, sizeof *set);
    nu_assert(set != NULL && RAND_bytes(set->salt, sizeof set->salt) == 1);
    return set;
}

void nu_remembered_free(struct nu_remembered *set)
{
    free(set);
}

static struct digest digest_of(const struct nu_remembered *set, const char *hash,
                               struct nu_text password)
{
    struct digest out;
    uint8_t room[sizeof set->salt + NU_HTPASSWD_HASH_LEN + SHA256_DIGEST_LENGTH];
    uint8_t *at = room + sizeof set->salt;
    memcpy(room, set->salt, sizeof set->salt);
    memcpy(at, hash, NU_HTPASSWD_HASH_LEN);
    SHA256((const uint8_t *)password.at, password.len, at + NU_HTPASSWD_HASH_LEN);
    SHA256(room, sizeof room, out.bytes);
    explicit_bzero(room, sizeof room);
    return out;
}

static unsigned set_of(const struct digest *digest)
{
    return (unsigned)(digest->bytes[0] | digest->bytes[1] << 8) % SETS;
}

void nu_remembered_add(struct nu_remembered *set, const char *hash, struct nu_text password)
{
    struct digest digest = digest_of(set, hash, password);
    set->digests[set_of(&digest)][set->turn++ % WAYS] = digest;
}

bool nu_remembered_has(const struct nu_remembered *set, const char *hash, struct nu_text password)
{
    struct digest digest = digest_of(set, hash, password);
    const struct digest *ways = set->digests[set_of(&digest)];
    bool found = false;
    for (unsigned i = 0; i < WAYS; i++)
        found = CRYPTO_memcmp(&ways[i], &digest, sizeof digest) == 0 || found;
    return found;
}
