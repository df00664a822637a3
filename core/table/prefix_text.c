/* The text of a list of networks: lines to prefixes, and what is wrong with them. See
 * prefix_file.h.
 */
#include "core/table/prefix_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX  64 /* bytes of a prefix's text and more: the longest has 49 */
#define SHOWN_MAX 60 /* bytes of a wrong line, in an error */

#define EXPECTED "expected a network like 10.0.0.0/8 or 2001:db8::/32"

/* A piece of the text. */
struct word {
    const char *at;
    size_t len;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* A line without comment and outer blanks. */
static struct word strip(const char *line, const char *end)
{
    const char *stop = line;
    while (stop < end && *stop != '#' && *stop != ';')
        stop++;
    while (line < stop && is_blank(*line))
        line++;
    while (stop > line && is_blank(stop[-1]))
        stop--;
    return (struct word){line, (size_t)(stop - line)};
}

/* Up to three digits, at most `max`; -1 otherwise. A leading zero is for 0 alone: some read the
 * others as octal. */
static int number(const char **at, const char *end, int max)
{
    const char *start = *at;
    int n = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *at - start < 3)
        n = n * 10 + *(*at)++ - '0';
    if (*at == start || n > max || (*start == '0' && *at - start > 1))
        return -1;
    return n;
}

/* The common form, several times as fast as by way of nu_addr_parse_cidr. False: perhaps another
 * one, perhaps wrong. */
static bool parse_ip4(struct word w, struct nu_addr *out)
{
    const char *at = w.at, *end = w.at + w.len;
    uint32_t bits = 0;
    for (int i = 0; i < 4; i++) {
        int byte = number(&at, end, 255);
        if (byte < 0 || (i < 3 && (at == end || *at++ != '.')))
            return false;
        bits = bits << 8 | (uint32_t)byte;
        out->ip[i] = (uint8_t)byte;
    }
    int len = 32;
    if (at < end && *at == '/') {
        at++;
        len = number(&at, end, 32);
    }
    if (at != end || len < 0 || (len < 32 && bits << len))
        return false;
    out->kind = NU_ADDR_IP4;
    out->prefix = (uint8_t)len;
    return true;
}

static bool parse_word(struct word w, struct nu_addr *out)
{
    char text[WORD_MAX];
    if (w.len >= sizeof text || memchr(w.at, 0, w.len))
        return false;
    if (parse_ip4(w, out))
        return true;
    memcpy(text, w.at, w.len);
    text[w.len] = 0;
    return nu_addr_parse_cidr(out, text) == NU_OK;
}

/* --- what is wrong --- */

static void set_fault(struct nu_prefix_fault *fault, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void set_fault(struct nu_prefix_fault *fault, uint32_t line, const char *fmt, ...)
{
    va_list ap;
    fault->line = line;
    va_start(ap, fmt);
    vsnprintf(fault->what, sizeof fault->what, fmt, ap);
    va_end(ap);
}

/* "10.1.2.3/8": the network around it, if that is all that is wrong. */
static bool masked(const char *text, struct nu_addr *out)
{
    char host[WORD_MAX];
    const char *slash = strchr(text, '/');
    if (!slash || slash - text >= WORD_MAX)
        return false;
    const char *at = slash + 1;
    snprintf(host, sizeof host, "%.*s", (int)(slash - text), text);
    if (nu_addr_parse_cidr(out, host) != NU_OK)
        return false;
    int bits = number(&at, text + strlen(text), out->prefix);
    if (bits < 0 || *at)
        return false;
    for (int bit = bits; bit < out->prefix; bit++)
        out->ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    out->prefix = (uint8_t)bits;
    return true;
}

static void wrong_line(struct nu_prefix_fault *fault, uint32_t line, struct word w)
{
    char shown[SHOWN_MAX + 4], ip[NU_ADDR_TEXT_MAX];
    struct nu_addr around;
    if (fault->what[0]) {
        fault->others++;
        return;
    }
    size_t len = w.len > SHOWN_MAX ? SHOWN_MAX : w.len;
    for (size_t i = 0; i < len; i++)
        shown[i] = (char)(w.at[i] >= ' ' && w.at[i] <= '~' ? w.at[i] : '?');
    strcpy(shown + len, w.len > len ? "..." : "");
    if (masked(shown, &around))
        set_fault(fault, line, "\"%s\" has bits behind its prefix, is %s/%u meant?", shown,
                  nu_addr_str_ip(&around, ip), around.prefix);
    else
        set_fault(fault, line, "found \"%s\", " EXPECTED, shown);
}

/* --- the whole --- */

/* False: too many. Wrong lines are noted and passed over. */
static bool take_lines(const char *text, const char *end, struct nu_cidr_table *table,
                       struct nu_prefix_fault *fault)
{
    uint32_t line = 0;
    for (const char *at = text, *stop; at < end; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        line++;
        struct nu_addr prefix = {0};
        struct word w = strip(at, stop);
        if (w.len == 0)
            continue;
        if (!parse_word(w, &prefix)) {
            wrong_line(fault, line, w);
            continue;
        }
        if (nu_cidr_count(table) == NU_PREFIX_FILE_MAX) {
            *fault = (struct nu_prefix_fault){0};
            set_fault(fault, line, "more than %u networks", NU_PREFIX_FILE_MAX);
            return false;
        }
        nu_cidr_add(table, &prefix, (void *)(uintptr_t)line);
    }
    return true;
}

enum nu_err nu_prefix_parse(const char *text, size_t len, struct nu_cidr_table **out,
                            struct nu_prefix_fault *fault)
{
    *out = NULL;
    *fault = (struct nu_prefix_fault){0};
    struct nu_cidr_table *table = nu_cidr_new(NULL);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3, len -= 3;
    bool fits = take_lines(text, text + len, table, fault);
    if (!fault->what[0]) {
        nu_cidr_seal_unique(table);
        *out = table;
        return NU_OK;
    }
    nu_cidr_free(table);
    return fits ? NU_ERR_SYNTAX : NU_ERR_LIMIT;
}
