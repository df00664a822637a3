/* List files of ip_filter. A line counts as nu_addr_parse_cidr says of it without blanks and
 * comment; what the table answers must be what a scan of those prefixes does. */
#include "core/assert.h"
#include "core/table/prefix_file.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PREFIXES_MAX 256 /* looked at by the scan; a longer list is only parsed */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct nu_addr prefixes[PREFIXES_MAX];
static uint32_t lines[PREFIXES_MAX];
static uint32_t count, wrong, first_wrong;

static void take_line(const char *at, size_t len, uint32_t line)
{
    char text[128];
    struct nu_addr prefix;
    size_t stop = 0;
    while (stop < len && at[stop] != '#' && at[stop] != ';')
        stop++;
    while (stop && strchr(" \t\r", at[stop - 1]) && at[stop - 1])
        stop--;
    for (; stop && strchr(" \t\r", *at) && *at; stop--)
        at++;
    if (stop == 0)
        return;
    bool fits = stop < sizeof text && !memchr(at, 0, stop);
    if (fits) {
        memcpy(text, at, stop);
        text[stop] = 0;
    }
    if (!fits || nu_addr_parse_cidr(&prefix, text) != NU_OK) {
        first_wrong = wrong++ ? first_wrong : line;
        return;
    }
    if (count < PREFIXES_MAX) {
        prefixes[count] = prefix;
        lines[count] = line;
    }
    count++;
}

static void take_lines(const char *text, size_t len)
{
    const char *end = text + len, *stop;
    uint32_t line = 0;
    count = wrong = first_wrong = 0;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    for (; text < end; text = stop + 1) {
        stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        take_line(text, (size_t)(stop - text), ++line);
    }
}

/* The longest that holds the address, of equal ones the first. */
static uint32_t scan(const struct nu_addr *addr)
{
    uint32_t best = PREFIXES_MAX;
    for (uint32_t i = 0; i < count; i++)
        if (nu_addr_in(addr, &prefixes[i]) &&
            (best == PREFIXES_MAX || prefixes[i].prefix > prefixes[best].prefix))
            best = i;
    return best == PREFIXES_MAX ? 0 : lines[best];
}

static void check_around(const struct nu_cidr_table *table, const struct nu_addr *prefix)
{
    struct nu_addr addr = *prefix;
    struct nu_cidr_iter it;
    unsigned bits = prefix->kind == NU_ADDR_IP4 ? 32 : 128;
    nu_assert(nu_prefix_line(nu_cidr_find(table, &addr, &it)) == scan(&addr));
    for (unsigned bit = prefix->prefix ? prefix->prefix - 1u : 0; bit < bits; bit += 5) {
        addr.ip[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        nu_assert(nu_prefix_line(nu_cidr_find(table, &addr, &it)) == scan(&addr));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nu_cidr_table *table;
    struct nu_prefix_fault fault;
    enum nu_err err = nu_prefix_parse((const char *)data, len, &table, &fault);
    take_lines((const char *)data, len);
    nu_assert((err == NU_OK) == (wrong == 0) && (err == NU_OK) == (table != NULL));
    if (err) {
        nu_assert(fault.line == first_wrong && fault.others == wrong - 1 && fault.what[0]);
        for (const char *c = fault.what; *c; c++)
            nu_assert(*c >= ' ' && *c <= '~');
        return 0;
    }
    nu_assert(nu_cidr_count(table) <= count);
    for (uint32_t i = 0; i < count && count <= PREFIXES_MAX; i++)
        check_around(table, &prefixes[i]);
    nu_cidr_free(table);
    return 0;
}
