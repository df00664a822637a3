/* The reader of HTTP/1: what it tells of bytes, however they are cut; behind gaps, of what is
 * refused, and of what is handed on. */
#include "tests/unit/tools/tap/layer_kit.h"

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#define MIDDLE 16u /* the capture began within */
#define WHOLE  32u /* only as it is: it takes some bytes to know better */

struct row {
    const char *name;
    struct kit_step steps[KIT_STEPS];
    const char *diary;
    unsigned how; /* enum nu_flow_end, and perhaps MIDDLE */
};

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define HEAD(path) "HEAD " path " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK(n, b)   "HTTP/1.1 200 OK\r\nContent-Length: " #n "\r\n\r\n" b

#define H2C                                                                                        \
    "GET /1 HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\n"                   \
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
#define H2C_OK                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"              \
    "\0\0\0\4\0\0\0\0\0"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

static const struct row rows[] = {
    {"one",
     {UP(GET("/a")), DOWN(OK(2, "hi"))},
     "#1 h1 GET a.test /a -> 200 0 2 'hi'\n",                                                        NU_FLOW_FIN         },
    {"pipelined",
     {UP(HEAD("/1") GET("/2") GET("/3")), DOWN(OK(9, "") OK(1, "x") OK(0, ""))},
     "#1 h1 HEAD a.test /1 -> 200 0 0\n#2 h1 GET a.test /2 -> 200 0 1 'x'\n"
     "#3 h1 GET a.test /3 -> 200 0 0\n",                                                             NU_FLOW_FIN         },
    {"without a body",
     {UP(GET("/1") GET("/2")),
      DOWN(
          "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")},
     "#1 h1 GET a.test /1 -> 304 0 0\n#2 h1 GET a.test /2 -> 204 0 0\n",                             NU_FLOW_FIN         },
    {"interim",
     {UP("POST /p HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: "
         "3\r\n\r\nabc"),
      DOWN("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" OK(2, "hi"))},
     "#1 h1 POST a.test /p -> 100 103 200 3 2 'hi'\n",                                               NU_FLOW_FIN         },
    {"chunked, with trailers",
     {UP(GET("/")), DOWN("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                         "chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n")},
     "#1 h1 GET a.test / -> 200 0 5 'abcde'\n",                                                      NU_FLOW_FIN         },
    {"until the end",
     {UP(GET("/")), DOWN("HTTP/1.1 200 OK\r\n\r\nabcdef")},
     "#1 h1 GET a.test / -> 200 0 6 'abcdef'\n",                                                     NU_FLOW_FIN         },
    {"until the end, which was a reset",
     {UP(GET("/")), DOWN("HTTP/1.1 200 OK\r\n\r\nabcdef")},
     "#1 h1 GET a.test / -> 200 0 6 'abcdef' incomplete !response cut short: the connection was "
     "reset\n",                                                                                      NU_FLOW_RST         },
    {"cut short",
     {UP(GET("/")), DOWN(OK(9, "abc"))},
     "#1 h1 GET a.test / -> 200 0 3 'abc' incomplete !response cut short: the connection was "
     "closed\n",                                                                                     NU_FLOW_FIN         },
    {"no answer",
     {UP(GET("/"))},
     "#1 h1 GET a.test / -> 0 0 0 incomplete !no response: the capture ended\n",                     NU_FLOW_OPEN        },
    {"a head that is cut",
     {UP("GET /long HTTP/1.1\r\nHost: a.t")},
     "#1 h1 GET - /long -> 0 0 0 incomplete !request cut short: the connection was closed; no "
     "response: the "
     "connection was closed\n",                                                                      NU_FLOW_FIN         },
    {"gzip, and what is called so",
     {UP(GET("/1") GET("/2")),
      DOWN("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: "
           "22\r\n\r\n\037\213\010\000\000\000\000\000\002\003\313\310\004\000\254\052\223\330\002"
           "\000\000\000"
           "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain")},
     "#1 h1 GET a.test /1 -> 200 0 2(22) 'hi'\n"
     "#2 h1 GET a.test /2 -> 200 0 5 !the response body is no gzip\n",                               NU_FLOW_FIN         },
    {"deflate, bare and with its header",
     {UP(GET("/1") GET("/2")),
      DOWN("HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 4\r\n\r\n\xcb\xc8\x04\0"
           "HTTP/1.1 200 OK\r\nContent-Encoding: identity, deflate\r\nContent-Length: 10\r\n\r\n"
           "\x78\x9c\xcb\xc8\x04\0\x01\x3b\0\xd2")},
     "#1 h1 GET a.test /1 -> 200 0 2(4) 'hi'\n#2 h1 GET a.test /2 -> 200 0 2(10) 'hi'\n",            NU_FLOW_FIN         },
    {"a gap in a body",
     {UP(GET("/1")), DOWN(OK(9, "abc")), HOLE(1, 4), DOWN("hi"), UP(GET("/2")), DOWN(OK(1, "x"))},
     "#1 h1 GET a.test /1 -> 200 0 9(5) 'abc' incomplete !gap of 4B in the response body\n"
     "#2 h1 GET a.test /2 -> 200 0 1 'x'\n",                                                         NU_FLOW_FIN         },
    {"a gap in a chunk",
     {UP(GET("/1")), DOWN("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nab"),
      HOLE(1, 4), DOWN("gh\r\n0\r\n\r\n")},
     "#1 h1 GET a.test /1 -> 200 0 8(4) 'ab' incomplete !gap of 4B in the response body\n",          NU_FLOW_FIN         },
    {"a gap over the end of a body",
     {UP(GET("/1")), DOWN(OK(9, "abc")), HOLE(1, 40), DOWN("rest\r\n\r\n"), UP(GET("/2")),
      DOWN(OK(1, "x"))},
     "#1 h1 GET a.test /1 -> 200 0 9(3) 'abc' incomplete !gap of 6B in the response body\n"
     "#2 h1 GET a.test /2 -> 200 0 1 'x' !gap of 34B before it; 8B before it were not understood\n", NU_FLOW_FIN         },
    {"a gap in chunks' sizes",
     {UP(GET("/1")), DOWN("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
      HOLE(1, 4), DOWN("gh\r\n0\r\n\r\n"), UP(GET("/2")), DOWN(OK(1, "x"))},
     "#1 h1 GET a.test /1 -> 200 0 3 'abc' incomplete !gap of 4B in the response\n"
     "#2 h1 GET a.test /2 -> 200 0 1 'x' !9B before it were not understood\n",                       NU_FLOW_FIN         },
    {"a response is missing",
     {UP(GET("/1")), DOWN(OK(1, "a")), UP(GET("/2")), HOLE(1, 50), UP(GET("/3")), DOWN(OK(1, "c"))},
     "#1 h1 GET a.test /1 -> 200 0 1 'a'\n"
     "#2 h1 GET a.test /2 -> 0 0 0 incomplete !its response was not captured\n"
     "#3 h1 GET a.test /3 -> 200 0 1 'c' !gap of 50B before it\n",                                   NU_FLOW_FIN         },
    {"the last response is missing",
     {UP(GET("/1")), HOLE(1, 50)},
     "#1 h1 GET a.test /1 -> 0 0 0 incomplete !no response: gap of 50B\n",                           NU_FLOW_FIN         },
    {"heads that gaps cut",
     {UP("GET /1 HTTP/1.1\r\nHost: a.test\r\nA: "), HOLE(0, 50), DOWN("HTTP/1.1 200 OK\r\nA: b"),
      HOLE(1, 60), UP("GET /"), HOLE(0, 70), DOWN(OK(1, "b"))},
     "#1 h1 GET a.test /1 -> 200 0 0 incomplete !gap of 50B in the request; gap of 60B in the "
     "response\n"
     "#2 h1 - - - -> 200 0 1 'b' incomplete !gap of 70B in the requests\n",                          NU_FLOW_FIN         },
    {"one of those sent ahead is missing",
     {UP(GET("/1") GET("/2")), HOLE(1, 50), DOWN(OK(1, "b")), UP(GET("/3")), DOWN(OK(1, "c"))},
     "#3 h1 - - - -> 200 0 1 'b' incomplete !after a gap: it is not known which request this "
     "answers; gap of 50B before it\n"
     "#1 h1 GET a.test /1 -> 0 0 0 incomplete !its response was not captured\n"
     "#2 h1 GET a.test /2 -> 0 0 0 incomplete !its response was not captured\n"
     "#4 h1 GET a.test /3 -> 200 0 1 'c'\n",                                                         NU_FLOW_FIN         },
    {"a request is missing",
     {UP(GET("/1")), DOWN(OK(1, "a")), HOLE(0, 50), DOWN(OK(1, "b")), UP(GET("/3")),
      DOWN(OK(1, "c"))},
     "#1 h1 GET a.test /1 -> 200 0 1 'a'\n"
     "#2 h1 - - - -> 200 0 1 'b' incomplete !gap of 50B in the requests\n"
     "#3 h1 GET a.test /3 -> 200 0 1 'c'\n",                                                         NU_FLOW_FIN         },
    {"answers to HEAD whose requests are missing",
     {DOWN(OK(9, "") OK(7, "")), UP(GET("/3")), DOWN(OK(1, "c"))},
     "#1 h1 - - - -> 200 0 0 incomplete\n"
     "#2 h1 - - - -> 200 0 0 incomplete\n#3 h1 GET a.test /3 -> 200 0 1 'c'\n",                      NU_FLOW_FIN | WHOLE },
    {"begun within",
     {DOWN("ocument\r\n</html>" OK(1, "z")), UP("b=c" GET("/1")), DOWN(OK(1, "a"))},
     "#1 h1 - - - -> 200 0 1 'z' incomplete !16B before it were not understood\n"
     "#2 h1 GET a.test /1 -> 200 0 1 'a' !3B before it were not understood\n",                       NU_FLOW_FIN | MIDDLE},
    {"refused, and what follows",
     {UP("GET /1 HTTP/1.1\r\nHost : a.test\r\n\r\n" GET("/2")),
      DOWN("HTTP/1.1 200 OK\r\nA\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")},
     "#1 h1 GET - /1 -> 200 0 0 incomplete !request refused: http1.space_before_colon (RFC 9112 "
     "5.1); "
     "response refused: http1.invalid_header_line (RFC 9112 5)\n"
     "#2 h1 GET a.test /2 -> 200 0 1 'b' !2B before it were not understood; 2B before it were not "
     "understood\n",                                                                                 NU_FLOW_FIN         },
    {"no HTTP at all from the server",
     {UP(GET("/1")), DOWN("SSH-2.0-x\r\nmore\r\n")},
     "#1 h1 GET a.test /1 -> 0 0 0 incomplete !response refused: http1.invalid_status_line (RFC "
     "9112 4)\n",                                                                                    NU_FLOW_FIN         },
    {"CONNECT, refused",
     {UP("CONNECT b.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n"),
      DOWN("HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx"), UP(GET("/2")), DOWN(OK(0, ""))},
     "#1 h1 CONNECT b.test:443 b.test:443 -> 403 0 1 'x'\n#2 h1 GET a.test /2 -> 200 0 0\n",         NU_FLOW_FIN         },
    {"CONNECT, and HTTP in it",
     {UP("CONNECT b.test:80 HTTP/1.1\r\nHost: b.test:80\r\n\r\n"), UP(GET("/in")),
      DOWN("HTTP/1.1 200 Fine\r\n\r\n"), DOWN(OK(1, "y"))},
     "#1 h1 CONNECT b.test:80 b.test:80 -> 200 0 0\n#2 h1 GET a.test /in -> 200 0 1 'y'\n",          NU_FLOW_FIN         },
    {"an upgrade nobody wants",
     {UP("GET /1 HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
      UP(GET("/2")), DOWN(OK(1, "a") OK(1, "b"))},
     "#1 h1 GET a.test /1 -> 200 0 1 'a'\n#2 h1 GET a.test /2 -> 200 0 1 'b'\n",                     NU_FLOW_FIN         },
    {"HTTP/2 by upgrade",
     {UP(H2C), DOWN(H2C_OK "\0\0\1\1\4\0\0\0\1\x88\0\0\2\0\1\0\0\0\1hi"),
      UP(PREFACE "\0\0\x0b\1\5\0\0\0\3\x82\x86\x84\x41\6a.test"), DOWN("\0\0\1\1\5\0\0\0\3\x88")},
     "#1/1 h2 GET a.test /1 -> 200 0 2 'hi'\n#2/3 h2 GET a.test / -> 200 0 0\n",                     NU_FLOW_FIN         },
    {"HTTP/2 by upgrade, not waited for",
     {UP(H2C PREFACE "\0\0\x0b\1\5\0\0\0\3\x82\x86\x84\x41\6a.test"),
      DOWN(H2C_OK "\0\0\1\1\5\0\0\0\3\x88\0\0\1\1\5\0\0\0\1\x88")},
     "#2/3 h2 GET a.test / -> 200 0 0\n#1/1 h2 GET a.test /1 -> 200 0 0\n",                          NU_FLOW_FIN         },
    {"WebSocket",
     {UP("GET /w HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
      DOWN("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi"),
      UP("\x82\x83\1\2\3\4\x60\x60\x60\x88\x82\1\2\3\4\x02\xea")},
     "#1 h1 GET a.test /w -> 101 0 0\nws #1 <- 1 2 'hi'\nws #1 -> 2 3 'abc'\nws #1 -> 8 2 '' code "
     "1000\n",                                                                                       NU_FLOW_FIN         },
};

static void tell_of(const struct row *r, size_t first, size_t step)
{
    struct kit *k = kit_new(!(r->how & MIDDLE));
    tap_want_bodies(k->tap, 6, 0);
    k->layer = tap_is_h1.open(&k->conn, 0);
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
