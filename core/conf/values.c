/* The scalar types of schemas: one small parser and one formatter each, and the table of them. A
 * parser reports what it found and what it would have liked. */
#include "core/conf/conf_priv.h"

#include "core/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN_BYTES 60 /* of a value, in an error */

#define PARSE_ARGS                                                                                 \
    struct nu_conf *conf, struct nu_arena *arena, const struct nu_field *field,                    \
        const struct nu_node *node, void *out

const char *nu_type_str(enum nu_type type)
{
    return nu_value_type(type)->shown;
}

enum nu_err nu_value_unexpected(struct nu_conf *conf, const struct nu_node *node,
                                const char *expected)
{
    const char *end = "";
    int len = SHOWN_BYTES;
    if (node->kind != NU_NODE_SCALAR)
        nu_conf_error(conf, node, "found a %s, expected %s", nu_node_kind_str(node->kind),
                      expected);
    else if (nu_node_is_null(node))
        nu_conf_error(conf, node, "found nothing, expected %s", expected);
    else {
        if (strlen(node->text) > SHOWN_BYTES)
            end = "...";
        while (*end && ((unsigned char)node->text[len] & 0xc0) == 0x80)
            len--; /* not into the middle of a character */
        nu_conf_error(conf, node, "found \"%.*s%s\", expected %s", len, node->text, end, expected);
    }
    return NU_ERR_CONFIG;
}

static enum nu_err unexpected(struct nu_conf *conf, const struct nu_node *node, enum nu_type type)
{
    return nu_value_unexpected(conf, node, nu_value_type(type)->expect);
}

/* A number of the field's type in its canonical form. */
static const char *number_str(enum nu_type type, int64_t n, char buf[static 32])
{
    if (type == NU_DURATION)
        return nu_duration_str(n, buf);
    if (type == NU_SIZE || type == NU_RATE)
        return nu_size_str(n, buf);
    snprintf(buf, 32, "%" PRId64, n);
    return buf;
}

const char *nu_value_range(const struct nu_field *f, char buf[static 96])
{
    char a[32], b[32];
    if (f->max)
        snprintf(buf, 96, "%s to %s", number_str(f->type, f->min, a),
                 number_str(f->type, f->max, b));
    else if (f->min)
        snprintf(buf, 96, "at least %s", number_str(f->type, f->min, a));
    else
        return NULL;
    return buf;
}

static enum nu_err in_range(struct nu_conf *conf, const struct nu_field *f,
                            const struct nu_node *node, int64_t n)
{
    char range[96] = "no negative number";
    if (n >= f->min && (f->max == 0 || n <= f->max))
        return NU_OK;
    nu_value_range(f, range);
    nu_conf_error(conf, node, "%s is out of range, expected %s", node->text, range);
    return NU_ERR_CONFIG;
}

static enum nu_err too_large(struct nu_conf *conf, const struct nu_node *node)
{
    nu_conf_error(conf, node, "%.*s is too large", SHOWN_BYTES, node->text);
    return NU_ERR_CONFIG;
}

static enum nu_err parse_int(PARSE_ARGS)
{
    char *end;
    const char *digits = node->text + (*node->text == '-');
    if (!*digits || digits[strspn(digits, "0123456789")])
        return unexpected(conf, node, NU_INT);
    errno = 0;
    int64_t n = strtoll(node->text, &end, 10);
    if (errno == ERANGE)
        return too_large(conf, node);
    *(int64_t *)out = n;
    return in_range(conf, field, node, n);
}

static enum nu_err parse_scaled(struct nu_conf *conf, const struct nu_field *field,
                                const struct nu_node *node, const char *text,
                                const struct nu_unit *units, int64_t *out)
{
    char guess[32];
    enum nu_err err = nu_unit_parse(text, units, out);
    if (err == NU_OK)
        return in_range(conf, field, node, *out);
    if (err == NU_ERR_LIMIT)
        return too_large(conf, node);
    unexpected(conf, node, field->type);
    nu_conf_guess(conf, nu_unit_guess(text, units, guess));
    return NU_ERR_CONFIG;
}

static enum nu_err parse_duration(PARSE_ARGS)
{
    return parse_scaled(conf, field, node, node->text, nu_duration_units, out);
}

static enum nu_err parse_size(PARSE_ARGS)
{
    return parse_scaled(conf, field, node, node->text, nu_size_units, out);
}

static enum nu_err parse_rate(PARSE_ARGS)
{
    size_t len = strlen(node->text);
    if (len > 2 && strcmp(node->text + len - 2, "/s") == 0)
        len -= 2;
    char *text = nu_arena_strndup(arena, node->text, len);
    return parse_scaled(conf, field, node, text, nu_size_units, out);
}

/* Millionths of a percent, so that "0.5%" and "33.333%" come back as they were written. */
static const struct nu_unit percent_units[] = {
    {"%",  1000000},
    {NULL, 0      }
};

static enum nu_err parse_percent(PARSE_ARGS)
{
    int64_t n;
    enum nu_err err = nu_unit_parse(node->text, percent_units, &n);
    *(double *)out = (double)n / 100e6;
    if (err)
        return unexpected(conf, node, NU_PERCENT);
    if (n > 100000000) {
        nu_conf_error(conf, node, "%.*s is more than 100%%", SHOWN_BYTES, node->text);
        return NU_ERR_CONFIG;
    }
    return NU_OK;
}

static char *format_number(struct nu_arena *arena, const struct nu_field *field, const void *value)
{
    char buf[32];
    return nu_arena_strdup(arena, number_str(field->type, *(const int64_t *)value, buf));
}

static char *format_percent(struct nu_arena *arena, const struct nu_field *field, const void *value)
{
    char *text = nu_arena_printf(arena, "%.6f", *(const double *)value * 100);
    size_t len = strlen(text);
    while (text[len - 1] == '0')
        len--;
    text[text[len - 1] == '.' ? len - 1 : len] = 0;
    return nu_arena_printf(arena, "%s%%", text);
}

static enum nu_err parse_bool(PARSE_ARGS)
{
    static const char *const words[] = {"false", "off", "no", "true", "on", "yes"};
    for (size_t i = 0; i < 6; i++)
        if (strcasecmp(node->text, words[i]) == 0) {
            *(bool *)out = i >= 3;
            return NU_OK;
        }
    unexpected(conf, node, NU_BOOL);
    nu_conf_guess(conf, nu_did_you_mean(node->text, words, 6));
    return NU_ERR_CONFIG;
}

static char *format_bool(struct nu_arena *arena, const struct nu_field *field, const void *value)
{
    return nu_arena_strdup(arena, *(const bool *)value ? "true" : "false");
}

/* "a, b or c", from the arena. */
static char *choices_str(struct nu_arena *arena, const char *const *choices)
{
    char *all = nu_arena_strdup(arena, choices[0]);
    for (size_t i = 1; choices[i]; i++)
        all = nu_arena_printf(arena, "%s%s%s", all, choices[i + 1] ? ", " : " or ", choices[i]);
    return all;
}

static enum nu_err parse_enum(PARSE_ARGS)
{
    size_t n = 0;
    for (; field->choices[n]; n++)
        if (strcmp(node->text, field->choices[n]) == 0) {
            *(int *)out = (int)n;
            return NU_OK;
        }
    nu_value_unexpected(conf, node, choices_str(conf->arena, field->choices));
    nu_conf_guess(conf, nu_did_you_mean(node->text, field->choices, n));
    return NU_ERR_CONFIG;
}

static char *format_enum(struct nu_arena *arena, const struct nu_field *field, const void *value)
{
    return nu_arena_strdup(arena, field->choices[*(const int *)value]);
}

static enum nu_err not_empty(struct nu_conf *conf, const struct nu_field *field,
                             const struct nu_node *node)
{
    if (*node->text || !(field->flags & NU_NONEMPTY))
        return NU_OK;
    nu_conf_error(conf, node, "must not be empty");
    return NU_ERR_CONFIG;
}

static enum nu_err parse_string(PARSE_ARGS)
{
    *(const char **)out = nu_arena_strdup(arena, node->text);
    return not_empty(conf, field, node);
}

static char *format_string(struct nu_arena *arena, const struct nu_field *field, const void *value)
{
    return nu_arena_strdup(arena, *(const char *const *)value);
}

enum nu_err nu_conf_unix_path(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, struct nu_addr *addr)
{
    size_t cap = sizeof((struct sockaddr_un *)0)->sun_path;
    if (*addr->path != '@')
        addr->path = nu_conf_path(conf, arena, addr->path);
    if (strlen(addr->path) < cap)
        return NU_OK;
    nu_conf_error(conf, node, "the socket's path %s is longer than %zu bytes", addr->path, cap - 1);
    return NU_ERR_CONFIG;
}

static enum nu_err parse_address(PARSE_ARGS)
{
    struct nu_addr *addr = out;
    if (nu_addr_parse(addr, nu_arena_strdup(arena, node->text), -1) != NU_OK)
        return unexpected(conf, node, NU_ADDRESS);
    return addr->kind == NU_ADDR_UNIX ? nu_conf_unix_path(conf, arena, node, addr) : NU_OK;
}

static enum nu_err parse_cidr(PARSE_ARGS)
{
    return nu_addr_parse_cidr(out, node->text) ? unexpected(conf, node, NU_CIDR) : NU_OK;
}

static char *format_address(struct nu_arena *arena, const struct nu_field *field, const void *value)
{
    char buf[NU_ADDR_TEXT_MAX];
    return nu_arena_strdup(arena, nu_addr_str(value, buf));
}

static char *format_cidr(struct nu_arena *arena, const struct nu_field *field, const void *value)
{
    const struct nu_addr *addr = value;
    char buf[NU_ADDR_TEXT_MAX];
    return nu_arena_printf(arena, "%s/%u", nu_addr_str_ip(addr, buf), addr->prefix);
}

static enum nu_err parse_path(PARSE_ARGS)
{
    if (!*node->text)
        return unexpected(conf, node, field->type);
    *(const char **)out = nu_conf_path(conf, arena, node->text);
    return NU_OK;
}

static enum nu_err parse_file(PARSE_ARGS)
{
    struct stat st;
    if (parse_path(conf, arena, field, node, out) != NU_OK)
        return NU_ERR_CONFIG;
    const char *path = *(const char **)out;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = errno;
    bool folder = fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && !folder)
        return NU_OK;
    nu_conf_error(conf, node, "cannot read %s: %s", path, strerror(folder ? EISDIR : error));
    return NU_ERR_CONFIG;
}

#define SCALAR(shown, expect, stored, parse, format)                                               \
    {                                                                                              \
        shown, expect, sizeof(stored), parse, format                                               \
    }
#define OTHER(shown, expect, size)                                                                 \
    {                                                                                              \
        shown, expect, size, NULL, NULL                                                            \
    }

static const struct nu_value_type types[] = {
    [NU_BOOL] = SCALAR("on / off", "on or off", bool, parse_bool, format_bool),
    [NU_INT] = SCALAR("number", "a whole number", int64_t, parse_int, format_number),
    [NU_PERCENT] = SCALAR("percentage", "a percentage like 10% or 0.5%", double, parse_percent,
                          format_percent),
    [NU_DURATION] = SCALAR("duration", "a duration like 250ms, 15s or 1h, 0 = off", int64_t,
                           parse_duration, format_number),
    [NU_SIZE] =
        SCALAR("size", "a size like 512, 64KiB or 1MiB", int64_t, parse_size, format_number),
    [NU_RATE] = SCALAR("rate", "a rate like 64KiB/s or 1MiB/s", int64_t, parse_rate, format_number),
    [NU_STRING] = SCALAR("string", "a string", char *, parse_string, format_string),
    [NU_ENUM] = SCALAR("choice", "a choice", int, parse_enum, format_enum),
    [NU_ADDRESS] = SCALAR("address", "an address like 127.0.0.1:8080, \"[::1]:8080\" or unix:/path",
                          struct nu_addr, parse_address, format_address),
    [NU_CIDR] = SCALAR("CIDR", "a network like 10.0.0.0/8 or 2001:db8::/32", struct nu_addr,
                       parse_cidr, format_cidr),
    [NU_FILE] = SCALAR("file", "the path of a file", char *, parse_file, format_string),
    [NU_PATH] = SCALAR("path", "the path of a file", char *, parse_path, format_string),
    [NU_OBJECT] = OTHER("map", "a map", 0),
    [NU_NODE] = OTHER("any", "a value", sizeof(void *)),
    [NU_CUSTOM] = OTHER("custom", "a value", 0),
};

const struct nu_value_type *nu_value_type(enum nu_type type)
{
    nu_assert((unsigned)type < sizeof types / sizeof *types);
    return &types[type];
}

enum nu_err nu_value_parse(struct nu_conf *conf, struct nu_arena *arena,
                           const struct nu_field *field, const struct nu_node *node, void *out)
{
    const struct nu_value_type *type = nu_value_type(field->type);
    if (node->kind == NU_NODE_SCALAR && !nu_node_is_null(node))
        return type->parse(conf, arena, field, node, out);
    bool choice = field->type == NU_ENUM;
    return nu_value_unexpected(conf, node,
                               choice ? choices_str(conf->arena, field->choices) : type->expect);
}
