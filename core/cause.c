/* The table of causes; see cause.h. */
#include "core/cause.h"

#include "core/assert.h"

static const struct nu_cause_row rows[] = {
#define ROW(id, name_, flag_, how_, side_, doc_)                                                   \
    [NU_CAUSE_##id] = {                                                                            \
        .name = name_, .flag = flag_, .doc = doc_, .how = NU_##how_, .side = NU_SIDE_##side_},
    NU_CAUSES(ROW)
#undef ROW
};

const struct nu_cause_row *nu_cause_row(enum nu_cause cause)
{
    nu_assert(cause < NU_CAUSE_COUNT);
    return &rows[cause];
}

const char *nu_cause_str(enum nu_cause cause)
{
    return nu_cause_row(cause)->name;
}

struct nu_result nu_result_of(enum nu_cause cause)
{
    const struct nu_cause_row *row = nu_cause_row(cause);
    return (struct nu_result){(uint8_t)row->how, (uint8_t)row->side, (uint8_t)cause};
}

const char *nu_how_str(enum nu_how how)
{
    static const char *const names[] = {"clean", "reset", "truncated", "timeout", "cancelled"};
    nu_assert((unsigned)how < sizeof names / sizeof *names);
    return names[how];
}

const char *nu_side_str(enum nu_side side)
{
    static const char *const names[] = {"none", "client", "upstream", "local"};
    nu_assert((unsigned)side < sizeof names / sizeof *names);
    return names[side];
}
