/* The root of a config: its values, and above all the address of admin. */
#include "tools/nuncio/root.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

struct loaded {
    struct nu_conf *conf;
    struct nu_arena *arena;
    struct nu_root root;
    enum nu_err err;
};

static struct loaded load(const char *text)
{
    struct loaded l = {.arena = nu_arena_new(256)};
    l.conf = nu_conf_from_text("t.yaml", "/etc", text, strlen(text));
    l.err = nu_schema_parse(&nu_root_schema, l.conf, l.arena, nu_conf_root(l.conf), &l.root);
    return l;
}

static void drop(struct loaded *l)
{
    nu_conf_free(l->conf);
    nu_arena_free(l->arena);
}

static void has_defaults(void **state)
{
    struct loaded l = load("");
    assert_int_equal(l.err, NU_OK);
    assert_int_equal(l.root.workers, 0);
    assert_int_equal(l.root.drain_timeout_ms, 30000);
    assert_null(l.root.admin);
    assert_null(l.root.listeners);
    assert_null(l.root.clusters);
    drop(&l);
}

static void reads_admin_addresses(void **state)
{
    static const char *const rows[][2] = {
        {"admin: on",                 "unix:/etc/admin.sock"},
        {"admin: Yes",                "unix:/etc/admin.sock"},
        {"admin: off",                NULL                  },
        {"admin: 127.0.0.1:9901",     "127.0.0.1:9901"      },
        {"admin: 127.1.2.3:1",        "127.1.2.3:1"         },
        {"admin: \"[::1]:9901\"",     "[::1]:9901"          },
        {"admin: unix:/run/n.sock",   "unix:/run/n.sock"    },
        {"admin: unix:run/n.sock",    "unix:/etc/run/n.sock"},
        {"admin: \"unix:@abstract\"", "unix:@abstract"      },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct loaded l = load(rows[i][0]);
        const char *alone;
        assert_int_equal(l.err, NU_OK);
        assert_int_equal(nu_root_admin(l.conf, l.arena, &alone), NU_OK);
        if (rows[i][1]) {
            assert_string_equal(l.root.admin, rows[i][1]);
            assert_string_equal(alone, rows[i][1]);
        } else {
            assert_null(l.root.admin);
            assert_null(alone);
        }
        drop(&l);
    }
}

static void refuses_what_others_could_reach(void **state)
{
    static const char *const rows[][2] = {
        {"admin: 0.0.0.0:9901",       "can be reached from elsewhere"},
        {"admin: \"[::]:9901\"",      "can be reached from elsewhere"},
        {"admin: 10.0.0.1:9901",      "can be reached from elsewhere"},
        {"admin: \"[fe80::1]:9901\"", "can be reached from elsewhere"},
        {"admin: localhost:9901",     "expected on, off, an address" },
        {"admin: 127.0.0.1",          "expected on, off, an address" },
        {"admin: 127.0.0.1:0",        "known beforehand"             },
        {"admin:",                    "expected on, off"             },
        {"admin: [on]",               "expected on, off"             },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct loaded l = load(rows[i][0]);
        assert_int_equal(l.err, NU_ERR_CONFIG);
        assert_non_null(strstr(nu_conf_report(l.conf), rows[i][1]));
        drop(&l);
    }
}

static void knows_the_longest_socket_path(void **state)
{
    char text[256] = "admin: unix:/";
    size_t room = sizeof((struct sockaddr_un *)0)->sun_path - 2; /* behind the "/", before NUL */
    memset(text + strlen("admin: unix:/"), 'x', room);
    struct loaded fits = load(text);
    assert_int_equal(fits.err, NU_OK);
    drop(&fits);
    strcat(text, "x");
    struct loaded too_long = load(text);
    assert_int_equal(too_long.err, NU_ERR_CONFIG);
    drop(&too_long);
}

static void ctl_needs_no_sane_config(void **state)
{
    const char *address, *broken = "a: [\n", *wrong = "workers: many\nadmin: on\n";
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/etc", wrong, strlen(wrong));
    assert_int_equal(nu_root_admin(conf, arena, &address), NU_OK);
    assert_string_equal(address, "unix:/etc/admin.sock");
    nu_conf_free(conf);
    conf = nu_conf_from_text("t.yaml", "/etc", broken, strlen(broken));
    assert_int_equal(nu_root_admin(conf, arena, &address), NU_ERR_CONFIG);
    assert_null(address);
    nu_conf_free(conf);
    nu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(reads_admin_addresses),
        cmocka_unit_test(refuses_what_others_could_reach),
        cmocka_unit_test(knows_the_longest_socket_path),
        cmocka_unit_test(ctl_needs_no_sane_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
