/* Whether bytes are UTF-8; see utf8.h. */
#include "protocols/ws/utf8.h"

#include <string.h>

#define HIGH UINT64_C(0x8080808080808080) /* set in bytes that are not ASCII */

/* First bytes of characters: up to which byte, how many follow, and what the next one may be:
 * neither overlong, nor a surrogate, nor over U+10FFFF. */
static const struct {
    uint8_t up, left, next_low, next_up;
} leads[] = {
    {0x7f, 0, 0,    0   },
    {0xc1, 9, 0,    0   },
    {0xdf, 1, 0x80, 0xbf},
    {0xe0, 2, 0xa0, 0xbf},
    {0xec, 2, 0x80, 0xbf},
    {0xed, 2, 0x80, 0x9f},
    {0xef, 2, 0x80, 0xbf},
    {0xf0, 3, 0x90, 0xbf},
    {0xf3, 3, 0x80, 0xbf},
    {0xf4, 3, 0x80, 0x8f},
    {0xff, 9, 0,    0   },
};

static bool lead(struct nu_utf8 *u, uint8_t byte)
{
    unsigned i = 0;
    while (byte > leads[i].up)
        i++;
    u->left = leads[i].left;
    u->low = leads[i].next_low;
    u->up = leads[i].next_up;
    return u->left < 9;
}

static bool next(struct nu_utf8 *u, uint8_t byte)
{
    if (u->left == 0)
        return byte < 0x80 || lead(u, byte);
    if (byte < u->low || byte > u->up)
        return false;
    u->left--;
    u->low = 0x80;
    u->up = 0xbf;
    return true;
}

static uint64_t load8(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

bool nu_utf8_check(struct nu_utf8 *u, const uint8_t *bytes, size_t len, const uint8_t *mask,
                   size_t at)
{
    uint8_t turned[8] = {0};
    for (size_t i = 0; mask && i < sizeof turned; i++)
        turned[i] = mask[(at + i) & 3];
    uint64_t word = load8(turned);
    for (size_t i = 0; i < len;) {
        if (u->left == 0 && len - i >= 8 && ((load8(bytes + i) ^ word) & HIGH) == 0) {
            i += 8; /* a multiple of the mask's length */
            continue;
        }
        size_t upto = len - i < 8 ? len : i + 8;
        for (; i < upto; i++)
            if (!next(u, (uint8_t)(bytes[i] ^ turned[i & 7])))
                return false;
    }
    return true;
}
