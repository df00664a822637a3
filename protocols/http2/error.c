/* The tables of reasons and codes; see error.h. */
#include "protocols/http2/error.h"

#include "core/assert.h"

#define ROW(id, name, status, clause, text) {"http2." name, status, clause, text},

static const struct {
    const char *name;
    unsigned status;
    const char *clause, *text;
} rows[NU_H2_ERRORS] = {
    {"", 0, "", ""},
    NU_H2_ERROR_LIST(ROW)
};

const char *nu_h2_error_str(enum nu_h2_error error)
{
    nu_assert((unsigned)error < NU_H2_ERRORS);
    return rows[error].name;
}

unsigned nu_h2_error_status(enum nu_h2_error error)
{
    nu_assert((unsigned)error < NU_H2_ERRORS);
    return rows[error].status;
}

const char *nu_h2_error_clause(enum nu_h2_error error)
{
    nu_assert((unsigned)error < NU_H2_ERRORS);
    return rows[error].clause;
}

const char *nu_h2_error_text(enum nu_h2_error error)
{
    nu_assert((unsigned)error < NU_H2_ERRORS);
    return rows[error].text;
}

const char *nu_h2_code_str(uint32_t code)
{
#define NAME(name, number) [number] = #name,
    static const char *const names[NU_H2_CODES] = {NU_H2_CODE_LIST(NAME)};
#undef NAME
    return code < NU_H2_CODES ? names[code] : "unknown";
}
