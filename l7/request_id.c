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

static uint64_t next(void)
{
    static _Thread_local uint64_t s[4];
    while (!(s[0] | s[1] | s[2] | s[3]))
        nu_assert(getrandom(s, sizeof s, 0) == sizeof s); /* 32 bytes come whole */
    uint64_t result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* The digits of 32 bits, the highest first, all at once: a nibble a byte, then '0' to '9' or 'a' to
 * 'f' for each. */
static void hex8(char *out, uint32_t n)
{
    uint64_t x = n;
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    x += UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    memcpy(out, &x, 8);
}

void nu_request_id(char out[static NU_UUID_BYTES])
{
    uint64_t a = (next() & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
    uint64_t b = (next() & UINT64_MAX >> 2) | UINT64_C(1) << 63;
    char digits[32];
    hex8(digits, (uint32_t)(a >> 32));
    hex8(digits + 8, (uint32_t)a);
    hex8(digits + 16, (uint32_t)(b >> 32));
    hex8(digits + 24, (uint32_t)b);
    memcpy(out, digits, 8);
    out[8] = out[13] = out[18] = out[23] = '-';
    memcpy(out + 9, digits + 8, 4);
    memcpy(out + 14, digits + 12, 4);
    memcpy(out + 19, digits + 16, 4);
    memcpy(out + 24, digits + 20, 12);
}
