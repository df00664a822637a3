/* SOCKS: stepped over, whatever version and method; what is none is raw. */
#include "tests/unit/tools/tap/layer_kit.h"

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#define ASK    "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define ANSWER "HTTP/1.1 204 No Content\r\n\r\n"
#define HTTP   "#1 h1 GET a.test / -> 204 0 0\n"
#define TO     "\1\x0a\0\0\2\0\x50"

static const struct story {
    const char *name;
    struct kit_step steps[KIT_STEPS];
    const char *diary;
} stories[] = {
    {"5",
     {UP("\5\1\0"), DOWN("\5\0"), UP("\5\1\0" TO), DOWN("\5\0\0" TO), UP(ASK), DOWN(ANSWER)},
     HTTP                                                                                            },
    {"5, a name",
     {UP("\5\2\0\2"), DOWN("\5\0"), UP("\5\1\0\3\6a.test\0\x50"), DOWN("\5\0\0" TO), UP(ASK),
      DOWN(ANSWER)},
     HTTP                                                                                            },
    {"5, IPv6",
     {UP("\5\1\0"), DOWN("\5\0"), UP("\5\1\0\4................\0\x50"),
      DOWN("\5\0\0\4................\0\x50"), UP(ASK), DOWN(ANSWER)},
     HTTP                                                                                            },
    {"5, a password",
     {UP("\5\2\0\2"), DOWN("\5\2"), UP("\1\3joe\3pwd"), DOWN("\1\0"), UP("\5\1\0" TO),
      DOWN("\5\0\0" TO), UP(ASK), DOWN(ANSWER)},
     HTTP                                                                                            },
    {"5, nobody waits", {UP("\5\1\0\5\1\0" TO ASK), DOWN("\5\0\5\0\0" TO ANSWER)},               HTTP},
    {"5, refused",      {UP("\5\1\0"), DOWN("\5\0"), UP("\5\1\0" TO), DOWN("\5\5\0" TO)},        ""  },
    {"5, no password",  {UP("\5\1\2"), DOWN("\5\2"), UP("\1\3joe\3pwd"), DOWN("\1\1"), UP(ASK)}, ""  },
    {"5, GSSAPI",
     {UP("\5\1\1"), DOWN("\5\1"), UP("token"), DOWN("token"), UP(ASK), DOWN(ANSWER)},
     ""                                                                                              },
    {"5, no method",    {UP("\5\1\0"), DOWN("\5\xff"), UP(ASK)},                                 ""  },
    {"5, nonsense",
     {UP("\5\1\0"), DOWN("\5\0"), UP("\5\1\0\7what"), DOWN("\5\0\0" TO), UP(ASK)},
     ""                                                                                              },
    {"4",
     {UP("\4\1\0\x50\x0a\0\0\2me\0"), DOWN("\0\x5a\0\0\0\0\0\0"), UP(ASK), DOWN(ANSWER)},
     HTTP                                                                                            },
    {"4a",
     {UP("\4\1\0\x50\0\0\0\1me\0a.test\0"), DOWN("\0\x5a\0\0\0\0\0\0"), UP(ASK), DOWN(ANSWER)},
     HTTP                                                                                            },
    {"4, refused",
     {UP("\4\1\0\x50\x0a\0\0\2me\0"), DOWN("\0\x5b\0\0\0\0\0\0"), UP(ASK), DOWN(ANSWER)},
     ""                                                                                              },
    {"a hole",          {UP("\5\1\0"), DOWN("\5\0"), HOLE(0, 20), UP(ASK), DOWN(ANSWER)},        ""  },
    {"neither",         {UP("\5\1\0"), DOWN("\4\0"), UP(ASK), DOWN(ANSWER)},                     ""  },
    {"not offered",     {UP("\5\1\0"), DOWN("\5\2"), UP(ASK), DOWN(ANSWER)},                     ""  },
    {"an end",          {UP("\5\1\0"), DOWN("\5\0"), UP("\5\1")},                                ""  },
};

static void tell_of(const struct story *s, size_t first, size_t step)
{
    struct kit *k = kit_new(true);
    k->layer = tap_guess_new(&k->conn, 0, NULL);
    kit_run(k, s->steps, KIT_STEPS, first, step);
    tap_shrink(k->layer);
    kit_end(k, NU_FLOW_FIN);
    if (strcmp(k->diary, s->diary) != 0)
        print_message("%s, cut at %zu, %zu\n", s->name, first, step);
    assert_string_equal(k->diary, s->diary);
    kit_free(k);
}

static void every_story_at_every_split(void **state)
{
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
        for (size_t first = 0; first < 60; first++)
            tell_of(&stories[i], first, 65536);
        tell_of(&stories[i], 1, 1);
    }
}

/* A user's name that does not end is no reason to wait for ever. */
static void names_have_an_end(void **state)
{
    struct kit *k = kit_new(true);
    k->layer = tap_guess_new(&k->conn, 0, NULL);
    kit_feed(k, 0, "\4\1\0\x50\x0a\0\0\2", 8);
    for (int i = 0; i < 2000; i++)
        kit_feed(k, 0, "m", 1);
    assert_true(k->conn.held < 4096);
    kit_end(k, NU_FLOW_FIN);
    assert_string_equal(k->diary, "");
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_story_at_every_split),
        cmocka_unit_test(names_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
