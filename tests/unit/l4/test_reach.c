/* Where a client may send us: words, prefixes, and IPv6 addresses that stand for IPv4 ones. */
#include "l4/reach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct conf {
    struct nu_reach_conf reach;
};

static const struct nu_field fields[] = {NU_REACH_FIELDS(struct conf, reach, NU_REACH_ALL), {0}};
static const struct nu_schema schema = {
    .name = "t", .doc = "", .size = sizeof(struct conf), .fields = fields};

static struct nu_reach *reach_from(struct nu_arena *arena, const char *text)
{
    struct conf out = {0};
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/", text, strlen(text));
    if (nu_schema_parse(&schema, conf, arena, nu_conf_root(conf), &out) != NU_OK)
        fail_msg("%s", nu_conf_report(conf));
    struct nu_reach *reach = nu_reach_new(arena, &out.reach);
    nu_conf_free(conf);
    return reach;
}

/* "" = allowed. */
static const char *judge(const struct nu_reach *reach, const char *text)
{
    struct nu_addr addr;
    assert_int_equal(nu_addr_parse(&addr, text, 443), NU_OK);
    const char *why = nu_reach_denied(reach, &addr);
    return why ? why : "";
}

struct row {
    const char *addr, *why;
};

static void expect(const char *conf, const struct row *rows, size_t count)
{
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_reach *reach = reach_from(arena, conf);
    for (size_t i = 0; i < count; i++)
        if (strcmp(judge(reach, rows[i].addr), rows[i].why) != 0)
            fail_msg("%s under %s: \"%s\"", rows[i].addr, conf, judge(reach, rows[i].addr));
    nu_arena_free(arena);
}
#define EXPECT(conf, rows) expect(conf, rows, sizeof(rows) / sizeof *(rows))

static void keeps_to_public_hosts(void **state)
{
    static const struct row rows[] = {
        {"8.8.8.8",                  ""          },
        {"93.184.216.34",            ""          },
        {"2606:4700::1111",          ""          },
        {"127.0.0.1",                "loopback"  },
        {"127.255.255.255",          "loopback"  },
        {"0.0.0.0",                  "loopback"  },
        {"0.1.2.3",                  "loopback"  },
        {"::1",                      "loopback"  },
        {"::",                       "loopback"  },
        {"10.0.0.1",                 "private"   },
        {"172.16.0.1",               "private"   },
        {"172.31.255.255",           "private"   },
        {"172.32.0.1",               ""          },
        {"192.168.1.1",              "private"   },
        {"100.64.0.1",               "private"   },
        {"100.128.0.1",              ""          },
        {"fc00::1",                  "private"   },
        {"fd12:3456::1",             "private"   },
        {"169.254.1.1",              "link_local"},
        {"fe80::1",                  "link_local"},
        {"169.254.169.254",          "metadata"  },
        {"100.100.100.200",          "metadata"  },
        {"fd00:ec2::254",            "metadata"  },
        {"224.0.0.1",                "multicast" },
        {"ff02::1",                  "multicast" },
        {"255.255.255.255",          "reserved"  },
        {"198.18.0.1",               "reserved"  },
        {"2001:db8::1",              "reserved"  },
        {"2001:0:1:2::3",            "reserved"  }, /* Teredo */
        {"::ffff:127.0.0.1",         "loopback"  }, /* IPv4 in IPv6's clothes */
        {"::ffff:10.1.1.1",          "private"   },
        {"::127.0.0.1",              "loopback"  },
        {"::10.0.0.1",               "private"   },
        {"64:ff9b::10.0.0.1",        "private"   },
        {"64:ff9b::169.254.169.254", "metadata"  },
        {"64:ff9b::8.8.8.8",         ""          },
        {"64:ff9b:1::8.8.8.8",       "reserved"  },
        {"2002:7f00:1::1",           "loopback"  },
        {"2002:a00:1::1",            "private"   },
        {"2002:808:808::1",          ""          },
        {"::ffff:0:192.168.0.1",     "private"   },
    };
    EXPECT("{}", rows);
}

/* The longer prefix wins, in whatever list; metadata stays out where its network is let in. */
static void lets_in_what_is_named(void **state)
{
    static const struct row narrow[] = {
        {"10.1.2.3",          ""       },
        {"10.2.0.1",          "private"},
        {"64:ff9b::10.1.0.1", ""       },
        {"64:ff9b::10.2.0.1", "private"},
    };
    EXPECT("allow: [10.1.0.0/16]", narrow);
    static const struct row word[] = {
        {"10.1.2.3",        ""        },
        {"169.254.169.254", "metadata"},
        {"169.254.1.1",     ""        },
        {"127.0.0.1",       "loopback"},
    };
    EXPECT("allow: [private, link_local]", word);
    static const struct row own[] = {
        {"127.0.0.1",   ""      },
        {"203.0.113.9", "denied"},
        {"10.0.0.1",    ""      },
    };
    EXPECT("deny: [203.0.113.0/24]", own);
    static const struct row equal[] = {
        {"10.0.0.1", ""}
    };
    EXPECT("{deny: [10.0.0.0/8], allow: [10.0.0.0/8]}", equal);
    static const struct row none[] = {
        {"127.0.0.1", ""},
        {"::1",       ""}
    };
    EXPECT("deny: []", none);
}

static void goes_to_addresses_with_ports_only(void **state)
{
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_reach *reach = reach_from(arena, "deny: []");
    struct nu_addr addr = {
        .kind = NU_ADDR_IP4, .ip = {8, 8, 8, 8}
    };
    assert_string_equal(nu_reach_denied(reach, &addr), "port 0");
    addr = (struct nu_addr){.kind = NU_ADDR_UNIX, .path = "/x"};
    assert_string_equal(nu_reach_denied(reach, &addr), "no IP address");
    assert_string_equal(nu_reach_denied(reach, &(struct nu_addr){0}), "no IP address");
    nu_arena_free(arena);
}

static void says_what_it_would_take(void **state)
{
    static const char text[] = "deny: [privat, 10.0.0.1/8, 1.2.3]";
    struct conf out = {0};
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/", text, strlen(text));
    assert_int_equal(nu_schema_parse(&schema, conf, arena, nu_conf_root(conf), &out),
                     NU_ERR_CONFIG);
    assert_int_equal(nu_conf_error_count(conf), 3);
    assert_non_null(strstr(nu_conf_report(conf), "did you mean \"private\"?"));
    nu_conf_free(conf);
    nu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_to_public_hosts),
        cmocka_unit_test(lets_in_what_is_named),
        cmocka_unit_test(goes_to_addresses_with_ports_only),
        cmocka_unit_test(says_what_it_would_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
