/* Which layer the first bytes of a connection call for, of those that speak HTTP in some way. */
#include "tests/unit/tools/tap/layer_kit.h"

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

/* What is known of a direction: not seen to begin, ended. */
enum { MIDDLE = 1, ENDED = 2, TURNS = 4 };

struct row {
    const char *up;
    size_t up_len;
    const char *down;
    size_t down_len;
    unsigned flags[2];
    enum tap_found proxy, h2, h1;
};
#define BYTES(up, down) (up), sizeof(up) - 1, (down), sizeof(down) - 1

#define V2      "\r\n\r\n\0\r\nQUIT\n"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define UPDATE  "\0\0\4\x08\0\0\0\0\0\0\0\1\0"

static const struct row rows[] = {
    {BYTES("",                                      ""),                                         {0},              TAP_NO,     TAP_MORE,   TAP_MORE  },
    {BYTES("G",                                     ""),                                         {0},              TAP_NO,     TAP_NO,     TAP_MORE  },
    {BYTES("GET /",                                 ""),                                         {0},              TAP_NO,     TAP_NO,     TAP_YES   },
    {BYTES("get /",                                 "x"),                                        {0},              TAP_NO,     TAP_NO,     TAP_NO    },
    {BYTES("\r\nGET / HTTP/1.1\r\n",                ""),                                         {0},              TAP_NO,     TAP_NO,     TAP_YES   },
    {BYTES("BREW ",                                 ""),                                         {0},              TAP_NO,     TAP_NO,     TAP_MORE  },
    {BYTES("BREW /pot HTTP/1.1\r\n",                ""),                                         {0},              TAP_NO,     TAP_NO,     TAP_YES   },
    {BYTES("EHLO a.test\r\n",                       "220 hi\r\n"),                               {0},              TAP_NO,     TAP_NO,     TAP_NO    },
    {BYTES("GET x\r\n",                             ""),                                         {0},              TAP_NO,     TAP_NO,     TAP_YES   },
    {BYTES("\x16\3\1",                              "HTTP/1.1 400 Bad\r\n"),                     {0},              TAP_NO,     TAP_NO,     TAP_YES   },
    {BYTES("\x16\3\1",                              ""),                                         {0},              TAP_NO,     TAP_NO,     TAP_MORE  },
    {BYTES("\x16\3\1",                              ""),                                         {0, ENDED},       TAP_NO,     TAP_NO,     TAP_NO    },
    {BYTES("",                                      "HTTP/1.1 20"),                              {0},              TAP_NO,     TAP_NO,     TAP_MORE  },
    {BYTES("",                                      "HTTP/1.1 200 OK\r\n"),                      {0},              TAP_NO,     TAP_NO,     TAP_YES   },
    {BYTES("HTTP/1.0 200\r\n",                      ""),                                         {TURNS},          TAP_NO,     TAP_NO,     TAP_TURNED},
    {BYTES("",                                      "POST / HTTP/1.1\r\n"),                      {TURNS},          TAP_NO,     TAP_NO,     TAP_TURNED},
    {BYTES("body\r\n",                              "ody HTTP/1.1 200 OK\r\n"),                  {MIDDLE, MIDDLE}, TAP_NO,     TAP_NO,     TAP_YES   },
    {BYTES("body GET / HTTP/1.1\r\n",               ""),                                         {MIDDLE},         TAP_NO,     TAP_NO,     TAP_YES   },
    {BYTES("body",                                  "more body\n"),                              {MIDDLE, MIDDLE}, TAP_NO,     TAP_MORE,   TAP_MORE  },
    {BYTES("PRI * HTTP/2.0\r\n\r\nSM",              ""),                                         {0},              TAP_NO,     TAP_MORE,   TAP_MORE  },
    {BYTES(PREFACE,                                 ""),                                         {0},              TAP_NO,     TAP_YES,    TAP_MORE  },
    {BYTES("",                                      PREFACE),                                    {TURNS},          TAP_NO,     TAP_TURNED, TAP_NO    },
    {BYTES("",                                      "\0\0\0\4\0\0\0\0\0"),                       {MIDDLE},         TAP_NO,     TAP_YES,    TAP_NO    },
    {BYTES("",                                      "\0\0\0\5\0\0\0\0\0"),                       {MIDDLE},         TAP_NO,     TAP_NO,     TAP_NO    },
    {BYTES("tail" UPDATE UPDATE,                    ""),                                         {MIDDLE},         TAP_NO,     TAP_YES,    TAP_MORE  },
    {BYTES("tail" UPDATE "\0\0\1\1\5\0\0\0\3\x88",  ""),
     {MIDDLE | TURNS},
     TAP_NO,                                                                                                                   TAP_TURNED,
     TAP_MORE                                                                                                                                        },
    {BYTES("tail" UPDATE "\0\0\1\1\5\0\0\0\3\x88",  ""),                                         {MIDDLE},         TAP_NO,     TAP_YES,    TAP_MORE  },
    {BYTES("",                                      "tail" UPDATE "\0\0\2\1\5\0\0\0\3\x3f\x82"),
     {MIDDLE | TURNS, MIDDLE},
     TAP_NO,                                                                                                                   TAP_YES,
     TAP_MORE                                                                                                                                        },
    {BYTES("",                                      "tail" UPDATE "\0\0\2\1\5\0\0\0\3\x20\x82"),
     {MIDDLE | TURNS, MIDDLE},
     TAP_NO,                                                                                                                   TAP_TURNED,
     TAP_MORE                                                                                                                                        },
    {BYTES("PROXY TCP4 ",                           ""),                                         {0},              TAP_MORE,   TAP_NO,     TAP_MORE  },
    {BYTES("PROXY TCP4 ",                           ""),                                         {ENDED},          TAP_NO,     TAP_NO,     TAP_MORE  },
    {BYTES("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nG", ""),                                         {0},              TAP_YES,    TAP_NO,     TAP_MORE  },
    {BYTES("PROXY TCP9 10.0.0.1 10.0.0.2 1 2\r\nG", ""),                                         {0},              TAP_NO,     TAP_NO,     TAP_MORE  },
    {BYTES("",                                      V2 "\x20\0\0\0"),                            {TURNS},          TAP_TURNED, TAP_NO,     TAP_NO    },
    {BYTES(V2 "\x20\0\0\0",                         ""),                                         {0},              TAP_YES,    TAP_NO,     TAP_MORE  },
};

static void first_bytes_tell(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct tap_start start = {
            .first = {{(const uint8_t *)r->up, r->up_len},  {(const uint8_t *)r->down, r->down_len}},
            .whole = {r->up_len && !(r->flags[0] & MIDDLE), r->down_len && !(r->flags[1] & MIDDLE) },
            .ended = {r->flags[0] & ENDED,                  r->flags[1] & ENDED                    },
            .may_turn = r->flags[0] & TURNS,
        };
        int found[] = {tap_is_proxy.find(&start), tap_is_h2.find(&start), tap_is_h1.find(&start)};
        if (found[0] != (int)r->proxy || found[1] != (int)r->h2 || found[2] != (int)r->h1)
            print_message("row %zu: %d %d %d\n", i, found[0], found[1], found[2]);
        assert_int_equal(found[0], r->proxy);
        assert_int_equal(found[1], r->h2);
        assert_int_equal(found[2], r->h1);
    }
}

/* --- PROXY: the header and what is behind it --- */

struct story {
    struct kit_step steps[KIT_STEPS];
    const char *diary;
};
#define ASK    "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define ANSWER "HTTP/1.1 204 No Content\r\n\r\n"

static const struct story stories[] = {
    {{UP("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" ASK), DOWN(ANSWER)},
     "proxy v1 10.0.0.1:1 10.0.0.2:2\n#1 h1 GET a.test / -> 204 0 0\n"                                                         },
    {{UP("PROXY UNKNOWN\r\n"), UP(ASK), DOWN(ANSWER)},
     "proxy v1 local\n#1 h1 GET a.test / -> 204 0 0\n"                                                                         },
    {{UP(V2 "\x21\x11\0\x0c\x0a\0\0\1\x0a\0\0\2\0\1\0\2" ASK), DOWN(ANSWER)},
     "proxy v2 10.0.0.1:1 10.0.0.2:2\n#1 h1 GET a.test / -> 204 0 0\n"                                                         },
    {{UP(V2 "\x20\0\0\0" ASK), DOWN(ANSWER)},                                 "proxy v2 local\n#1 h1 GET a.test / -> 204 0 0\n"},
    {{UP("PROXY nonsense\r\n"), DOWN("what?")},                               ""                                               },
};

static void tell_of(const struct story *s, size_t first, size_t step)
{
    struct kit *k = kit_new(true);
    k->layer = tap_guess_new(&k->conn, 0, NULL);
    kit_run(k, s->steps, KIT_STEPS, first, step);
    kit_end(k, NU_FLOW_FIN);
    assert_string_equal(k->diary, s->diary);
    kit_free(k);
}

static void what_is_behind_proxy_is_read(void **state)
{
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
        for (size_t first = 0; first < 80; first++)
            tell_of(&stories[i], first, 65536);
        tell_of(&stories[i], 1, 1);
    }
}

static void a_header_that_is_cut_is_given_up(void **state)
{
    for (int gap = 0; gap < 2; gap++) {
        struct kit *k = kit_new(true);
        k->layer = tap_is_proxy.open(&k->conn, 0);
        kit_feed(k, 0, "PROXY TCP4 10.", 14);
        if (gap)
            tap_gap(k->layer, 0, 40, 1);
        kit_end(k, NU_FLOW_FIN);
        assert_string_equal(k->diary, "");
        tap_shrink(k->layer);
        kit_free(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_bytes_tell),
        cmocka_unit_test(what_is_behind_proxy_is_read),
        cmocka_unit_test(a_header_that_is_cut_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
