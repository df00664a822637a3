/* ClientHellos of SSL 2: what is one, wherever it is cut, and what it becomes. */
#include "tools/tap/hello_v2.h"

#include "protocols/tls/client_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CHALLENGE "challenge of 16."
#define HELLO                                                                                      \
    "\x80\x2c\1\3\1\0\x0f\0\4\0\x10"                                                               \
    "\0\0\x39\7\0\xc0\0\0\x2f\1\0\x80\0\0\xff"                                                     \
    "\1\2\3\4" CHALLENGE

static enum nu_err read_it(const char *bytes, size_t len, struct tap_hello_v2 *out)
{
    return tap_hello_v2((struct nu_piece){(const uint8_t *)bytes, len}, out);
}

static void becomes_one_of_tls(void **state)
{
    static const char expected[] =
        "\x16\3\1\0\x35\1\0\0\x31\3\1"
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" CHALLENGE "\4\1\2\3\4\0\6\0\x39\0\x2f\0\xff\1\0";
    struct tap_hello_v2 out;
    struct nu_client_hello hello;
    assert_int_equal(read_it(HELLO "more", sizeof HELLO + 3, &out), NU_OK);
    assert_int_equal(out.used, sizeof HELLO - 1);
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.record, expected, out.len);
    nu_client_hello_init(&hello);
    assert_int_equal(nu_client_hello_message(&hello, out.record + 5, out.len - 5), NU_OK);
    nu_client_hello_free(&hello);
}

static void cut_anywhere(void **state)
{
    struct tap_hello_v2 out;
    for (size_t len = 0; len < sizeof HELLO - 1; len++)
        assert_int_equal(read_it(HELLO, len, &out), NU_MORE);
}

/* A byte of the front that is another one. */
static void what_is_none(void **state)
{
    static const struct {
        size_t at;
        char value;
    } rows[] = {
        {0,  0x00}, /* the length's first bit */
        {1,  0x2b}, /* the length */
        {2,  2   }, /* what it is */
        {3,  2   }, /* SSL 2 itself is offered */
        {6,  0x0e}, /* ciphers of another size */
        {6,  0   },
        {8,  33  }, /* an id that is too long */
        {10, 15  }, /* a challenge that is too short */
        {10, 33  },
    };
    struct tap_hello_v2 out;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char hello[] = HELLO;
        hello[rows[i].at] = rows[i].value;
        assert_int_equal(read_it(hello, sizeof hello - 1, &out), NU_NOT_THIS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(becomes_one_of_tls),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
