/* A text that somebody else owns: bytes of a message, of a config, of an arena; none ends in NUL.
 */
#ifndef NU_CORE_TEXT_H
#define NU_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct nu_text {
    const char *at;
    size_t len;
};
#define NU_TEXT(literal) ((struct nu_text){(literal), sizeof(literal) - 1})

static inline struct nu_text nu_text(const char *at, size_t len)
{
    return (struct nu_text){at, len};
}

/* Byte for byte. */
static inline bool nu_text_is(struct nu_text text, const char *is)
{
    return text.len == strlen(is) && (text.len == 0 || memcmp(text.at, is, text.len) == 0);
}

#endif
