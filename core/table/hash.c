/* SipHash-1-3 and its seed; see hash.h. */
#include "core/table/hash.h"

#include "core/assert.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

static uint64_t seed[2];

static void make_seed(void)
{
    nu_assert(getrandom(seed, sizeof seed, 0) == sizeof seed);
}

const uint64_t *nu_hash_seed(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_seed);
    return seed;
}

struct sip {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(struct sip *v)
{
    v->a += v->b;
    v->b = rotate(v->b, 13) ^ v->a;
    v->a = rotate(v->a, 32);
    v->c += v->d;
    v->d = rotate(v->d, 16) ^ v->c;
    v->a += v->d;
    v->d = rotate(v->d, 21) ^ v->a;
    v->c += v->b;
    v->b = rotate(v->b, 17) ^ v->c;
    v->c = rotate(v->c, 32);
}

static void sip_word(struct sip *v, uint64_t word)
{
    v->d ^= word;
    sip_round(v);
    v->a ^= word;
}

/* Lower case of eight bytes at once: bit 5 is set in those from A to Z. */
static uint64_t fold_word(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t low = w & 0x7f * ones;
    uint64_t above_z = low + (0x7f - 'Z') * ones, from_a = low + (0x80 - 'A') * ones;
    return w | (~w & (from_a ^ above_z) & 0x80 * ones) >> 2;
}

static uint64_t load(const uint8_t *p, size_t len, bool fold)
{
    uint64_t word = 0;
    memcpy(&word, p, len);
    return fold ? fold_word(word) : word;
}

uint64_t nu_hash_bytes(const void *data, size_t len, bool fold)
{
    const uint64_t *key = nu_hash_seed();
    const uint8_t *p = data;
    struct sip v = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                    key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    size_t left = len;
    for (; left >= 8; left -= 8, p += 8)
        sip_word(&v, load(p, 8, fold));
    sip_word(&v, (uint64_t)len << 56 ^ (left ? load(p, left, fold) : 0));
    v.c ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&v);
    return v.a ^ v.b ^ v.c ^ v.d;
}
