/* Names of secrets: of fields, parameters, members; and names that only look like them. */
#include "protocols/http/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void fields(void **state)
{
    static const struct {
        const char *name;
        enum nu_http_secret is;
    } rows[] = {
        {"Authorization",        NU_HTTP_SECRET_CREDENTIALS},
        {"proxy-authorization",  NU_HTTP_SECRET_CREDENTIALS},
        {"X-Amz-Authorization",  NU_HTTP_SECRET_CREDENTIALS},
        {"COOKIE",               NU_HTTP_SECRET_COOKIES    },
        {"set-cookie",           NU_HTTP_SECRET_SET_COOKIE },
        {"x-api-key",            NU_HTTP_SECRET_VALUE      },
        {"X-CSRF-Token",         NU_HTTP_SECRET_VALUE      },
        {"x-auth",               NU_HTTP_SECRET_VALUE      },
        {"x-amz-security-token", NU_HTTP_SECRET_VALUE      },
        {"Location",             NU_HTTP_SECRET_URL        },
        {"referer",              NU_HTTP_SECRET_URL        },
        {"cookie2",              NU_HTTP_SECRET_NONE       },
        {"x-auth-user",          NU_HTTP_SECRET_NONE       },
        {"www-authenticate",     NU_HTTP_SECRET_NONE       },
        {"authorizations",       NU_HTTP_SECRET_NONE       },
        {"tokens",               NU_HTTP_SECRET_NONE       },
        {"host",                 NU_HTTP_SECRET_NONE       },
        {"",                     NU_HTTP_SECRET_NONE       },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum nu_http_secret is = nu_http_secret_field(nu_text(rows[i].name, strlen(rows[i].name)));
        if (is != rows[i].is)
            fail_msg("%s is %s", rows[i].name, nu_http_secret_str(is));
    }
    (void)state;
}

static void parameters_and_members(void **state)
{
    static const struct {
        const char *name;
        bool parameter, member;
    } rows[] = {
        {"access_token",  true,  true },
        {"Password",      true,  true },
        {"client_secret", true,  true },
        {"pwd",           true,  true },
        {"code",          true,  false},
        {"sid",           true,  false},
        {"key",           true,  false},
        {"keys",          false, false},
        {"side",          false, false},
        {"q",             false, false},
        {"",              false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_text name = nu_text(rows[i].name, strlen(rows[i].name));
        assert_int_equal(nu_http_secret_parameter(name), rows[i].parameter);
        assert_int_equal(nu_http_secret_member(name), rows[i].member);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(parameters_and_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
