/* Password files: what lines are taken, whose password is right. The hashes are htpasswd's. */
#include "protocols/http/htpasswd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define ANN  "$2y$04$SPM3sssdK2Hz82XuFHLT5eBaKrDnHo1QsmhMu.f4EBTxRYalSmAtS" /* secret, cost 4 */
#define BOB  "{SHA}DRIHHM4AV3Qz8RTwikQAPCo1Kw0="                            /* p:w */
#define CARL "$2y$05$EE7aVatqZdE35zhHx7OcsOuvY55ExaItUA5BH3yDi.C3bpJYnCe0W" /* other, cost 5 */

static struct nu_htpasswd *users_of(const char *text)
{
    struct nu_htpasswd *users;
    struct nu_htpasswd_fault fault;
    if (nu_htpasswd_parse(text, strlen(text), &users, &fault) != NU_OK)
        fail_msg("line %u: %s", fault.line, fault.what);
    return users;
}

static const struct nu_htpasswd_user *find(const struct nu_htpasswd *users, const char *name)
{
    return nu_htpasswd_find(users, nu_text(name, strlen(name)));
}

static void who_is_known(void **state)
{
    struct nu_htpasswd *users = users_of("# a comment\n\nann:" ANN "\r\nbob:" BOB "  \n\t\n"
                                         "carl ü:" CARL);
    assert_int_equal(nu_htpasswd_count(users), 3);
    assert_null(find(users, "ANN"));
    assert_null(find(users, "carl"));
    assert_string_equal(find(users, "ann")->u.bcrypt, ANN);
    assert_true(find(users, "carl ü")->is_bcrypt && !find(users, "bob")->is_bcrypt);
    assert_string_equal(nu_htpasswd_costliest(users), CARL);
    nu_htpasswd_free(users);
    users = users_of("bob:" BOB "\n");
    assert_null(nu_htpasswd_costliest(users));
    nu_htpasswd_free(users);
    users = users_of("");
    assert_int_equal(nu_htpasswd_count(users), 0);
    nu_htpasswd_free(users);
}

static void whose_password_is_right(void **state)
{
    struct nu_htpasswd *users = users_of("bob:" BOB);
    const struct nu_htpasswd_user *bob = find(users, "bob");
    assert_true(nu_htpasswd_is_sha1(bob, NU_TEXT("p:w")));
    assert_false(nu_htpasswd_is_sha1(bob, NU_TEXT("p:W")));
    assert_false(nu_htpasswd_is_sha1(bob, NU_TEXT("")));
    nu_htpasswd_free(users);
    char longer[600];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    assert_true(nu_htpasswd_is_bcrypt(ANN, "secret"));
    assert_false(nu_htpasswd_is_bcrypt(ANN, "secret "));
    assert_false(nu_htpasswd_is_bcrypt(ANN, ""));
    assert_false(nu_htpasswd_is_bcrypt(ANN, longer));
    assert_true(nu_htpasswd_is_bcrypt(CARL, "other"));
}

#define NEITHER "the hash is neither bcrypt nor {SHA}: make one with htpasswd -B"
#define B53     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ."

static void mistakes(void **state)
{
    static const struct {
        const char *text;
        uint32_t line;
        const char *what;
    } rows[] = {
        {"ann",                                     1, "expected \"name:hash\""                                 },
        {"ann:" ANN "\n:" ANN,                      2, "there is no name before the colon"                      },
        {"#\n\n a:" ANN,                            3, "the name has control characters, or blanks at its ends" },
        {"a\x01:" ANN,                              1, "the name has control characters, or blanks at its ends" },
        {"ann:" ANN "\nbob:" BOB "\nann:" BOB,      3, "that name has been there before"                        },
        {"a:",                                      1, NEITHER                                                  },
        {"a:secret",                                1, NEITHER                                                  },
        {"a:$apr1$kQoJfvvB$uRPJG/5fxXm3CwHIK0lRm.", 1, NEITHER                                                  },
        {"a:{SHA}",                                 1, NEITHER                                                  },
        {"a:{SHA}UWuXg",                            1, "{SHA} is not followed by base64 of 20 bytes"            },
        {"a:{SHA}UWuXg/ylF+7L0dBk2i0WUxCxl1l1",     1, "{SHA} is not followed by base64 of 20 bytes"            },
        {"a:$2y$05$" B53 "x",                       1, NEITHER                                                  },
        {"a:$2x$05$" B53,                           1, NEITHER                                                  },
        {"a:$2y$5$$" B53,                           1, NEITHER                                                  },
        {"a:$2y$0x$" B53,                           1, NEITHER                                                  },
        {"a:$2y$03$" B53,                           1, "bcrypt has no cost below 4"                             },
        {"a:$2y$15$" B53,                           1, "a bcrypt cost over 14 would take seconds for each login"},
        {"a:$2y$05$" B53 "\nb",                     2, "expected \"name:hash\""                                 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_htpasswd *users;
        struct nu_htpasswd_fault fault;
        assert_int_equal(nu_htpasswd_parse(rows[i].text, strlen(rows[i].text), &users, &fault),
                         NU_ERR_SYNTAX);
        assert_null(users);
        assert_string_equal(fault.what, rows[i].what);
        assert_int_equal(fault.line, rows[i].line);
    }
}

static void names_of_all_lengths(void **state)
{
    char text[400];
    struct nu_htpasswd *users;
    struct nu_htpasswd_fault fault;
    for (size_t len = NU_HTPASSWD_NAME_MAX; len <= NU_HTPASSWD_NAME_MAX + 1; len++) {
        memset(text, 'x', len);
        strcpy(text + len, ":" BOB);
        bool good = nu_htpasswd_parse(text, strlen(text), &users, &fault) == NU_OK;
        assert_int_equal(good, len <= NU_HTPASSWD_NAME_MAX);
        nu_htpasswd_free(users);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_known),
        cmocka_unit_test(whose_password_is_right),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(names_of_all_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
