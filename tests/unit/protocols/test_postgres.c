/* The first packet of a Postgres client, at every length, and the error that is sent back. */
#include "protocols/postgres.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define B(text) text, sizeof(text) - 1

/* decided: after how many bytes the answer is known. */
static const struct {
    const char *data;
    size_t len;
    enum nu_err answer;
    enum nu_pg_first first;
    size_t decided;
} rows[] = {
    {B("\0\0\0\x08\x04\xd2\x16\x2f"),                 NU_OK,       NU_PG_SSL_REQUEST,    8},
    {B("\0\0\0\x08\x04\xd2\x16\x30"),                 NU_OK,       NU_PG_GSSENC_REQUEST, 8},
    {B("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2"), NU_OK,       NU_PG_CANCEL_REQUEST, 8},
    {B("\0\0\1\x0c\x04\xd2\x16\x2e"),                 NU_OK,       NU_PG_CANCEL_REQUEST, 8},
    {B("\0\0\0\x29\0\3\0\0user\0x\0\0"),              NU_OK,       NU_PG_STARTUP,        8},
    {B("\0\0\0\x29\0\3\0\2"),                         NU_OK,       NU_PG_STARTUP,        8},
    {B("\0\0\x27\x10\0\2\0\0"),                       NU_OK,       NU_PG_STARTUP,        8},
    {B("\x16\3\1\2\0\1\0\1\xfc"),                     NU_OK,       NU_PG_TLS_HELLO,      1},
    {B("GET / HTTP/1.1"),                             NU_NOT_THIS, 0,                    1},
    {B("\0\1\0\0\0\3\0\0"),                           NU_NOT_THIS, 0,                    2},
    {B("\0\0\x27\x11\0\3\0\0"),                       NU_NOT_THIS, 0,                    4},
    {B("\0\0\0\x07\0\3\0\0"),                         NU_NOT_THIS, 0,                    4},
    {B("\0\0\0\0\0\3\0\0"),                           NU_NOT_THIS, 0,                    4},
    {B("\0\0\0\x09\x04\xd2\x16\x2f"),                 NU_NOT_THIS, 0,                    8},
    {B("\0\0\0\x0f\x04\xd2\x16\x2e"),                 NU_NOT_THIS, 0,                    8},
    {B("\0\0\1\x0d\x04\xd2\x16\x2e"),                 NU_NOT_THIS, 0,                    8},
    {B("\0\0\0\x08\0\4\0\0"),                         NU_NOT_THIS, 0,                    8},
    {B("\0\0\0\x08\x04\xd2\x16\x31"),                 NU_NOT_THIS, 0,                    8},
};

static void first_packets_at_every_length(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t len = 0; len <= rows[i].len; len++) {
            enum nu_pg_first first;
            enum nu_err answer = nu_pg_first_read((const uint8_t *)rows[i].data, len, &first);
            if (len < rows[i].decided) {
                assert_int_equal(answer, NU_MORE);
                continue;
            }
            assert_int_equal(answer, rows[i].answer);
            if (answer == NU_OK)
                assert_int_equal(first, rows[i].first);
        }
}

static void what_we_ask_is_an_ssl_request(void **state)
{
    enum nu_pg_first first;
    assert_int_equal(nu_pg_first_read(nu_pg_ssl_request, sizeof nu_pg_ssl_request, &first), NU_OK);
    assert_int_equal(first, NU_PG_SSL_REQUEST);
}

static void an_error_as_clients_read_it(void **state)
{
    static const char expected[] = "E\0\0\0\x2cSFATAL\0VFATAL\0C28000\0Mno TLS, no entry\0";
    uint8_t out[NU_PG_ERROR_MAX];
    size_t len = nu_pg_error(out, "28000", "no TLS, no entry");
    assert_int_equal(len, sizeof expected);
    assert_memory_equal(out, expected, len);
}

static void a_long_error_is_cut(void **state)
{
    uint8_t out[NU_PG_ERROR_MAX];
    char message[1000];
    memset(message, 'm', sizeof message);
    message[sizeof message - 1] = 0;
    size_t len = nu_pg_error(out, "28000", message);
    assert_int_equal(len, NU_PG_ERROR_MAX);
    assert_int_equal(out[3] << 8 | out[4], len - 1);
    assert_memory_equal(out + len - 3, "m\0", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_packets_at_every_length),
        cmocka_unit_test(what_we_ask_is_an_ssl_request),
        cmocka_unit_test(an_error_as_clients_read_it),
        cmocka_unit_test(a_long_error_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
