/* Messages of gRPC's health service, byte for byte. */
#include "protocols/grpc/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void requests(void **state)
{
    uint8_t out[NU_GRPC_HEALTH_MAX_BYTES];
    char name[NU_GRPC_HEALTH_SERVICE_MAX + 1] = {0};
    assert_int_equal(nu_grpc_health_write("", out), 5);
    assert_memory_equal(out, "\0\0\0\0\0", 5);
    assert_int_equal(nu_grpc_health_write("web", out), 10);
    assert_memory_equal(out, "\0\0\0\0\5\x0a\3web", 10);
    memset(name, 'n', 127);
    assert_int_equal(nu_grpc_health_write(name, out), 5 + 2 + 127);
    assert_memory_equal(out, "\0\0\0\0\x81\x0a\x7fn", 8);
    memset(name, 'n', sizeof name - 1);
    assert_int_equal(nu_grpc_health_write(name, out), sizeof out);
    assert_memory_equal(out, "\0\0\0\1\2\x0a\xff\1n", 9);
}

#define ROW(bytes, err, serving)                                                                   \
    {                                                                                              \
        (const uint8_t *)(bytes), sizeof(bytes) - 1, err, serving                                  \
    }

static void responses(void **state)
{
    static const struct {
        const uint8_t *body;
        size_t len;
        enum nu_err err;
        enum nu_grpc_serving serving;
    } rows[] = {
        ROW("\0\0\0\0\2\x08\1", NU_OK, NU_GRPC_SERVING),
        ROW("\0\0\0\0\2\x08\2", NU_OK, NU_GRPC_NOT_SERVING),
        ROW("\0\0\0\0\2\x08\3", NU_OK, NU_GRPC_SERVICE_UNKNOWN),
        ROW("\0\0\0\0\2\x08\4", NU_OK, NU_GRPC_SERVING_UNKNOWN),
        ROW("\0\0\0\0\0", NU_OK, NU_GRPC_SERVING_UNKNOWN),
        ROW("\0\0\0\0\4\x08\2\x08\1", NU_OK, NU_GRPC_SERVING), /* the last one counts */
        ROW("\0\0\0\0\x15\x11zzzzzzzz\x15zzzz\x1a\1z\x08\1\x20\5", NU_OK, NU_GRPC_SERVING),
        ROW("\0\0\0\0\x0b\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\0", NU_OK, NU_GRPC_SERVING),
        ROW("", NU_ERR_SYNTAX, 0),
        ROW("\0\0\0\0", NU_ERR_SYNTAX, 0),
        ROW("\1\0\0\0\2\x08\1", NU_ERR_SYNTAX, 0),   /* compressed */
        ROW("\0\0\0\0\3\x08\1", NU_ERR_SYNTAX, 0),   /* cut */
        ROW("\0\0\0\0\2\x08\1\0", NU_ERR_SYNTAX, 0), /* more */
        ROW("\0\xff\xff\xff\xff\x08\1", NU_ERR_SYNTAX, 0),
        ROW("\0\0\0\0\1\x08", NU_ERR_SYNTAX, 0),   /* a tag alone */
        ROW("\0\0\0\0\2\0\1", NU_ERR_SYNTAX, 0),   /* field 0 */
        ROW("\0\0\0\0\2\x0b\1", NU_ERR_SYNTAX, 0), /* a group */
        ROW("\0\0\0\0\2\x0a\1", NU_ERR_SYNTAX, 0), /* bytes beyond the end */
        ROW("\0\0\0\0\3\x15zz", NU_ERR_SYNTAX, 0),
        ROW("\0\0\0\0\3\x11zz", NU_ERR_SYNTAX, 0),
        ROW("\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", NU_ERR_SYNTAX, 0),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum nu_grpc_serving serving = NU_GRPC_SERVING_COUNT;
        enum nu_err err = nu_grpc_health_read(rows[i].body, rows[i].len, &serving);
        if (err != rows[i].err || serving != rows[i].serving)
            fail_msg("row %zu: %d %s", i, err, nu_grpc_serving_str(serving));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests), cmocka_unit_test(responses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
