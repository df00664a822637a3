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

/* First and last 8, or 4 bytes, or for short names three bytes: all of a name of up to 16. */
struct ends {
    uint64_t first, last;
};

static inline struct ends ends_of(const char *name, size_t len)
{
    if (len >= 8)
        return (struct ends){ch_load8(name), ch_load8(name + len - 8)};
    if (len >= 4)
        return (struct ends){ch_load4(name), ch_load4(name + len - 4)};
    uint64_t three = (uint8_t)name[0] | (uint64_t)(uint8_t)name[len / 2] << 8 |
                     (uint64_t)(uint8_t)name[len - 1] << 16;
    return (struct ends){three, 0};
}

/* names.py computes the same. */
static inline unsigned slot_of(struct ends of, size_t len)
{
    uint64_t a = ((of.first | CH_FOLD) ^ ((of.last | CH_FOLD) * NAMES_FACTOR)) + len;
    return (unsigned)(a * NAMES_FACTOR >> (64 - NAMES_BITS));
}

enum nu_hdr nu_hdr_find(const char *name, size_t len)
{
    if (len == 0)
        return NU_HDR_OTHER;
    struct ends of = ends_of(name, len);
    unsigned id = slots[slot_of(of, len)];
    if (known[id].len != len)
        return NU_HDR_OTHER;
    struct ends is = ends_of(known[id].name, len);
    if (!ch_same_word(of.first, is.first) || !ch_same_word(of.last, is.last))
        return NU_HDR_OTHER;
    return len <= 16 || ch_is_name(name + 8, known[id].name + 8, len - 16) ? id : NU_HDR_OTHER;
}

const char *nu_method_str(enum nu_method method)
{
    nu_assert((unsigned)method < NU_METHOD_COUNT);
    return methods[method].name;
}

enum nu_method nu_method_find(const char *name, size_t len)
{
    for (unsigned m = NU_METHOD_OTHER + 1; m < NU_METHOD_COUNT; m++) {
        if (len != methods[m].len || *name != *methods[m].name)
            continue;
        size_t i = 1;
        while (i < len && name[i] == methods[m].name[i])
            i++;
        if (i == len)
            return m;
    }
    return NU_METHOD_OTHER;
}
