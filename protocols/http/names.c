/* Known field names and methods; see names.h. */
#include "protocols/http/names.h"

#include "core/assert.h"
#include "protocols/http/chars_priv.h"
#include "protocols/http/names_table.h"

#include <stdbool.h>

#define NAME_ROW(id, name, flags)  {name, sizeof(name) - 1},
#define FLAGS_ROW(id, name, flags) flags,

static const struct {
    const char *name;
    uint8_t len;
} known[NU_HDR_COUNT] = {
    {"", 0},
    NU_HDR_LIST(NAME_ROW)
};

const uint8_t nu_hdr_flag_table[NU_HDR_COUNT] = {0, NU_HDR_LIST(FLAGS_ROW)};

#define METHOD_ROW(name) {#name, sizeof(#name) - 1},

static const struct {
    const char *name;
    uint8_t len;
} methods[NU_METHOD_COUNT] = {
    {"", 0},
    NU_METHOD_LIST(METHOD_ROW)
};

const char *nu_hdr_str(enum nu_hdr id)
{
    nu_assert((unsigned)id < NU_HDR_COUNT);
    return known[id].name;
}

size_t nu_hdr_len(enum nu_hdr id)
{
    nu_assert((unsigned)id < NU_HDR_COUNT);
    return known[id].len;
}

/* names.py computes the same. */
static unsigned slot_of(const char *name, size_t len)
{
    uint64_t a, b = 0;
    if (len >= 8) {
        a = ch_load8(name);
        b = ch_load8(name + len - 8);
    } else if (len >= 4) {
        a = ch_load4(name);
        b = ch_load4(name + len - 4);
    } else {
        a = (uint8_t)name[0] | (uint64_t)(uint8_t)name[len / 2] << 8 |
            (uint64_t)(uint8_t)name[len - 1] << 16;
    }
    a = ((a | CH_FOLD) ^ ((b | CH_FOLD) * NAMES_FACTOR)) + len;
    return (unsigned)(a * NAMES_FACTOR >> (64 - NAMES_BITS));
}

/* Words differ in nothing but the case bit of letters: those are what has bit 6 in `is`, a known
 * name of small letters, digits and hyphens. */
static bool same_word(uint64_t w, uint64_t is)
{
    return ((w ^ is) & ~((is & CH_LOW * 0x40) >> 1)) == 0;
}

static bool same_name(const char *name, const char *is, size_t len)
{
    size_t i = 0;
    if (len < 8) {
        while (i < len && same_word((uint8_t)name[i], (uint8_t)is[i]))
            i++;
        return i == len;
    }
    for (; i + 8 < len; i += 8)
        if (!same_word(ch_load8(name + i), ch_load8(is + i)))
            return false;
    return same_word(ch_load8(name + len - 8), ch_load8(is + len - 8));
}

enum nu_hdr nu_hdr_find(const char *name, size_t len)
{
    if (len == 0)
        return NU_HDR_OTHER;
    unsigned id = slots[slot_of(name, len)];
    return known[id].len == len && same_name(name, known[id].name, len) ? id : NU_HDR_OTHER;
}

const char *nu_method_str(enum nu_method method)
{
    nu_assert((unsigned)method < NU_METHOD_COUNT);
    return methods[method].name;
}

enum nu_method nu_method_find(const char *name, size_t len)
{
    for (unsigned m = NU_METHOD_OTHER + 1; m < NU_METHOD_COUNT; m++) {
        size_t i = 0;
        while (i < len && name[i] == methods[m].name[i])
            i++;
        if (i == len && i == methods[m].len)
            return m;
    }
    return NU_METHOD_OTHER;
}
