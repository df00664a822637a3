/* The table of reasons; see h1_error.h. */
#include "protocols/http/h1_error.h"

#include "core/assert.h"

#define ROW(id, name, status, clause, text) {"http1." name, status, clause, text},

static const struct {
    const char *name;
    unsigned status;
    const char *clause, *text;
} rows[NU_H1_ERRORS] = {
    {"", 0, "", ""},
    NU_H1_ERROR_LIST(ROW)
};

const char *nu_h1_error_str(enum nu_h1_error error)
{
    nu_assert((unsigned)error < NU_H1_ERRORS);
    return rows[error].name;
}

unsigned nu_h1_error_status(enum nu_h1_error error)
{
    nu_assert((unsigned)error < NU_H1_ERRORS);
    return rows[error].status;
}

const char *nu_h1_error_clause(enum nu_h1_error error)
{
    nu_assert((unsigned)error < NU_H1_ERRORS);
    return rows[error].clause;
}

const char *nu_h1_error_text(enum nu_h1_error error)
{
    nu_assert((unsigned)error < NU_H1_ERRORS);
    return rows[error].text;
}
