/* Conditions: whatever is written, there is either a mistake that is told or a condition; what is
 * sure early is what it says at last. */
#include "core/assert.h"
#include "core/where.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What the record is: a byte. */
static bool get_text(const void *record, struct nu_where_value *out)
{
    static const char text[] = "abcdefgh";
    unsigned of = *(const uint8_t *)record;
    out->text = nu_text(text + of % 4, of % 5);
    return of % 3 != 0;
}

static bool get_number(const void *record, struct nu_where_value *out)
{
    out->number = *(const uint8_t *)record;
    return out->number % 7 != 0;
}

static bool get_addr(const void *record, struct nu_where_value *out)
{
    unsigned of = *(const uint8_t *)record;
    out->addr =
        (struct nu_addr){.kind = of & 1 ? NU_ADDR_IP4 : NU_ADDR_IP6, .prefix = of & 1 ? 32 : 128};
    out->addr.ip[3] = (uint8_t)of;
    return of % 5 != 0;
}

static bool get_named(const void *record, struct nu_text name, struct nu_where_value *out)
{
    return name.len % 2 == 0 && get_text(record, out);
}

static const struct nu_where_field field[] = {
    {"text", NU_WHERE_TEXT,   "", get_text,   1},
    {"n",    NU_WHERE_NUMBER, "", get_number, 2},
    {"time", NU_WHERE_TIME,   "", get_number, 1},
    {"size", NU_WHERE_BYTES,  "", get_number, 2},
    {"is",   NU_WHERE_BOOL,   "", get_number, 2},
    {"addr", NU_WHERE_ADDR,   "", get_addr,   1},
};
static const struct nu_where_family family[] = {
    {"of.", "", get_named, 2}
};
static const struct nu_where_fields fields = {.field = field,
                                              .count = sizeof field / sizeof *field,
                                              .family = family,
                                              .families = 1,
                                              .record = "a record",
                                              .listed = "nowhere"};

static void check(const struct nu_where *w)
{
    for (unsigned of = 0; of < 256; of += 3) {
        uint8_t record = (uint8_t)of;
        bool is = nu_where_passes(w, &record);
        for (unsigned stages = 0; stages < 4; stages++) {
            enum nu_where_answer early = nu_where_early(w, stages, &record);
            nu_assert(early == NU_WHERE_LATER || (early == NU_WHERE_YES) == is);
            nu_assert(early != NU_WHERE_LATER || nu_where_stages(w) & ~stages);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1), *error;
    nu_assert(text != NULL);
    if (len)
        memcpy(text, data, len);
    text[len] = 0;
    struct nu_where *w = nu_where_new(&fields, "x", text, &error);
    nu_assert((w == NULL) == (error != NULL));
    if (w)
        check(w);
    else
        nu_assert(strncmp(error, "x:", 2) == 0 && error[strlen(error) - 1] == '\n');
    nu_where_free(w);
    free(error);
    free(text);
    return 0;
}
