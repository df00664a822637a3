/* The tables' hash: seed, folding, and that it is the function it says. */
#include "core/table/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* SipHash-1-3 written down again, one byte at a time, from the paper's description. */
static uint64_t plain_sip13(const uint8_t *in, size_t len)
{
    const uint64_t *k = nu_hash_seed();
    uint64_t v[4] = {k[0] ^ 0x736f6d6570736575u, k[1] ^ 0x646f72616e646f6du,
                     k[0] ^ 0x6c7967656e657261u, k[1] ^ 0x7465646279746573u};
    for (size_t word = 0; word <= len / 8 + 3; word++) {
        uint64_t m = 0;
        for (size_t i = 0; i < 8; i++) {
            size_t at = 8 * word + i;
            uint8_t byte = at < len ? in[at] : i == 7 && word == len / 8 ? (uint8_t)len : 0;
            m |= (uint64_t)byte << 8 * i;
        }
        if (word == len / 8 + 1)
            v[2] ^= 0xff;
        v[3] ^= word <= len / 8 ? m : 0;
        v[0] += v[1], v[1] = v[1] << 13 | v[1] >> 51, v[1] ^= v[0], v[0] = v[0] << 32 | v[0] >> 32;
        v[2] += v[3], v[3] = v[3] << 16 | v[3] >> 48, v[3] ^= v[2];
        v[0] += v[3], v[3] = v[3] << 21 | v[3] >> 43, v[3] ^= v[0];
        v[2] += v[1], v[1] = v[1] << 17 | v[1] >> 47, v[1] ^= v[2], v[2] = v[2] << 32 | v[2] >> 32;
        v[0] ^= word <= len / 8 ? m : 0;
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void it_is_siphash_1_3(void **state)
{
    uint8_t data[70];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37);
    for (size_t len = 0; len <= sizeof data; len++)
        assert_true(nu_hash_bytes(data, len, false) == plain_sip13(data, len));
}

static void folding_changes_a_to_z_and_nothing_else(void **state)
{
    for (unsigned c = 0; c < 256; c++) {
        uint8_t bytes[16], folded[16];
        bool upper = c >= 'A' && c <= 'Z';
        memset(bytes, (int)c, sizeof bytes);
        memset(folded, (int)(upper ? c + 32 : c), sizeof folded);
        assert_int_equal(nu_fold((uint8_t)c), folded[0]);
        for (size_t len = 0; len <= sizeof bytes; len++)
            assert_true(nu_hash_bytes(bytes, len, true) == nu_hash_bytes(folded, len, false));
    }
}

static void the_seed_stays_and_is_random(void **state)
{
    const uint64_t *seed = nu_hash_seed();
    assert_ptr_equal(seed, nu_hash_seed());
    assert_true(seed[0] != 0 && seed[1] != 0 && seed[0] != seed[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_siphash_1_3),
        cmocka_unit_test(folding_changes_a_to_z_and_nothing_else),
        cmocka_unit_test(the_seed_stays_and_is_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
