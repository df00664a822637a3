/* A JSON reader by recursive descent; see json.h. */
#include "tools/nuncio/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct nu_arena *arena;
    const char *at, *end;
    unsigned depth;
};

const char *nu_json_kind_str(enum nu_json_kind kind)
{
    static const char *const names[] = {"null", "bool", "number", "text", "list", "map"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

static char peek(struct reader *r)
{
    while (r->at < r->end && strchr(" \t\r\n", *r->at) && *r->at)
        r->at++;
    return r->at < r->end ? *r->at : 0;
}

static bool skip(struct reader *r, char c)
{
    if (peek(r) != c || r->at == r->end)
        return false;
    r->at++;
    return true;
}

/* --- texts --- */

static bool read_hex(struct reader *r, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef", *digit = NULL;
        if (r->at < r->end && *r->at)
            digit = strchr(digits, *r->at >= 'A' && *r->at <= 'F' ? *r->at + 32 : *r->at);
        if (!digit)
            return false;
        *out = *out * 16 + (uint32_t)(digit - digits);
        r->at++;
    }
    return true;
}

static char *put_code(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(lead[more] | code >> (6 * more));
    while (more--)
        *to++ = (char)(0x80 | (code >> (6 * more) & 0x3f));
    return to;
}

/* Behind "\u"; of a pair both, half a pair is U+FFFD. */
static bool read_code(struct reader *r, uint32_t *out)
{
    uint32_t low;
    if (!read_hex(r, out))
        return false;
    if (*out < 0xd800 || *out > 0xdfff)
        return true;
    const char *behind = r->at;
    if (*out < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        r->at += 2;
        if (read_hex(r, &low) && low >= 0xdc00 && low <= 0xdfff) {
            *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
            return true;
        }
    }
    r->at = behind;
    *out = 0xfffd;
    return true;
}

static bool read_escape(struct reader *r, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end || !*r->at)
        return false;
    char c = *r->at++;
    uint32_t code;
    const char *found = strchr(from, c);
    if (found)
        *(*to)++ = into[found - from];
    else if (c != 'u' || !read_code(r, &code))
        return false;
    else
        *to = put_code(*to, code);
    return true;
}

/* NULL: broken. No escape is shorter than what it stands for. */
static const char *read_text(struct reader *r)
{
    if (!skip(r, '"'))
        return NULL;
    const char *end = r->at;
    while (end < r->end && *end != '"')
        end += *end == '\\' ? 2 : 1;
    if (end >= r->end)
        return NULL;
    char *text = nu_arena_alloc(r->arena, (size_t)(end - r->at) + 1), *to = text;
    while (r->at < r->end && *r->at != '"') {
        char c = *r->at++;
        if (c != '\\')
            *to++ = c;
        else if (!read_escape(r, &to))
            return NULL;
    }
    *to = 0;
    return skip(r, '"') ? text : NULL;
}

/* --- values --- */

static struct nu_json *read_value(struct reader *r);

static struct nu_json *read_item(struct reader *r, bool keyed)
{
    const char *key = keyed ? read_text(r) : NULL;
    if (keyed && (!key || !skip(r, ':')))
        return NULL;
    struct nu_json *item = read_value(r);
    if (item)
        item->key = key;
    return item;
}

static bool read_items(struct reader *r, struct nu_json *parent)
{
    bool keyed = parent->kind == NU_JSON_MAP;
    struct nu_json **next = &parent->child;
    r->at++;
    if (skip(r, keyed ? '}' : ']'))
        return true;
    do {
        *next = read_item(r, keyed);
        if (!*next)
            return false;
        next = &(*next)->next;
    } while (skip(r, ','));
    return skip(r, keyed ? '}' : ']');
}

static bool read_word(struct reader *r, struct nu_json *value)
{
    static const struct {
        const char *word;
        enum nu_json_kind kind;
        double number;
    } words[] = {
        {"null",  NU_JSON_NULL, 0},
        {"true",  NU_JSON_BOOL, 1},
        {"false", NU_JSON_BOOL, 0}
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i].word);
        if ((size_t)(r->end - r->at) < len || strncmp(r->at, words[i].word, len) != 0)
            continue;
        r->at += len;
        value->kind = words[i].kind;
        value->number = words[i].number;
        return true;
    }
    return false;
}

static bool read_number(struct reader *r, struct nu_json *value)
{
    char text[64];
    size_t len = 0;
    while (r->at < r->end && *r->at && strchr("+-.0123456789eE", *r->at) && len < sizeof text - 1)
        text[len++] = *r->at++;
    text[len] = 0;
    char *end;
    value->kind = NU_JSON_NUMBER;
    value->number = strtod(text, &end);
    return len > 0 && !*end;
}

static bool fill(struct reader *r, struct nu_json *value)
{
    char c = peek(r);
    if (c == '"') {
        value->kind = NU_JSON_TEXT;
        value->text = read_text(r);
        return value->text != NULL;
    }
    if (c == '{' || c == '[') {
        value->kind = c == '{' ? NU_JSON_MAP : NU_JSON_LIST;
        return read_items(r, value);
    }
    return read_word(r, value) || read_number(r, value);
}

static struct nu_json *read_value(struct reader *r)
{
    struct nu_json *value = nu_arena_alloc(r->arena, sizeof *value);
    value->text = "";
    if (r->depth == NU_JSON_DEPTH_MAX)
        return NULL;
    r->depth++;
    bool good = fill(r, value);
    r->depth--;
    return good ? value : NULL;
}

struct nu_json *nu_json_read(struct nu_arena *arena, const char *text, size_t len)
{
    struct reader r = {arena, text, text + len, 0};
    struct nu_json *root = read_value(&r);
    return root && !peek(&r) && r.at == r.end ? root : NULL;
}

const struct nu_json *nu_json_get(const struct nu_json *map, const char *key)
{
    const struct nu_json *item = map && map->kind == NU_JSON_MAP ? map->child : NULL;
    while (item && strcmp(item->key, key) != 0)
        item = item->next;
    return item;
}

double nu_json_number(const struct nu_json *map, const char *key)
{
    const struct nu_json *value = nu_json_get(map, key);
    return value ? value->number : 0;
}

const char *nu_json_text(const struct nu_json *map, const char *key)
{
    const struct nu_json *value = nu_json_get(map, key);
    return value ? value->text : "";
}

const struct nu_json *nu_json_items(const struct nu_json *map, const char *key)
{
    const struct nu_json *value = nu_json_get(map, key);
    return value && value->kind == NU_JSON_LIST ? value->child : NULL;
}
