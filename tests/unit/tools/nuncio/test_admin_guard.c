/* Who may ask the admin: programs of this machine, and pages of its own. */
#include "tools/nuncio/admin_guard.h"

#include "core/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static bool may(const char *host, const char *origin, const char *site, const char *local)
{
    struct nu_arena *arena = nu_arena_new(512);
    struct nu_http_head *head = nu_http_head_new(arena);
    struct nu_addr addr;
    assert_int_equal(nu_addr_parse(&addr, local, -1), NU_OK);
    head->authority = nu_text(host, strlen(host));
    if (origin)
        nu_http_add_known(head, NU_HDR_ORIGIN, nu_text(origin, strlen(origin)));
    if (site)
        nu_http_add(head, NU_TEXT("Sec-Fetch-Site"), nu_text(site, strlen(site)));
    bool yes = nu_admin_guard(head, &addr) == NULL;
    nu_arena_free(arena);
    return yes;
}

static void hosts_are_loopback(void **state)
{
    static const char *const ours[] = {
        "localhost",      "localhost:9901", "LocalHost:1", "localhost.:80", "127.0.0.1",
        "127.0.0.1:9901", "127.9.9.9",      "[::1]",       "[::1]:9901",    ""};
    static const char *const others[] = {"evil.test",
                                         "evil.test:9901",
                                         "localhost.evil.test",
                                         "xlocalhost",
                                         "127.0.0.1.nip.io",
                                         "10.0.0.1:9901",
                                         "[::2]:80",
                                         "localhost@evil.test",
                                         "0.0.0.0",
                                         "127.1",
                                         "0x7f.1",
                                         "2130706433",
                                         "[::1",
                                         "unix:/x",
                                         "localhost..",
                                         "a.localhost",
                                         "[::ffff:10.0.0.1]:1"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        assert_true(may(ours[i], NULL, NULL, "127.0.0.1:9901"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(may(others[i], NULL, NULL, "127.0.0.1:9901"));
        assert_true(may(others[i], NULL, NULL, "unix:/run/admin.sock"));
    }
    char endless[4096];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    assert_false(may(endless, NULL, NULL, "[::1]:9901"));
}

static void origins_are_our_own(void **state)
{
    static const char *const locals[] = {"127.0.0.1:9901", "unix:/run/admin.sock"};
    for (size_t i = 0; i < sizeof locals / sizeof *locals; i++) {
        const char *at = locals[i];
        assert_true(may("localhost:9901", "http://localhost:9901", "same-origin", at));
        assert_true(may("[::1]:9901", "http://[::1]:9901", NULL, at));
        assert_true(may("localhost:9901", NULL, "none", at));
        assert_false(may("localhost:9901", "http://localhost:9902", NULL, at));
        assert_false(may("localhost:9901", "https://localhost:9901", NULL, at));
        assert_false(may("localhost:9901", "http://localhost:99011", NULL, at));
        assert_false(may("localhost:9901", "null", NULL, at));
        assert_false(may("localhost:9901", "", NULL, at));
        assert_false(may("", "http://", NULL, at));
        assert_false(may("localhost:9901", NULL, "cross-site", at));
        assert_false(may("localhost:9901", NULL, "same-site", at));
        assert_false(may("localhost:9901", "http://localhost:9901", "cross-site", at));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_loopback),
        cmocka_unit_test(origins_are_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
