/* Credentials of the Basic scheme: what is taken, what is refused; base64 at all lengths. */
#include "protocols/http/basic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <string.h>

static void what_is_read(void **state)
{
    static const struct {
        const char *value, *name, *password;
        enum nu_basic result;
    } rows[] = {
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin",  "open sesame", NU_BASIC_OK   },
        {"bASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ", "Aladdin",  "open sesame", NU_BASIC_OK   },
        {"Basic YTpiOmM=",                     "a",        "b:c",         NU_BASIC_OK   },
        {"Basic Og==",                         "",         "",            NU_BASIC_OK   },
        {"Basic w7w6w7w=",                     "\xc3\xbc", "\xc3\xbc",    NU_BASIC_OK   },
        {"Basic",                              "",         "",            NU_BASIC_OTHER},
        {"Basic:YTpi",                         "",         "",            NU_BASIC_OTHER},
        {"Bearer YTpi",                        "",         "",            NU_BASIC_OTHER},
        {"",                                   "",         "",            NU_BASIC_OTHER},
        {"Basic ",                             "",         "",            NU_BASIC_BAD  },
        {"Basic YWI=",                         "",         "",            NU_BASIC_BAD  }, /* ab */
        {"Basic YTpi YTpi",                    "",         "",            NU_BASIC_BAD  },
        {"Basic YTpi====",                     "",         "",            NU_BASIC_BAD  },
        {"Basic YT=pi",                        "",         "",            NU_BASIC_BAD  },
        {"Basic YTpi,",                        "",         "",            NU_BASIC_BAD  },
        {"Basic YTpiYTpiY",                    "",         "",            NU_BASIC_BAD  },
        {"Basic YQA6Yg==",                     "",         "",            NU_BASIC_BAD  }, /* a NUL */
        {"Basic YTpiAA==",                     "",         "",            NU_BASIC_BAD  },
        {"Basic Y-pi",                         "",         "",            NU_BASIC_BAD  },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char room[NU_BASIC_MAX_BYTES];
        struct nu_text name, password;
        struct nu_text value = nu_text(rows[i].value, strlen(rows[i].value));
        if (nu_basic_read(value, room, &name, &password) != rows[i].result)
            fail_msg("\"%s\" is not %s", rows[i].value, nu_basic_str(rows[i].result));
        assert_true(nu_text_is(name, rows[i].name) && nu_text_is(password, rows[i].password));
    }
}

static void the_longest(void **state)
{
    static uint8_t plain[NU_BASIC_MAX_BYTES + 3];
    char value[2 * sizeof plain] = "Basic ", room[NU_BASIC_MAX_BYTES];
    struct nu_text name, password;
    memset(plain, 'x', sizeof plain);
    plain[1] = ':';
    EVP_EncodeBlock((uint8_t *)value + 6, plain, NU_BASIC_MAX_BYTES);
    assert_int_equal(nu_basic_read(nu_text(value, strlen(value)), room, &name, &password),
                     NU_BASIC_OK);
    assert_int_equal(password.len, NU_BASIC_MAX_BYTES - 2);
    EVP_EncodeBlock((uint8_t *)value + 6, plain, NU_BASIC_MAX_BYTES + 1);
    assert_int_equal(nu_basic_read(nu_text(value, strlen(value)), room, &name, &password),
                     NU_BASIC_BAD);
}

/* As OpenSSL writes it, of every length, with padding and without. */
static void base64_of_all_lengths(void **state)
{
    uint8_t plain[64], out[64];
    char text[128];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 89 + 250);
    for (int len = 0; len <= (int)sizeof plain; len++) {
        int n = EVP_EncodeBlock((uint8_t *)text, plain, len);
        for (; n >= 0 && n >= (len * 4 + 2) / 3; n--) {
            bool good = n % 4 == 0 || n == (len * 4 + 2) / 3;
            memset(out, 0, sizeof out);
            int got = nu_base64_decode(nu_text(text, (size_t)n), out, sizeof out);
            assert_int_equal(got, good ? len : -1);
            assert_true(!good || memcmp(out, plain, (size_t)len) == 0);
        }
        n = EVP_EncodeBlock((uint8_t *)text, plain, len);
        if (len > 0)
            assert_int_equal(nu_base64_decode(nu_text(text, (size_t)n), out, (size_t)len - 1), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read),
        cmocka_unit_test(the_longest),
        cmocka_unit_test(base64_of_all_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
