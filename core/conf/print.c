/* Nodes back to YAML, block style, so that reading it gives the same tree: quotes where a plain
 * scalar would be misread, `$` doubled where it would be a variable. */
#include "core/conf/conf_priv.h"

#include "core/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Characters that start something else than a plain scalar (YAML 1.1, 9.1.3); `-?:` only before a
 * space, but who remembers. */
#define INDICATORS "-?:,[]{}#&*!|>'\"%@`"

static bool all_printable(const char *s)
{
    uint32_t code;
    for (size_t len = strlen(s), n; len; s += n, len -= n) {
        n = nu_text_decode(s, len, &code);
        if (n == 0 || !nu_text_printable(code))
            return false;
    }
    return true;
}

/* Reads as the same text without quotes. */
static bool plain_safe(const char *s)
{
    size_t len = strlen(s);
    bool number = *s == '-' && s[1] >= '0' && s[1] <= '9';
    if (len == 0)
        return true;
    if ((strchr(INDICATORS, *s) && !number) || *s == ' ' || s[len - 1] == ' ')
        return false;
    if (s[len - 1] == ':' || strstr(s, ": ") || strstr(s, " #") || strncmp(s, "...", 3) == 0)
        return false;
    return all_printable(s);
}

static void put_escaped(FILE *out, uint32_t code, const char *s, unsigned n)
{
    if (code == '"' || code == '\\')
        fprintf(out, "\\%c", (char)code);
    else if (code == '\n' || code == '\t' || code == '\r')
        fprintf(out, "\\%c", code == '\n' ? 'n' : code == '\t' ? 't' : 'r');
    else if (nu_text_printable(code))
        fwrite(s, 1, n, out);
    else
        fprintf(out, code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
}

/* `$$` and `${` would be expanded again in a value; keys are not. */
static bool doubles(const char *s, bool value)
{
    return value && s[0] == '$' && (s[1] == '$' || s[1] == '{');
}

static void put_quoted(FILE *out, const char *s, bool value)
{
    uint32_t code;
    fputc('"', out);
    for (size_t len = strlen(s); len;) {
        unsigned n = nu_text_decode(s, len, &code);
        nu_assert(n > 0); /* texts are UTF-8: the reader saw to it */
        if (doubles(s, value))
            fputc('$', out);
        put_escaped(out, code, s, n);
        s += n;
        len -= n;
    }
    fputc('"', out);
}

static void put_scalar(FILE *out, const struct nu_node *node)
{
    if (node->quoted || !plain_safe(node->text)) {
        put_quoted(out, node->text, true);
        return;
    }
    for (const char *s = node->text; *s; s++) {
        if (doubles(s, true))
            fputc('$', out);
        fputc(*s, out);
    }
}

static void put_key(FILE *out, const char *key)
{
    if (*key && strcmp(key, "<<") != 0 && plain_safe(key))
        fputs(key, out);
    else
        put_quoted(out, key, false);
    fputc(':', out);
}

static void put_children(FILE *out, const struct nu_node *node, int indent, bool indented);

/* What follows a "key:" or a "-". A map or list goes on in the same line behind a "-". */
static void put_value(FILE *out, const struct nu_node *node, int indent, bool behind_dash)
{
    if (node->kind != NU_NODE_SCALAR && node->count) {
        fputc(behind_dash ? ' ' : '\n', out);
        put_children(out, node, indent, behind_dash);
        return;
    }
    fputc(' ', out);
    if (node->kind == NU_NODE_SCALAR)
        put_scalar(out, node);
    else
        fputs(node->kind == NU_NODE_MAP ? "{}" : "[]", out);
    fputc('\n', out);
}

static void put_children(FILE *out, const struct nu_node *node, int indent, bool indented)
{
    for (uint32_t i = 0; i < node->count; i++) {
        if (!indented || i > 0)
            fprintf(out, "%*s", indent, "");
        if (node->kind == NU_NODE_MAP)
            put_key(out, node->child[i]->key);
        else
            fputc('-', out);
        put_value(out, node->child[i], indent + 2, node->kind == NU_NODE_LIST);
    }
}

char *nu_node_print(struct nu_arena *arena, const struct nu_node *node)
{
    char *buf = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&buf, &size);
    nu_assert(out != NULL);
    if (node->kind != NU_NODE_SCALAR && node->count)
        put_children(out, node, 0, true);
    else
        put_value(out, node, 0, true);
    nu_assert(fclose(out) == 0);
    char *copy = nu_arena_strndup(arena, buf + (*buf == ' '), size - (*buf == ' '));
    free(buf);
    return copy;
}
