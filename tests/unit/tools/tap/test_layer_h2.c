/* The reader of HTTP/2: what it tells of bytes, however they are cut; behind gaps and of a
 * conversation that it was not at the beginning of nothing that is wrong. */
#include "tests/unit/tools/tap/layer_kit.h"

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#define MIDDLE 16u /* the capture began within */
#define WHOLE  32u /* only as it is: what is looked for takes some bytes to be sure of */

struct row {
    const char *name;
    struct kit_step steps[KIT_STEPS];
    const char *diary;
    unsigned how; /* enum nu_flow_end, and perhaps the above */
};

static const struct row rows[] = {
    {"two, out of order",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\005\000\000\000\001\202\206\204A\006a."
         "test\000\000\007\001\005\000\000\000\003\202\206D\002/b\277"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\000\004\001\000\000\000\000\000\000\001"
           "\001\004\000\000\000\003\210\000\000\002\000\001\000\000\000\003bb\000\000\001\001\004"
           "\000\000\000\001\210\000\000\001\000\000\000\000\000\001a\000\000\000\000\001\000\000"
           "\000\001")},
     "#2/3 h2 GET a.test /b -> 200 0 2 'bb'\n"
     "#1/1 h2 GET a.test / -> 200 0 1 'a'\n",                                                        NU_FLOW_FIN                 },
    {"padding, priority, CONTINUATION, interim, trailers",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\015\001("
         "\000\000\000\001\002\000\000\000\000\020\203\206\204A\006\000\000\000\000\002\011\000\000"
         "\000\000\001a."
         "\000\000\004\011\004\000\000\000\001test\000\000\007\000\010\000\000\000\001\003abc\000"
         "\000\000\000\000\005\002\000\000\000\000\001\000\000\000\000\001\000\000\011\001\005\000"
         "\000\000\001@\005x-sum\0011"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\015\001\004\000\000\000\001@\007:"
           "status\003103\000\000\010\006\000\000\000\000\00012345678\000\000\004\010\000\000\000"
           "\000\000\000\000\001\000\000\000\001\001\004\000\000\000\001\210\000\000\002\000\000"
           "\000\000\000\001hi\000\000\011\001\005\000\000\000\001@\005x-end\0011")},
     "#1/1 h2 POST a.test / -> 103 200 3 2 'hi'\n",                                                  NU_FLOW_FIN                 },
    {"reset, GOAWAY",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\005\000\000\000\001\202\206\204A\006a."
         "test\000\000\007\001\005\000\000\000\003\202\206D\002/"
         "b\277\000\000\004\001\005\000\000\000\005\202\206\276\277"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\004\000\000\000\001\210\000\000"
           "\003\000\000\000\000\000\001abc\000\000\004\003\000\000\000\000\001\000\000\000\010\000"
           "\000\004\000\001\000\000\000\001late\000\000\010\007\000\000\000\000\000\000\000\000"
           "\003\000\000\000\002")},
     "#1/1 h2 GET a.test / -> 200 0 3 'abc' incomplete !reset by the server: CANCEL\n"
     "#2/3 h2 GET a.test /b -> 0 0 0 incomplete !GOAWAY from the server: INTERNAL_ERROR; response "
     "cut short: the connection was closed\n"
     "#3/5 h2 GET a.test /b -> 0 0 0 incomplete !GOAWAY from the server: INTERNAL_ERROR, not "
     "processed; response cut short: the connection was closed\n",                                   NU_FLOW_FIN                 },
    {"promised",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\005\000\000\000\001\202\206\204A\006a.test"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\022\005\004\000\000\000\001\000\000\000"
           "\002\202\206D\002/"
           "pA\006a."
           "test\000\000\001\001\005\000\000\000\001\210\000\000\001\001\004\000\000\000\002\210"
           "\000\000\001\000\001\000\000\000\002p")},
     "#1/1 h2 GET a.test / -> 200 0 0\n"
     "#2/2 h2 GET a.test /p -> 200 0 1 'p' !pushed by the server\n",                                 NU_FLOW_FIN                 },
    {"gRPC",
     {UP("PRI * "
         "HTTP/"
         "2.0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000$"
         "\001\004\000\000\000\001\203\206D\006/s.S/MA\006a.test_\020application/"
         "grpc\000\000\006\000\000\000\000\000\001\000\000\000\000\003o\000\000\021\000\001\000\000"
         "\000\001ne\000\000\000\000\000\000\000\000\000\005three"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\031\001\004\000\000\000\001\210_"
           "\026application/"
           "grpc+"
           "proto\000\000\012\000\000\000\000\000\001\000\000\000\000\005reply\000\000\020\001\005"
           "\000\000\000\001@\013grpc-status\00213")},
     "#1/1 grpc POST a.test /s.S/M -> 200 23 10 grpc 13 3+1 ''\n",                                   NU_FLOW_FIN                 },
    {"a gap within DATA",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\005\000\000\000\001\202\206\204A\006a.test"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\004\000\000\000\001\210\000\000"
           "\010\000\001\000\000\000\001abc"),
      HOLE(1, 3), DOWN("gh"), UP("\000\000\007\001\005\000\000\000\003\202\206D\002/b\277"),
      DOWN("\000\000\001\001\005\000\000\000\003\210")},
     "#1/1 h2 GET a.test / -> 200 0 8(5) 'abc' incomplete !gap of 3B in the response body\n"
     "#2/3 h2 GET a.test /b -> 200 0 0\n",                                                           NU_FLOW_FIN                 },
    {"a gap between frames: what the table had is unknown",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\005\000\000\000\001\202\206\204A\006a.test"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\004\000\000\000\001\210"),
      HOLE(0, 60),
      UP("tail of "
         "something\000\000\004\010\000\000\000\000\000\000\000\001\000\000\000\007\001\005\000\000"
         "\000\005\202\206D\002/"
         "b\277\000\000\013\001\005\000\000\000\007\202\206\276A\006b."
         "test\000\000\004\001\005\000\000\000\011\202\206\277\276"),
      DOWN("\000\000\001\001\005\000\000\000\005\210\000\000\001\001\005\000\000\000\007\210\000"
           "\000\001\001\005\000\000\000\011\210\000\000\001\000\001\000\000\000\001x")},
     "#2/5 h2 GET - /b -> 200 0 0 !gap of 60B before it between the client's frames; 1 request "
     "fields not known (HPACK after a missed start)\n"
     "#3/7 h2 GET b.test /b -> 200 0 0\n"
     "#4/9 h2 GET b.test /b -> 200 0 0\n"
     "#1/1 h2 GET a.test / -> 200 0 1 'x'\n",                                                        NU_FLOW_FIN | WHOLE         },
    {"a request is missing",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000"),
      HOLE(0, 60),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\005\000\000\000\001\210")},
     "#1/1 h2 - - - -> 200 0 0 incomplete !gap of 60B before it between the client's frames\n",      NU_FLOW_FIN | WHOLE         },
    {"a gap within HEADERS",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\005\000\000\000\001\202\206\204A\006a"),
      HOLE(0, 4), UP("t\000\000\007\001\005\000\000\000\003\202\206D\002/b\277"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\005\000\000\000\001\210\000\000"
           "\001\001\005\000\000\000\003\210")},
     "#1/1 h2 - - - -> 200 0 0 incomplete !request fields were not captured\n"
     "#2/3 h2 GET - /b -> 200 0 0 !1 request fields not known (HPACK after a missed start)\n",       NU_FLOW_FIN                 },
    {"a gap over the end of a frame",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\004\000\000\000\001\203\206\204A\006a.test\000\000\010\000\000\000\000\000\001abc"),
      HOLE(0, 30),
      UP("\000\000\003\000\001\000\000\000\001xyz\000\000\007\001\005\000\000\000\003\202\206D\002/"
         "b\277"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\005\000\000\000\001\210\000\000"
           "\001\001\005\000\000\000\003\210")},
     "#1/1 h2 POST a.test / -> 200 11 0 incomplete !gap of 30B between the client's frames; gap of "
     "5B in the request body\n"
     "#2/3 h2 GET - /b -> 200 0 0 !1 request fields not known (HPACK after a missed start)\n",       NU_FLOW_FIN | WHOLE         },
    {"begun within",
     {DOWN("end of DATA, and what follows "
           "is\000\000\004\000\001\000\000\000\007rest\000\000\002\001\004\000\000\000\011\277\210"
           "\000\000\002\000\001\000\000\000\011zz"),
      UP("\000\000\004\001\005\000\000\000\013\202\206\204\276\000\000\013\001\005\000\000\000\015"
         "\202\206\204A\006a.test"),
      DOWN("\000\000\001\001\005\000\000\000\013\210\000\000\002\001\005\000\000\000\015\210\276")},
     "#1/7 h2 - - - -> 0 0 4 'rest' incomplete\n"
     "#2/9 h2 - - - -> 200 0 2 'zz' incomplete !1 response fields not known (HPACK after a missed "
     "start)\n"
     "#3/11 h2 GET - / -> 200 0 0 !1 request fields not known (HPACK after a missed start)\n"
     "#4/13 h2 GET a.test / -> 200 0 0 !1 response fields not known (HPACK after a missed start)\n", NU_FLOW_FIN | MIDDLE | WHOLE},
    {"no HTTP/2 any more",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\005\000\000\000\001\202\206\204A\006a."
         "test\000\000\010\006\000\000\000\000\00112345678what"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\005\000\000\000\001\210")},
     "#1/1 h2 GET a.test / -> 200 0 0\n",                                                            NU_FLOW_FIN                 },
    {"broken HPACK",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\004\001"
         "\005\000\000\000\001\202\206\204\200"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\005\000\000\000\001\210")},
     "#1/1 h2 GET - / -> 200 0 0 incomplete !request fields: broken HPACK\n",                        NU_FLOW_FIN                 },
    {"a block within a block",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\004\001"
         "\001\000\000\000\001\202\206\204A\000\000\001\000\000\000\000\000\003x\000\000\007\011"
         "\004\000\000\000\001\006a.test\000\000\013\001\005\000\000\000\005\202\206\204A\006a."
         "test"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\005\000\000\000\005\210")},
     "#3/5 h2 GET a.test / -> 200 0 0\n"
     "#1/1 h2 - - - -> 0 0 0 incomplete !request fields were not captured; response cut short: the "
     "connection was closed\n"
     "#2/3 h2 - - - -> 0 1 0 incomplete !request cut short: the connection was closed; response "
     "cut short: the connection was closed\n",                                                       NU_FLOW_FIN                 },
    {"not over",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\005\000\000\000\001\202\206\204A\006a.test"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\004\000\000\000\001\210\000\000"
           "\003\000\000\000\000\000\001abc")},
     "#1/1 h2 GET a.test / -> 200 0 3 'abc' incomplete !response cut short: the capture ended\n",    NU_FLOW_OPEN                },
    {"WebSocket",
     {UP("PRI * "
         "HTTP/"
         "2.0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000+"
         "\001\004\000\000\000\001B\007CONNECT\207D\002/wA\006a.test@\011:protocol\011websocket"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\004\000\000\000\001\210"),
      UP("\000\000\010\000\000\000\000\000\001\201\202\001\002\003\004ik"),
      DOWN("\000\000\003\000\000\000\000\000\001\210\002\003\000\000\001\000\001\000\000\000\001"
           "\350"),
      UP("\000\000\000\000\001\000\000\000\001")},
     "#1/1 h2 CONNECT a.test /w -> 200 0 0\n"
     "ws #1 -> 1 2 'hi'\n"
     "ws #1 <- 8 2 '' code 1000\n",                                                                  NU_FLOW_FIN                 },
    {"the table is limited",
     {UP("PRI * "
         "HTTP/"
         "2."
         "0\015\012\015\012SM\015\012\015\012\000\000\000\004\000\000\000\000\000\000\000\013\001"
         "\005\000\000\000\001\202\206\204A\006a.test\000\000\005\001\005\000\000\000\003 "
         "\202\206\204\276"),
      DOWN("\000\000\000\004\000\000\000\000\000\000\000\001\001\005\000\000\000\001\210\000\000"
           "\001\001\005\000\000\000\003\210")},
     "#1/1 h2 GET a.test / -> 200 0 0\n"
     "#2/3 h2 GET - / -> 200 0 0 !1 request fields not known (HPACK after a missed start)\n",        NU_FLOW_FIN                 },
};

static void tell_of(const struct row *r, size_t first, size_t step)
{
    struct kit *k = kit_new(!(r->how & MIDDLE));
    tap_want_bodies(k->tap, 6, 0);
    k->layer = tap_is_h2.open(&k->conn, 0);
    kit_run(k, r->steps, KIT_STEPS, first, step);
    kit_end(k, (enum nu_flow_end)(r->how & 15));
    if (strcmp(k->diary, r->diary) != 0)
        print_message("%s, cut at %zu, %zu\n", r->name, first, step);
    assert_string_equal(k->diary, r->diary);
    kit_free(k);
}

static void every_row_at_every_split(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t longest = 0;
        tell_of(&rows[i], 65536, 65536);
        if (rows[i].how & WHOLE)
            continue;
        for (size_t s = 0; s < KIT_STEPS; s++)
            if (rows[i].steps[s].at && rows[i].steps[s].len > longest)
                longest = rows[i].steps[s].len;
        for (size_t first = 0; first <= longest; first++)
            tell_of(&rows[i], first, 65536);
        tell_of(&rows[i], 1, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_at_every_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
