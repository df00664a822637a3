/* First packets of Postgres clients. The input is what a client sends; read at every length, the
 * answer comes within eight bytes and stays. */
#include "core/assert.h"
#include "protocols/postgres.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    enum nu_err before = NU_MORE;
    enum nu_pg_first first, first_before = NU_PG_STARTUP;
    for (size_t n = 0; n <= len && n <= 64; n++) {
        enum nu_err now = nu_pg_first_read(data, n, &first);
        nu_assert(now == NU_OK || now == NU_MORE || now == NU_NOT_THIS);
        nu_assert(now != NU_MORE || n < NU_PG_HEAD_BYTES);
        nu_assert(before == NU_MORE || (now == before && first == first_before));
        before = now;
        first_before = first;
    }
    uint8_t out[NU_PG_ERROR_MAX];
    char message[512] = "";
    memcpy(message, data, len < sizeof message - 1 ? len : sizeof message - 1);
    nu_assert(nu_pg_error(out, "28000", message) <= sizeof out);
    return 0;
}
