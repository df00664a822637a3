/* compress: which responses, for whom, what becomes of their heads; bodies that come in pieces, for
 * clients that stop reading, or cut. */
#include "tests/unit/l7/filters/body_kit.h"

#include "l7/filters/compress_conf.h"

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "filters: [compress]\n"                                                                        \
    "routes: [{match: {path: /etag}, cluster: c, filters: {compress: {disable_on_etag: true}}}, "  \
    "{match: {path: /own}, respond: {status: 200, body: '" LONG "'}}, "                            \
    "{match: {path: /off}, cluster: c, filters: {compress: off}}, "                                \
    "{match: {path: /bare}, cluster: c, filters: {compress: {codings: gzip, content_type: "        \
    "[a/b], min_content_length: 5, remove_accept_encoding: true}}}, {cluster: c}]\n"
#define LONG "a text of more than thirty letters: it is worth the while of a coder"
#define GZIP "Accept-Encoding: gzip\r\n"
#define BOTH "Accept-Encoding: gzip, br\r\n"

static int64_t figure(enum compress_stat stat)
{
    return figure_of(&nu_compress_stats, "http.ingress.compressor", stat);
}

/* The answer to a request for a response with these fields and the long text. */
static struct heard answer(const char *line, const char *fields, const char *status,
                           const char *response)
{
    char text[2048];
    bool body =
        strncmp(line, "HEAD", 4) != 0 && strcmp(status, "204") != 0 && strcmp(status, "304") != 0;
    asks(line, fields);
    if (kit.legs)
        forget(&kit.leg[kit.legs - 1]);
    snprintf(text, sizeof text, "HTTP/1.1 %s x\r\nDate: x\r\n%s%s\r\n\r\n%s", status, response,
             strstr(response, "Content-Length") || strcmp(status, "204") == 0
                 ? ""
                 : "Content-Length: 68",
             body ? LONG : "");
    if (kit.legs && strstr(line, "/own") == NULL)
        server_says(kit.legs - 1, text);
    struct heard h = heard_by(&kit.client);
    return h;
}

static void assert_coded(const struct heard *h, enum nu_coding coding)
{
    char line[64];
    bool whole;
    snprintf(line, sizeof line, "\r\nContent-Encoding: %s\r\n", nu_coding_str(coding));
    assert_says(h, line, true);
    assert_says(h, "\r\nTransfer-Encoding: chunked\r\n", true);
    assert_says(h, "Content-Length", false);
    struct body coded = body_dechunked(h->body, h->len, &whole);
    assert_true(whole);
    struct body plain = body_decoded(coding, coded.data, coded.len);
    assert_int_equal(plain.len, strlen(LONG));
    assert_memory_equal(plain.data, LONG, plain.len);
    body_free(&coded);
    body_free(&plain);
}

static const struct {
    const char *line, *fields, *status, *response;
    enum nu_coding coding;
    bool vary;
} rows[] = {
    {"GET /",     BOTH,                            "200", "",                                   NU_CODING_BROTLI,   true },
    {"GET /",     GZIP,                            "200", "Content-Type: text/html\r\n",        NU_CODING_GZIP,     true },
    {"GET /",     GZIP,                            "404", "Content-Type: TEXT/css ; a=b\r\n",   NU_CODING_GZIP,     true },
    {"POST /",    GZIP "Content-Length: 0\r\n",    "500", "",                                   NU_CODING_GZIP,     true },
    {"GET /",     "Accept-Encoding: gzip;q=0\r\n", "200", "",                                   NU_CODING_IDENTITY, true },
    {"GET /",     "Accept-Encoding: identity\r\n", "200", "",                                   NU_CODING_IDENTITY, true },
    {"GET /",     "Accept-Encoding: *\r\n",        "200", "",                                   NU_CODING_BROTLI,   true },
    {"GET /",     "",                              "200", "",                                   NU_CODING_IDENTITY, true },
    {"GET /",     GZIP,                            "200", "Content-Type: image/png\r\n",        NU_CODING_IDENTITY, false},
    {"GET /",     GZIP,                            "200", "Content-Encoding: zstd\r\n",         NU_CODING_IDENTITY, false},
    {"GET /",     GZIP,                            "200", "Cache-Control: a, no-transform\r\n", NU_CODING_IDENTITY, false},
    {"GET /",     GZIP,                            "206", "",                                   NU_CODING_IDENTITY, false},
    {"GET /",     GZIP,                            "200", "Content-Range: bytes 0-1/5\r\n",     NU_CODING_IDENTITY, false},
    {"GET /",     GZIP,                            "204", "",                                   NU_CODING_IDENTITY, false},
    {"GET /",     GZIP,                            "304", "",                                   NU_CODING_IDENTITY, false},
    {"HEAD /",    GZIP,                            "200", "",                                   NU_CODING_IDENTITY, true },
    {"GET /etag", GZIP,                            "200", "ETag: \"x\"\r\n",                    NU_CODING_IDENTITY, false},
    {"GET /etag", GZIP,                            "200", "",                                   NU_CODING_GZIP,     true },
    {"GET /off",  GZIP,                            "200", "",                                   NU_CODING_IDENTITY, false},
    {"GET /bare", BOTH,                            "200", "Content-Type: a/b\r\n",              NU_CODING_GZIP,     true },
    {"GET /bare", GZIP,                            "200", "Content-Type: text/html\r\n",        NU_CODING_IDENTITY, false},
    {"GET /own",  GZIP,                            "200", "",                                   NU_CODING_GZIP,     true },
};

static void whom_it_is_for(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct heard h = answer(rows[i].line, rows[i].fields, rows[i].status, rows[i].response);
        if (rows[i].coding != NU_CODING_IDENTITY)
            assert_coded(&h, rows[i].coding);
        else
            assert_says(&h, "Content-Encoding: gzip", false);
        if (says(&h, "\r\nvary: Accept-Encoding\r\n") != rows[i].vary)
            fail_msg("row %zu: %s", i, h.head);
        forget(&kit.client);
    }
    assert_int_equal(figure(COMPRESS_COMPRESSED), 8);
    assert_int_equal(figure(COMPRESS_NOT_COMPRESSED), 13);
    assert_int_equal(figure(COMPRESS_TOTAL_UNCOMPRESSED_BYTES), 8 * 68);
    assert_true(figure(COMPRESS_TOTAL_COMPRESSED_BYTES) > 8 * 20);
    assert_int_equal(figure(COMPRESS_NOT_COMPRESSED_ETAG), 1);
    assert_int_equal(figure(COMPRESS_NO_ACCEPT_HEADER), 1);
    assert_int_equal(figure(COMPRESS_HEADER_IDENTITY), 1);
    assert_int_equal(figure(COMPRESS_HEADER_WILDCARD), 1);
    assert_int_equal(figure(COMPRESS_HEADER_NOT_VALID), 1);
    assert_int_equal(figure(COMPRESS_HEADER_COMPRESSOR_USED), 8);
}

static void heads_say_what_it_is_now(void **state)
{
    struct heard h =
        answer("GET /", GZIP, "200", "ETag: \"x\"\r\nAccept-Ranges: bytes\r\nVary: Origin\r\n");
    assert_says(&h, "\r\netag: W/\"x\"\r\n", true);
    assert_says(&h, "Accept-Ranges", false);
    assert_says(&h, "\r\nVary: Origin\r\nvary: Accept-Encoding\r\n", true);
    forget(&kit.client);
    h = answer("GET /", GZIP, "200", "ETag: W/\"y\"\r\nVary: a, accept-encoding\r\n");
    assert_says(&h, "\r\nETag: W/\"y\"\r\nVary: a, accept-encoding\r\nContent-Encoding", true);
    forget(&kit.client);
    h = answer("GET /", GZIP, "200", "ETag: \"x\"\r\nVary: *\r\nContent-Type: a/b\r\n");
    assert_says(&h, "\r\nETag: \"x\"\r\nVary: *\r\nContent-Type: a/b\r\nContent-Length", true);
}

static void what_is_short_stays(void **state)
{
    asks("GET /", GZIP);
    server_says(0, "HTTP/1.1 200 x\r\nContent-Length: 29\r\n\r\n"
                   "abcdefghijklmnopqrstuvwxyzabc");
    struct heard h = heard_by(&kit.client);
    assert_says(&h, "Content-Encoding", false);
    assert_says(&h, "vary", false);
    assert_int_equal(figure(COMPRESS_CONTENT_LENGTH_TOO_SMALL), 1);
    forget(&kit.client);
    asks("GET /", GZIP);
    server_says(0, "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
    h = heard_by(&kit.client);
    assert_says(&h, "Content-Encoding: gzip", true);
}

static void servers_need_not_know(void **state)
{
    asks("GET /bare", BOTH);
    assert_null(strcasestr(kit_heard(&kit.leg[0]), "accept-encoding"));
    server_says(0, OK);
    asks("GET /", BOTH);
    assert_non_null(strstr(kit_heard(&kit.leg[0]), "Accept-Encoding: gzip, br\r\n"));
}

/* Each is there when it was said, though nothing ended yet. */
static void pieces_leave_as_they_come(void **state)
{
    static const char *const fields[] = {GZIP, "Accept-Encoding: br\r\n"};
    for (int which = 0; which < 2; which++) {
        char said[1000], chunk[100];
        bool whole = false;
        struct nu_coder *d = nu_decoder_new(which ? NU_CODING_BROTLI : NU_CODING_GZIP, 1 << 20);
        body_words(said, sizeof said, 7);
        asks("GET /", fields[which]);
        server_says(0, "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n");
        forget(&kit.client);
        for (size_t at = 0; at < sizeof said; at += 50) {
            snprintf(chunk, sizeof chunk, "32\r\n%.50s\r\n", said + at);
            server_says(0, chunk);
            struct body coded = body_dechunked(kit.client.got, kit.client.len, &whole);
            struct body plain = body_run(d, coded.data, coded.len, NU_CODE_RUN, NU_CODE_MORE);
            assert_int_equal(plain.len, 50);
            assert_memory_equal(plain.data, said + at, 50);
            body_free(&coded);
            body_free(&plain);
            forget(&kit.client);
        }
        server_says(0, "0\r\n\r\n");
        struct body last = body_dechunked(kit.client.got, kit.client.len, &whole);
        assert_true(whole);
        body_free(&last);
        nu_coder_free(d);
        forget(&kit.client);
    }
}

/* A client that stops reading stops the server; what lies about meanwhile is little. */
static void a_slow_client_holds_the_server(void **state)
{
    static char words[200000];
    bool whole;
    body_words(words, sizeof words, 3);
    asks("GET /", GZIP);
    kit_say(&kit.leg[0], "HTTP/1.1 200 x\r\nContent-Length: 200000\r\n\r\n");
    nu_outside_hold(kit.client.probe.self, NU_REV, true);
    body_say(&kit.leg[0], "", words, 20000, 20000);
    assert_true(nu_blocked(kit.leg[0].probe.self, NU_REV));
    nu_outside_hold(kit.client.probe.self, NU_REV, false);
    kit_turn();
    assert_false(nu_blocked(kit.leg[0].probe.self, NU_REV));
    body_say(&kit.leg[0], "", words + 20000, sizeof words - 20000, 9000);
    struct heard h = heard_by(&kit.client);
    struct body coded = body_dechunked(h.body, h.len, &whole);
    struct body plain = body_decoded(NU_CODING_GZIP, coded.data, coded.len);
    assert_true(whole);
    assert_int_equal(plain.len, sizeof words);
    assert_memory_equal(plain.data, words, sizeof words);
    body_free(&coded);
    body_free(&plain);
}

/* What came is sent, and it does not look whole. */
static void a_cut_response_stays_cut(void **state)
{
    asks("GET /", GZIP);
    server_says(0, "HTTP/1.1 200 x\r\nContent-Length: 200\r\n\r\nhalf of it");
    size_t before = kit.client.len;
    kit_finish(&kit.leg[0], NU_CAUSE_UPSTREAM_RST);
    assert_int_equal(kit.client.ends, 1);
    assert_int_not_equal(kit.client.result.how, NU_CLEAN);
    assert_int_equal(kit.client.len, before);
    struct heard h = heard_by(&kit.client);
    bool whole;
    struct body coded = body_dechunked(h.body, h.len, &whole);
    assert_false(whole);
    struct nu_coder *d = nu_decoder_new(NU_CODING_GZIP, 1 << 20);
    struct body plain = body_run(d, coded.data, coded.len, NU_CODE_RUN, NU_CODE_MORE);
    assert_int_equal(plain.len, 10);
    nu_coder_free(d);
    body_free(&coded);
    body_free(&plain);
}

/* The turn's flush finds nothing to say behind the end, though the request goes on. */
static void nothing_follows_a_cut(void **state)
{
    static const char *const fields[] = {GZIP, "Accept-Encoding: br\r\n"};
    for (int which = 0; which < 2; which++) {
        char text[512];
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: h\r\n%sContent-Length: 99\r\n\r\na",
                 fields[which]);
        client_says(text);
        snprintf(text, sizeof text, "HTTP/1.1 200 x\r\nContent-Length: 200\r\n\r\nhalf of it");
        kit_say_bytes(&kit.leg[kit.legs - 1], text, strlen(text));
        kit_finish(&kit.leg[kit.legs - 1], NU_CAUSE_UPSTREAM_RST);
        nu_loop_advance(&kit.loop, 10);
        assert_int_equal(kit.client.ends, 1);
        kit_abort(&kit.client);
        kit_turn();
        kit_client();
    }
}

static void trailers_follow_the_rest(void **state)
{
    asks("GET /", GZIP "TE: trailers\r\n");
    server_says(
        0, "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: 1\r\n\r\n");
    assert_memory_equal(kit.client.got + kit.client.len - 13, "\r\n0\r\nx: 1\r\n\r\n", 13);
}

static void tunnels_are_left_alone(void **state)
{
    asks("GET /", GZIP "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    server_says(0, "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nplain");
    struct heard h = heard_by(&kit.client);
    assert_int_equal(h.len, 5);
    assert_int_equal(figure(COMPRESS_NOT_COMPRESSED), 0);
}

static void mistakes_in_configs(void **state)
{
    assert_filters("[compress: {codings: [gzip, gzip]}]",
                   "t.yaml:1:21: filters[0].compress: codings: \"gzip\" stands there twice\n"
                   "    1 | filters: [compress: {codings: [gzip, gzip]}]\n"
                   "      |                     ^\n");
}

int main(void)
{
    filter_registered(&nu_filter_compress);
    const struct CMUnitTest tests[] = {
        FILTER_TEST(whom_it_is_for),
        FILTER_TEST(heads_say_what_it_is_now),
        FILTER_TEST(what_is_short_stays),
        FILTER_TEST(servers_need_not_know),
        FILTER_TEST(pieces_leave_as_they_come),
        FILTER_TEST(a_slow_client_holds_the_server),
        FILTER_TEST(a_cut_response_stays_cut),
        FILTER_TEST(nothing_follows_a_cut),
        FILTER_TEST(trailers_follow_the_rest),
        FILTER_TEST(tunnels_are_left_alone),
        FILTER_TEST(mistakes_in_configs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
