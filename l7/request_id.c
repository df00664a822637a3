/* Random ids; see request_id.h. The generator is xoshiro256++ (Blackman and Vigna): 256 bits of
 * state, so that threads and processes which seed it at random never meet. */
#include "l7/request_id.h"

#include "core/assert.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t next(uint64_t s[static 4])
{
    uint64_t result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* The digits of 32 bits, the highest in the lowest byte, all at once: a nibble a byte, then '0' to
 * '9' or 'a' to 'f' for each. */
static uint64_t hex8(uint64_t x)
{
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    return __builtin_bswap64(x + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10));
}

static void put8(char *out, uint64_t digits)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    digits = __builtin_bswap64(digits);
#endif
    memcpy(out, &digits, 8);
}

/* Overlapping stores, from left to right: each hyphen falls on what the one before wrote too much.
 */
void nu_request_id(char out[static NU_UUID_BYTES])
{
    static _Thread_local uint64_t state[4];
    while (!(state[0] | state[1] | state[2] | state[3]))
        nu_assert(getrandom(state, sizeof state, 0) == sizeof state); /* 32 bytes come whole */
    uint64_t a = (next(state) & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
    uint64_t b = (next(state) & UINT64_MAX >> 2) | UINT64_C(1) << 63;
    uint64_t middle = hex8((uint32_t)a), right = hex8(b >> 32);
    put8(out, hex8(a >> 32));
    put8(out + 9, middle);
    put8(out + 14, middle >> 32);
    put8(out + 19, right);
    put8(out + 24, right >> 32);
    put8(out + 28, hex8((uint32_t)b));
    out[8] = out[13] = out[18] = out[23] = '-';
}
