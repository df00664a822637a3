/* basic_auth: who is let in, what the others are told, and what happens while a password is
 * compared. In the place of auth_verify.c's thread stands the test: it says when an answer comes.
 */
#include "l7/filters/auth_verify.h"
#include "protocols/http/htpasswd.h"
#include "tests/unit/l7/filters/filter_kit.h"

#include <openssl/evp.h>

#define ANN "$2y$04$SPM3sssdK2Hz82XuFHLT5eBaKrDnHo1QsmhMu.f4EBTxRYalSmAtS"
#define BOB "{SHA}DRIHHM4AV3Qz8RTwikQAPCo1Kw0="
#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "filters: [{basic_auth: {users: [\"ann:" ANN "\", \"bob:" BOB "\"],"                           \
    " realm: the shop, forward_username_header: x-user, max_pending: 2}}]\n"                       \
    "routes: [{match: {path: /off}, cluster: c, filters: {basic_auth: off}},"                      \
    " {match: {path: /sha}, cluster: c, filters: {basic_auth: {users: \"bob:" BOB "\"}}},"         \
    " {cluster: c}]\n"

enum { ALLOWED, DENIED, OVERFLOW };

/* --- in the place of auth_verify.c */

struct nu_verify {
    void (*done)(void *ctx, bool same);
    void *ctx;
    char hash[NU_HTPASSWD_HASH_LEN + 1], password[600];
};

static struct nu_verify *pending[8];
static unsigned pending_count, compared, users;

void nu_verifier_get(void)
{
    users++;
}

void nu_verifier_put(void)
{
    users--;
}

struct nu_verify *nu_verify_start(struct nu_loop *loop, const char *hash, struct nu_text password,
                                  unsigned max, void (*done)(void *ctx, bool same), void *ctx)
{
    if (pending_count == max)
        return NULL;
    struct nu_verify *v = calloc(1, sizeof *v);
    *v = (struct nu_verify){.done = done, .ctx = ctx};
    strcpy(v->hash, hash);
    memcpy(v->password, password.at, password.len);
    pending[pending_count++] = v;
    return v;
}

void nu_verify_cancel(struct nu_verify *verify)
{
    for (unsigned i = 0; verify && i < pending_count; i++)
        if (pending[i] == verify) {
            pending[i] = pending[--pending_count];
            free(verify);
            return;
        }
}

/* All that waits has its answer. */
static void compare_all(void)
{
    while (pending_count) {
        struct nu_verify *v = pending[--pending_count];
        compared++;
        v->done(v->ctx, nu_htpasswd_is_bcrypt(v->hash, v->password));
        free(v);
        kit_turn();
    }
}

/* --- */

static int64_t count(unsigned index)
{
    return figure_of(&nu_basic_auth_stats, "http.ingress.basic_auth", index);
}

/* "Authorization: Basic ..." of name:password; NULL: no field. */
static const char *field(const char *credentials)
{
    static char text[2048];
    int n = snprintf(text, sizeof text, "X-User: forged\r\n%s",
                     credentials ? "Authorization: Basic " : "");
    if (!credentials)
        return text;
    n += EVP_EncodeBlock((uint8_t *)text + n, (const uint8_t *)credentials,
                         (int)strlen(credentials));
    strcpy(text + n, "\r\n");
    return text;
}

static void assert_denied(const char *body)
{
    const char *got = client();
    assert_int_equal(strncmp(got, "HTTP/1.1 401 Unauthorized\r\n", 27), 0);
    assert_non_null(
        strstr(got, "\r\nwww-authenticate: Basic realm=\"the shop\", charset=\"UTF-8\"\r\n"));
    if (!strstr(got, body))
        fail_msg("\"%s\" has no \"%s\"", got, body);
}

#define WRONG "\r\n\r\nUser authentication failed. Invalid username/password combination."

static void who_is_let_in(void **state)
{
    static const struct {
        const char *credentials, *name; /* NULL: he is not */
    } rows[] = {
        {"ann:secret",  "ann"},
        {"bob:p:w",     "bob"},
        {"ann:Secret",  NULL },
        {"ann:",        NULL },
        {"bob:secret",  NULL },
        {"bob:p",       NULL },
        {"carl:secret", NULL },
        {":",           NULL },
        {"Ann:secret",  NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char want[64];
        asks("GET /", field(rows[i].credentials));
        compare_all();
        const char *got = served();
        assert_int_equal(got != NULL, rows[i].name != NULL);
        snprintf(want, sizeof want, "\r\nx-user: %s\r\n", rows[i].name);
        assert_true(!got || (strstr(got, want) && !strstr(got, "forged")));
        if (!got)
            assert_denied(WRONG);
        client();
    }
    assert_int_equal(count(ALLOWED), 2);
    assert_int_equal(count(DENIED), 7);
}

static void what_the_others_are_told(void **state)
{
    compared = 0;
    asks("GET /", field(NULL));
    assert_denied("\r\n\r\nUser authentication failed. Missing username and password.");
    asks("GET /", "Authorization: Bearer abc\r\n");
    assert_denied("\r\n\r\nUser authentication failed. Expected 'Basic' authentication scheme.");
    asks("GET /", "Authorization: Basic !\r\n");
    assert_denied("\r\n\r\nUser authentication failed. Invalid basic credential format.");
    asks("GET /", field("ann"));
    assert_denied("\r\n\r\nUser authentication failed. Invalid basic credential format.");
    assert_int_equal(kit.legs + compared, 0);
    asks("GET /off", "Authorization: Basic !\r\n");
    assert_non_null(served());
}

/* Compared once, then remembered; a wrong one is compared each time, as is one of a user who is not
 * there: time does not tell. Where nobody has bcrypt, nobody waits for it. */
static void who_is_compared(void **state)
{
    static const struct {
        const char *line, *credentials;
        unsigned compared;
    } rows[] = {
        {"GET /",    "ann:secret",  1},
        {"GET /",    "ann:secret",  0},
        {"GET /",    "ann:wrong",   1},
        {"GET /",    "ann:wrong",   1},
        {"GET /",    "ann:secret",  0},
        {"GET /",    "carl:secret", 1},
        {"GET /",    "bob:p:w",     0},
        {"GET /sha", "carl:secret", 0},
        {"GET /sha", "bob:p:w",     0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        compared = 0;
        asks(rows[i].line, field(rows[i].credentials));
        compare_all();
        assert_int_equal(compared, rows[i].compared);
        served();
        client();
    }
}

static void nothing_moves_meanwhile(void **state)
{
    char text[512];
    snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n%s\r\nabc",
             field("ann:secret"));
    client_says(text);
    client_says("def");
    assert_int_equal(kit.legs, 0);
    compare_all();
    const char *got = served();
    assert_non_null(strstr(got, "\r\n\r\nabcdef"));
    assert_string_equal(client(), OK);
}

static void a_client_that_does_not_wait(void **state)
{
    asks("GET /", field("ann:secret"));
    assert_int_equal(pending_count, 1);
    kit_finish(&kit.client, NU_CAUSE_CLIENT_RST);
    compare_all();
    assert_int_equal(kit.loop.chain_count, 0);
    kit_client();
    asks("GET /", field("ann:wrong"));
    nu_loop_advance(&kit.loop, 300 * 1000); /* stream_idle_timeout */
    assert_int_equal(strncmp(client(), "HTTP/1.1 504 ", 13), 0);
    nu_loop_advance(&kit.loop, 1000);
    assert_int_equal(pending_count, 0);
}

static void too_many_wait(void **state)
{
    static struct nu_verify other;
    pending[0] = pending[1] = &other;
    pending_count = 2;
    asks("GET /", field("ann:secret"));
    assert_int_equal(strncmp(client(), "HTTP/1.1 503 ", 13), 0);
    assert_int_equal(count(OVERFLOW), 1);
    pending_count = 0;
    assert_int_equal(count(DENIED), 0);
}

static void mistakes(void **state)
{
    static const struct mistake rows[] = {
        {"[basic_auth]",                                                        "t.yaml:1:11: filters[0].basic_auth: needs either \"users\", a list of "
                         "name:hash, or \"users_file\"\n"
                         "    1 | filters: [basic_auth]\n"
                         "      |           ^^^^^^^^^^\n"                },
        {"[{basic_auth: {users: []}}]",
         "t.yaml:1:32: filters[0].basic_auth.users: the list must not be empty\n"
         "    1 | filters: [{basic_auth: {users: []}}]\n"
         "      |                                ^\n"                                            },
        {"[{basic_auth: {users: [\"a:" BOB "\", \"b:x\"], realm: a\"b}}]",
         "t.yaml:1:87: filters[0].basic_auth.realm: expected a text without quotes and "
         "backslashes\n"
         "    1 | ..._auth: {users: [\"a:{SHA}DRIHHM4AV3Qz8RTwikQAPCo1Kw0=\", \"b:x\"], realm: "
         "a\"b}}]\n"
         "      |                                                                          ^^^\n"},
        {"[{basic_auth: {users: \"a\", forward_username_header: connection}}]",
         "t.yaml:1:62: filters[0].basic_auth.forward_username_header: expected the name of a "
         "header that is not for the connection alone\n"
         "    1 | filters: [{basic_auth: {users: \"a\", forward_username_header: connection}}]\n"
         "      |                                                              ^^^^^^^^^^\n"     },
        {"[{basic_auth: {users: \"a\"}}]",
         "t.yaml:1:32: filters[0].basic_auth.users: expected \"name:hash\"\n"
         "    1 | filters: [{basic_auth: {users: \"a\"}}]\n"
         "      |                                ^^^\n"                                          },
        {"[{basic_auth: {users: \"a:" BOB "\\nb\"}}]",
         "t.yaml:1:32: filters[0].basic_auth.users: expected \"name:hash\"\n"
         "    1 | filters: [{basic_auth: {users: \"a:{SHA}DRIHHM4AV3Qz8RTwikQAPCo1Kw0=\\nb\"}}]\n"
         "      |                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"     },
        {"[{basic_auth: {users_file: /nowhere}}]",
         "t.yaml:1:37: filters[0].basic_auth.users_file: cannot read /nowhere: No such file or "
         "directory\n"
         "    1 | filters: [{basic_auth: {users_file: /nowhere}}]\n"
         "      |                                     ^^^^^^^^\n"                                },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_filters(rows[i].text, rows[i].report);
}

static int teardown(void **state)
{
    kit_teardown(state);
    assert_int_equal(pending_count + users, 0);
    return 0;
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_prestate_setup_teardown(name, filter_setup, teardown, (char *)CONF)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_let_in),
        TEST(what_the_others_are_told),
        TEST(who_is_compared),
        TEST(nothing_moves_meanwhile),
        TEST(a_client_that_does_not_wait),
        TEST(too_many_wait),
        TEST(mistakes),
    };
    filter_registered(&nu_filter_basic_auth);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
