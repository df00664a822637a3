/* ${NAME} and ${NAME:-default} in the scalars of a config, from the environment. `$$` is a `$`;
 * a `$` before anything else stays, since regular expressions end in one. */
#include "core/conf/conf_priv.h"

#include "core/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEARCH_BYTES 65536 /* how far behind a scalar's start its ${} is looked for */

static const char name_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

/* One ${...}: slices of the scalar. */
struct variable {
    const char *name, *fallback; /* fallback NULL: none */
    size_t name_len, fallback_len, len;
};

/* Where `raw` stands in the file, at or behind the scalar's start; the scalar's own place if it is
 * written in another way there (an escape). */
static struct nu_place find(struct nu_conf *conf, const struct nu_node *node, const char *raw,
                            size_t raw_len)
{
    struct nu_place place = {node->line, node->column, node->span};
    if (node->line == 0)
        return place;
    size_t at = nu_text_seek(conf, node->line);
    uint32_t code;
    for (uint32_t i = 1; i < node->column && at < conf->len; i++)
        at += nu_text_decode(conf->text + at, conf->len - at, &code);
    size_t room = conf->len - at < SEARCH_BYTES ? conf->len - at : SEARCH_BYTES;
    const char *hit = memmem(conf->text + at, room, raw, raw_len);
    if (!hit)
        return place;
    nu_text_advance(conf, at, (size_t)(hit - conf->text), &place);
    place.span = 0;
    for (size_t i = 0; i < raw_len; i++)
        place.span += ((unsigned char)raw[i] & 0xc0) != 0x80; /* characters, not bytes */
    return place;
}

static enum nu_err wrong(struct nu_conf *conf, const struct nu_node *node, const char *at,
                         size_t len, const char *what)
{
    int shown = len > 60 ? 60 : (int)len;
    nu_conf_error_at(conf, find(conf, node, at, len), node, "%.*s%s %s", shown, at,
                     len > 60 ? "..." : "", what);
    return NU_ERR_CONFIG;
}

/* Splits what starts with "${". */
static enum nu_err split(struct nu_conf *conf, const struct nu_node *node, const char *s,
                         const char *end, struct variable *v)
{
    const char *close = memchr(s, '}', (size_t)(end - s));
    *v = (struct variable){.name = s + 2, .len = close ? (size_t)(close - s) + 1 : 0};
    if (!close)
        return wrong(conf, node, s, 2, "lacks its \"}\"; write $${ for a plain ${");
    while (v->name + v->name_len < close && strchr(name_chars, v->name[v->name_len]))
        v->name_len++;
    const char *rest = v->name + v->name_len;
    if (close - rest >= 2 && memcmp(rest, ":-", 2) == 0) {
        v->fallback = rest + 2;
        v->fallback_len = (size_t)(close - v->fallback);
        rest = close;
    }
    bool digit = *v->name >= '0' && *v->name <= '9';
    if (v->name_len == 0 || digit || rest != close)
        return wrong(conf, node, s, v->len,
                     "is not a variable: ${NAME} or ${NAME:-default}; write $${ for a plain ${");
    if (v->fallback && memmem(v->fallback, v->fallback_len, "${", 2))
        return wrong(conf, node, s, v->len, "has a variable inside its default");
    return NU_OK;
}

static bool valid_utf8(const char *s)
{
    uint32_t code;
    for (size_t len = strlen(s), n; len; s += n, len -= n)
        if ((n = nu_text_decode(s, len, &code)) == 0)
            return false;
    return true;
}

/* Writes the variable's value. Like in a shell, the default also replaces an empty value. */
static enum nu_err substitute(struct nu_conf *conf, const struct nu_node *node, const char *s,
                              const struct variable *v, FILE *out)
{
    char *name = nu_arena_strndup(conf->arena, v->name, v->name_len);
    const char *value = getenv(name);
    size_t len = value ? strlen(value) : 0;
    if (v->fallback && len == 0) {
        value = v->fallback;
        len = v->fallback_len;
    } else if (!value) {
        return wrong(conf, node, s, v->len, "is not set in the environment and has no default");
    } else if (!valid_utf8(value)) {
        return wrong(conf, node, s, v->len, "has a value that is not UTF-8 text");
    }
    conf->expanded_bytes += len;
    if (conf->expanded_bytes > NU_CONF_MAX_BYTES)
        return wrong(conf, node, s, v->len, "makes the config too large");
    fwrite(value, 1, len, out);
    return NU_OK;
}

static enum nu_err expand(struct nu_conf *conf, const struct nu_node *node, const char *s,
                          const char *end, FILE *out)
{
    for (struct variable v; s < end;) {
        const char *dollar = memchr(s, '$', (size_t)(end - s));
        const char *stop = dollar ? dollar : end;
        fwrite(s, 1, (size_t)(stop - s), out);
        if (!dollar)
            break;
        char next = dollar + 1 < end ? dollar[1] : 0;
        s = dollar + (next == '$' ? 2 : 1);
        if (next != '{') {
            fputc('$', out);
            continue;
        }
        if (split(conf, node, dollar, end, &v) != NU_OK ||
            substitute(conf, node, dollar, &v, out) != NU_OK)
            return NU_ERR_CONFIG;
        s = dollar + v.len;
    }
    return NU_OK;
}

const char *nu_conf_expand(struct nu_conf *conf, const struct nu_node *node, const char *text,
                           size_t len)
{
    if (!memchr(text, '$', len))
        return nu_arena_strndup(conf->arena, text, len);
    char *buf = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&buf, &size);
    nu_assert(out != NULL);
    enum nu_err err = expand(conf, node, text, text + len, out);
    nu_assert(fclose(out) == 0);
    const char *copy = err ? NULL : nu_arena_strndup(conf->arena, buf, size);
    free(buf);
    return copy;
}
