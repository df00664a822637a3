/* The hash of the tables, seeded once per process so that nobody outside can aim at collisions.
 * Not for what has to be the same in two processes (ring hash, maglev). Any thread. */
#ifndef NU_CORE_TABLE_HASH_H
#define NU_CORE_TABLE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 16 random bytes, the same for the life of the process. */
const uint64_t *nu_hash_seed(void);

/* SipHash-1-3 of the bytes; with `fold`, of the bytes with A-Z turned into a-z. */
uint64_t nu_hash_bytes(const void *data, size_t len, bool fold);

/* ASCII only, whatever the locale. */
static inline uint8_t nu_fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* The last step of a weak hash: every input bit reaches every output bit. */
static inline uint64_t nu_hash_mix(uint64_t h)
{
    h = (h ^ h >> 32) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

#endif
