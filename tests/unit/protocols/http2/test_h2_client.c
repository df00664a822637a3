/* The client's side of the HTTP/2 codec: what responses are, at every split point, and what servers
 * may not do. */
#include "tests/unit/protocols/http2/h2_kit.h"

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#define OK   "\x88" /* :status 200 */
#define NONE "\x89" /* :status 204 */
#define EARLY                                                                                      \
    "\x08\x03"                                                                                     \
    "103" /* :status 103 */
#define LENGTH_3                                                                                   \
    "\x0f\x0d\x01"                                                                                 \
    "3" /* content-length: 3 */
#define FIELD "\x10\x01x\x01y"
#define ENDS  5 /* END_HEADERS, END_STREAM */

/* Frames of a server on the first stream: type, flags, payload. */
struct piece {
    int type;
    unsigned flags;
    const char *payload;
};

struct row {
    const char *name, *method;
    struct piece piece[5];
    const char *diary; /* what the user hears */
};

static const struct row rows[] = {
    {"whole",                "GET",     {{1, 4, OK}, {0, 0, "ab"}, {0, 1, "c"}},                        "head 1 200 chunked\nabc\nend 1\n"         },
    {"head only",            "GET",     {{1, ENDS, OK}},                                                "head 1 200 none\n\nend 1\n"               },
    {"length",               "GET",     {{1, 4, OK LENGTH_3}, {0, 1, "abc"}},                           "head 1 200 length\nabc\nend 1\n"          },
    {"too short",
     "GET",                             {{1, 4, OK LENGTH_3}, {0, 1, "ab"}},
     "head 1 200 length\nab\nbad 1 http2.content_length_differs\n"                                                                                 },
    {"too long",
     "GET",                             {{1, 4, OK LENGTH_3}, {0, 0, "abc"}, {0, 1, "d"}},
     "head 1 200 length\nabc\nbad 1 http2.content_length_differs\n"                                                                                },
    {"no body",              "GET",     {{1, ENDS, OK LENGTH_3}},                                       "\nbad 1 http2.content_length_differs\n"   },
    {"HEAD",                 "HEAD",    {{1, ENDS, OK LENGTH_3}},                                       "head 1 200 none\n\nend 1\n"               },
    {"HEAD and DATA",
     "HEAD",                            {{1, 4, OK LENGTH_3}, {0, 1, "abc"}},
     "head 1 200 none\n\nbad 1 http2.content_length_differs\n"                                                                                     },
    {"204 and DATA",
     "GET",                             {{1, 4, NONE}, {0, 1, "abc"}},
     "head 1 204 none\n\nbad 1 http2.content_length_differs\n"                                                                                     },
    {"interim",              "GET",     {{1, 4, EARLY}, {1, ENDS, OK}},                                 "interim 1 103\nhead 1 200 none\n\nend 1\n"},
    {"interim at the end",   "GET",     {{1, ENDS, EARLY}},                                             "\nbad 1 http2.interim_ends_stream\n"      },
    {"DATA first",
     "GET",                             {{1, 4, EARLY}, {0, 1, "a"}},
     "interim 1 103\n\nbad 1 http2.data_before_head\n"                                                                                             },
    {"nothing",
     "GET",                             {{1, 4, EARLY}, {0, 1, ""}},
     "interim 1 103\n\nbad 1 http2.data_before_head\n"                                                                                             },
    {"trailers",
     "GET",                             {{1, 4, OK}, {0, 0, "a"}, {1, ENDS, FIELD}},
     "head 1 200 chunked\na\ntrail 1 1\nend 1\n"                                                                                                   },
    {"tunnel",
     "CONNECT",                         {{1, 4, OK LENGTH_3}, {0, 0, "ab"}, {0, 0, "cd"}, {0, 1, "e"}},
     "head 1 200 tunnel\nabcde\nend 1\n"                                                                                                           },
    {"ended tunnel",         "CONNECT", {{1, ENDS, NONE}},                                              "head 1 204 tunnel\n\nend 1\n"             },
    {"no tunnel",            "CONNECT", {{1, 4, "\x8d"}, {0, 1, "no"}},                                 "head 1 404 chunked\nno\nend 1\n"          },
    {"trailers in a tunnel",
     "CONNECT",                         {{1, 4, OK}, {0, 0, "a"}, {1, ENDS, FIELD}},
     "head 1 200 tunnel\na\nbad 1 http2.headers_in_tunnel\n"                                                                                       },
    {"open trailers",
     "GET",                             {{1, 4, OK}, {1, 4, FIELD}},
     "head 1 200 chunked\n\nbad 1 http2.trailers_without_end\n"                                                                                    },
    {"no status",            "GET",     {{1, ENDS, FIELD}},                                             "\nbad 1 http2.missing_pseudo_header\n"    },
    {"two",                  "GET",     {{1, ENDS, OK OK}},                                             "\nbad 1 http2.repeated_pseudo_header\n"   },
    {"a request's",          "GET",     {{1, ENDS, OK "\x84"}},                                         "\nbad 1 http2.invalid_pseudo_header\n"    },
    {"101",
     "GET",                             {{1, ENDS,
       "\x08\x03"
       "101"}},
     "\nbad 1 http2.invalid_status\n"                                                                                                              },
    {"20",
     "GET",                             {{1, ENDS,
       "\x08\x02"
       "20"}},
     "\nbad 1 http2.invalid_status\n"                                                                                                              },
    {"2000",
     "GET",                             {{1, ENDS,
       "\x08\x04"
       "2000"}},
     "\nbad 1 http2.invalid_status\n"                                                                                                              },
    {"0200",
     "GET",                             {{1, ENDS,
       "\x08\x04"
       "0200"}},
     "\nbad 1 http2.invalid_status\n"                                                                                                              },
    {"600",
     "GET",                             {{1, ENDS,
       "\x08\x03"
       "600"}},
     "\nbad 1 http2.invalid_status\n"                                                                                                              },
    {"capitals",             "GET",     {{1, ENDS, OK "\x10\x01X\x01y"}},                               "\nbad 1 http2.invalid_header_name\n"      },
    {"connection",
     "GET",                             {{1, ENDS,
       OK "\x10\x0a"
          "connection\x01y"}},
     "\nbad 1 http2.connection_header\n"                                                                                                           },
    {"reset",                "GET",     {{1, 4, OK}, {3, 0, "...."}},                                   "head 1 200 chunked\ncut 1 unknown peer\n" },
};

static void put(struct kit_bytes *b, const struct piece *p)
{
    kit_frame(b, (unsigned)p->type, p->flags, 1, p->payload, strlen(p->payload));
}

static void check(const struct row *row, const struct kit_bytes *b, size_t first, size_t step)
{
    struct kit *k = kit_new(KIT_NEVER);
    kit_begin_client(k);
    kit_ask(k, row->method, 0);
    nu_h2_write(k->h2, 65536, 0);
    for (size_t at = 0, n = first; at < b->len; at += n, n = step) {
        n = n < b->len - at ? n : b->len - at;
        kit_read(k, b->at + at, n);
    }
    char *told = strstr(k->diary, "bad 1"); /* how the stream ends then is no news */
    if (told)
        strchr(told, '\n')[1] = 0;
    if (strcmp(k->diary, row->diary) != 0)
        fail_msg("%s, cut at %zu: %s", row->name, first, k->diary);
    kit_free(k);
}

static void responses_at_every_split(void **state)
{
    static struct kit_bytes b;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        b.len = 0;
        kit_frame(&b, 4, 0, 0, "", 0);
        for (size_t p = 0; p < 4 && rows[i].piece[p].payload; p++)
            put(&b, &rows[i].piece[p]);
        for (size_t at = 1; at < b.len; at++)
            check(&rows[i], &b, at, b.len - at);
        check(&rows[i], &b, 1, 1);
    }
}

/* A head's share of memory each: they are counted. */
static void interim_heads_are_counted(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_NEVER);
    kit_begin_client(k);
    kit_ask(k, "GET", 0);
    nu_h2_write(k->h2, 65536, 0);
    b.len = 0;
    kit_frame(&b, 4, 0, 0, "", 0);
    for (int i = 0; i < 101; i++)
        kit_frame(&b, 1, 4, 1, EARLY, 5);
    kit_read(k, b.at, b.len);
    assert_non_null(strstr(k->diary, "bad 1 http2.too_many_interim_heads"));
    kit_free(k);
}

/* What GOAWAY leaves out was not looked at; what it does not is still served. */
static void goaway(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_NEVER);
    kit_begin_client(k);
    for (int i = 0; i < 3; i++)
        kit_ask(k, "GET", 0);
    nu_h2_write(k->h2, 65536, 0);
    b.len = 0;
    kit_frame(&b, 4, 0, 0, "", 0);
    kit_frame(&b, 7, 0, 0, "\0\0\0\3\0\0\0\0", 8);
    kit_frame(&b, 1, ENDS, 3, OK, 1);
    nu_h2_write(k->h2, 65536, 0);
    assert_int_equal(nu_h2_room(k->h2), 97);
    kit_read(k, b.at, b.len);
    assert_string_equal(k->diary, "goaway\nhead 3 200 none\n\nend 3\ncut 5 REFUSED_STREAM us\n");
    assert_int_equal(nu_h2_room(k->h2), 0);
    kit_ask(k, "GET", 0);
    nu_h2_write(k->h2, 65536, 0);
    assert_non_null(strstr(k->diary, "cut 7 REFUSED_STREAM peer"));
    kit_free(k);
}

/* A request over what the server allows is for another connection; one may be given up unsaid. */
static void what_the_server_allows(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_NEVER);
    kit_begin_client(k);
    b.len = 0;
    kit_frame(&b, 4, 0, 0, "\0\3\0\0\0\1", 6);
    kit_read(k, b.at, b.len);
    assert_int_equal(nu_h2_room(k->h2), 1);
    kit_ask(k, "GET", 0);
    kit_ask(k, "POST", 9);
    nu_h2_write(k->h2, 65536, 0);
    assert_string_equal(k->diary, "cut 0 REFUSED_STREAM peer\n");
    assert_int_equal(nu_h2_room(k->h2), 0);
    nu_h2_say_reset(kit_ask(k, "POST", 9), NU_H2_CODE_CANCEL);
    nu_h2_write(k->h2, 65536, 0);
    b.len = 0;
    kit_frame(&b, 1, ENDS, 1, OK, 1);
    kit_read(k, b.at, b.len);
    assert_int_equal(nu_h2_active(k->h2), 0);
    assert_int_equal(nu_h2_room(k->h2), 1);
    kit_free(k);
}

/* RFC 8441: it may be asked once the server's SETTINGS offer it; an answer that opens it is 101. */
static void upgrades(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_NEVER);
    kit_begin_client(k);
    k->upgrade = true;
    assert_int_equal(nu_h2_may_upgrade(k->h2), NU_MORE);
    b.len = 0;
    kit_frame(&b, 4, 0, 0, "", 0);
    kit_read(k, b.at, b.len);
    assert_int_equal(nu_h2_may_upgrade(k->h2), NU_NOT_THIS);
    b.len = 0;
    kit_frame(&b, 4, 0, 0, "\0\10\0\0\0\1", 6);
    kit_read(k, b.at, b.len);
    assert_int_equal(nu_h2_may_upgrade(k->h2), NU_OK);
    assert_int_equal(k->settings, 2);
    kit_ask(k, "GET", 0);
    nu_h2_write(k->h2, 65536, 0);
    b.len = 0;
    kit_frame(&b, 1, 4, 1, OK, 1);
    kit_frame(&b, 0, 0, 1, "a", 1);
    kit_frame(&b, 0, 1, 1, "b", 1);
    kit_read(k, b.at, b.len);
    assert_string_equal(k->diary, "head 1 101 tunnel\nab\nend 1\n");
    kit_free(k);
}

static void pushes_end_the_connection(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_NEVER);
    kit_begin_client(k);
    kit_ask(k, "GET", 0);
    nu_h2_write(k->h2, 65536, 0);
    b.len = 0;
    kit_frame(&b, 4, 0, 0, "", 0);
    kit_frame(&b, 5, 4, 1, "\0\0\0\2\x82", 5);
    assert_int_equal(kit_read(k, b.at, b.len), NU_ERR_SYNTAX);
    assert_int_equal(nu_h2_goaway_code(k->h2), NU_H2_CODE_PROTOCOL_ERROR);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses_at_every_split),
        cmocka_unit_test(interim_heads_are_counted),
        cmocka_unit_test(goaway),
        cmocka_unit_test(what_the_server_allows),
        cmocka_unit_test(upgrades),
        cmocka_unit_test(pushes_end_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
