/* decompress: which bodies, of requests and of responses; what is no such body; bombs; what blocks
 * and what is cut. */
#include "tests/unit/l7/filters/body_kit.h"

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "filters: [decompress]\n"                                                                      \
    "routes: [{match: {path: /requests}, cluster: c, filters: {decompress: {direction: request}}}" \
    ", {match: {path: /responses}, cluster: c, filters: {decompress: {direction: response, "       \
    "codings: brotli, ignore_no_transform: true}}}, "                                              \
    "{match: {path: /small}, cluster: c, filters: {decompress: {max_size: 1000}}}, "               \
    "{match: {path: /any}, cluster: c, filters: {decompress: {max_ratio: 0, "                      \
    "advertise_accept_encoding: false}}}, {cluster: c}]\n"
#define LONG "a text of more than thirty letters: it is worth the while of a coder"

enum { DONE, NOT_DONE, PLAIN_BYTES, CODED_BYTES, BAD, OVER, RESPONSE };

static int64_t figure(unsigned index)
{
    return figure_of(&nu_decompress_stats, "http.ingress.decompressor", index);
}

/* A request with this body. */
static void sends(const char *path, const char *fields, const struct body *b, size_t step)
{
    char head[512];
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n",
             path, fields, b->len);
    body_say(&kit.client, head, b->data, b->len, step);
}

/* A response with this one. */
static void serves(const char *fields, const struct body *b, size_t step)
{
    char head[512];
    snprintf(head, sizeof head, "HTTP/1.1 200 x\r\nDate: x\r\n%sContent-Length: %zu\r\n\r\n",
             fields, b->len);
    body_say(&kit.leg[kit.legs - 1], head, b->data, b->len, step);
}

static void assert_plain(struct kit_peer *peer, const void *want, size_t len)
{
    bool whole;
    struct heard h = heard_by(peer);
    assert_says(&h, "Content-Encoding", false);
    assert_says(&h, "Content-Length", false);
    assert_says(&h, "Transfer-Encoding: chunked", true);
    struct body plain = body_dechunked(h.body, h.len, &whole);
    assert_true(whole);
    assert_int_equal(plain.len, len);
    assert_memory_equal(plain.data, want, len);
    body_free(&plain);
    forget(peer);
}

static void both_ways(void **state)
{
    struct body gzip = body_coded(NU_CODING_GZIP, LONG, strlen(LONG));
    struct body br = body_coded(NU_CODING_BROTLI, LONG, strlen(LONG));
    for (size_t step = 1; step < 30; step += 7) {
        sends("/", "Content-Encoding: br\r\n", &br, step);
        assert_plain(&kit.leg[kit.legs - 1], LONG, strlen(LONG));
        serves("Content-Encoding: x-gzip\r\nETag: \"x\"\r\n", &gzip, step);
        struct heard h = heard_by(&kit.client);
        assert_says(&h, "\r\netag: W/\"x\"\r\n", true);
        assert_plain(&kit.client, LONG, strlen(LONG));
    }
    assert_int_equal(figure(DONE), 5);
    assert_int_equal(figure(RESPONSE + DONE), 5);
    assert_int_equal(figure(PLAIN_BYTES), 5 * strlen(LONG));
    assert_int_equal(figure(RESPONSE + CODED_BYTES), 5 * gzip.len);
    body_free(&gzip);
    body_free(&br);
}

/* Path, fields of the message; by row, it stays as it is. */
static const struct {
    const char *path, *status, *fields;
    bool request;
} stays[] = {
    {"/",          "",    "Content-Encoding: zstd\r\n",                                 true },
    {"/",          "",    "Content-Encoding: gzip, br\r\n",                             true },
    {"/",          "",    "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n",       true },
    {"/",          "",    "",                                                           true },
    {"/",          "",    "Content-Encoding: gzip\r\nCache-Control: no-transform\r\n",  true },
    {"/responses", "",    "Content-Encoding: gzip\r\n",                                 true },
    {"/",          "200", "Content-Encoding: gzip\r\nCache-Control: no-transform\r\n",  false},
    {"/",          "206", "Content-Encoding: gzip\r\n",                                 false},
    {"/",          "200", "Content-Encoding: gzip\r\nContent-Range: bytes 0-67/90\r\n", false},
    {"/requests",  "200", "Content-Encoding: gzip\r\n",                                 false},
    {"/responses", "200", "Content-Encoding: gzip\r\n",                                 false},
};

static void what_stays(void **state)
{
    struct body plain = {(uint8_t *)LONG, strlen(LONG)}, none = {NULL, 0};
    for (size_t i = 0; i < sizeof stays / sizeof *stays; i++) {
        char text[512];
        sends(stays[i].path, stays[i].request ? stays[i].fields : "",
              stays[i].request ? &plain : &none, 100);
        struct heard h = heard_by(&kit.leg[kit.legs - 1]);
        if (stays[i].request)
            assert_memory_equal(h.body, LONG, h.len);
        forget(&kit.leg[kit.legs - 1]);
        snprintf(text, sizeof text, "HTTP/1.1 %s x\r\n%sContent-Length: %zu\r\n\r\n%s",
                 stays[i].request ? "200" : stays[i].status,
                 stays[i].request ? "" : stays[i].fields, strlen(LONG), LONG);
        server_says(kit.legs - 1, text);
        h = heard_by(&kit.client);
        assert_int_equal(h.len, strlen(LONG));
        assert_memory_equal(h.body, LONG, h.len);
        forget(&kit.client);
    }
    assert_int_equal(figure(DONE) + figure(RESPONSE + DONE), 0);
    assert_int_equal(figure(NOT_DONE), 5);
}

static void servers_are_told(void **state)
{
    asks("GET /", "Accept-Encoding: zstd\r\n");
    const char *got = kit_heard(&kit.leg[0]);
    assert_non_null(strstr(got, "Accept-Encoding: zstd\r\n"));
    assert_non_null(strstr(got, "accept-encoding: gzip, br\r\n"));
    server_says(0, OK);
    asks("GET /responses", "");
    assert_non_null(strstr(kit_heard(&kit.leg[0]), "accept-encoding: br\r\n"));
    server_says(0, OK);
    asks("GET /any", "");
    assert_null(strstr(kit_heard(&kit.leg[0]), "accept-encoding"));
    server_says(0, OK);
    asks("GET /requests", "");
    assert_null(strstr(kit_heard(&kit.leg[0]), "accept-encoding"));
}

static void heads_alone_stay(void **state)
{
    asks("HEAD /", "");
    server_says(0, "HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\nContent-Length: 50\r\n\r\n");
    struct heard h = heard_by(&kit.client);
    assert_says(&h, "Content-Encoding: gzip\r\n", true);
    assert_says(&h, "Content-Length: 50\r\n", true);
}

static void a_request_that_is_none_is_refused(void **state)
{
    struct body gzip = body_coded(NU_CODING_GZIP, LONG, strlen(LONG));
    gzip.len -= 3;
    sends("/", "Content-Encoding: gzip\r\n", &gzip, 100);
    struct heard h = heard_by(&kit.client);
    assert_says(&h, "HTTP/1.1 400 ", true);
    gzip.data[3] ^= 0xff;
    forget(&kit.client);
    sends("/", "Content-Encoding: gzip\r\n", &gzip, 100);
    h = heard_by(&kit.client);
    assert_says(&h, "HTTP/1.1 400 ", true);
    assert_int_equal(figure(BAD), 2);
    assert_int_equal(kit.ended, kit.legs); /* no server got it whole */
    body_free(&gzip);
}

static void a_response_that_is_none_is_cut(void **state)
{
    struct body gzip = body_coded(NU_CODING_GZIP, LONG, strlen(LONG));
    gzip.len -= 3;
    asks("GET /", "");
    serves("Content-Encoding: gzip\r\n", &gzip, 100);
    assert_int_equal(kit.client.ends, 1);
    assert_int_not_equal(kit.client.result.how, NU_CLEAN);
    assert_int_equal(figure(RESPONSE + BAD), 1);
    body_free(&gzip);
}

/* A little that stands for a lot: the ratio ends it, whoever sends it. */
static void bombs_do_not_go_off(void **state)
{
    static uint8_t zeros[3 << 20];
    for (int which = 0; which < 2; which++) {
        struct body bomb =
            body_coded(which ? NU_CODING_BROTLI : NU_CODING_GZIP, zeros, sizeof zeros);
        const char *field = which ? "Content-Encoding: br\r\n" : "Content-Encoding: gzip\r\n";
        sends("/", field, &bomb, 1000);
        struct heard h = heard_by(&kit.client);
        assert_says(&h, "HTTP/1.1 413 ", true);
        assert_true(kit.leg[kit.legs - 1].len < 300 * 1024);
        assert_int_equal(figure(OVER), which + 1);
        body_free(&bomb);
        kit_abort(&kit.client);
        kit_turn();
        kit_client();
    }
    struct body bomb = body_coded(NU_CODING_GZIP, zeros, sizeof zeros);
    asks("GET /", "");
    serves("Content-Encoding: gzip\r\n", &bomb, 1 << 20);
    assert_int_equal(kit.client.ends, 1);
    assert_int_not_equal(kit.client.result.how, NU_CLEAN);
    assert_int_equal(figure(RESPONSE + OVER), 1);
    body_free(&bomb);
}

static void a_ratio_may_be_any_and_a_size_may_be_capped(void **state)
{
    static uint8_t zeros[1 << 20];
    struct body large = body_coded(NU_CODING_GZIP, zeros, sizeof zeros);
    struct body fits = body_coded(NU_CODING_GZIP, zeros, 1000);
    struct body over = body_coded(NU_CODING_GZIP, zeros, 1001);
    sends("/any", "Content-Encoding: gzip\r\n", &large, 1 << 20);
    server_says(kit.legs - 1, OK);
    struct heard h = heard_by(&kit.client);
    assert_says(&h, "HTTP/1.1 200 ", true);
    forget(&kit.client);
    forget(&kit.leg[kit.legs - 1]);
    sends("/small", "Content-Encoding: gzip\r\n", &fits, 100);
    assert_plain(&kit.leg[kit.legs - 1], zeros, 1000);
    server_says(kit.legs - 1, OK);
    forget(&kit.client);
    sends("/small", "Content-Encoding: gzip\r\n", &over, 100);
    h = heard_by(&kit.client);
    assert_says(&h, "HTTP/1.1 413 ", true);
    body_free(&large);
    body_free(&fits);
    body_free(&over);
}

/* Whoever does not read stops the making: a small part of it lies about. */
static void who_does_not_read_is_not_flooded(void **state)
{
    static char words[1000000];
    bool whole;
    body_words(words, 1000, 5);
    for (size_t at = 1000; at < sizeof words; at += 1000)
        memcpy(words + at, words + at % 7000, 1000);
    struct body br = body_coded(NU_CODING_BROTLI, words, sizeof words);
    asks("GET /any", "");
    kit_say(&kit.leg[0], "HTTP/1.1 200 x\r\nContent-Encoding: br\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n");
    nu_outside_hold(kit.client.probe.self, NU_REV, true);
    char chunk[32];
    snprintf(chunk, sizeof chunk, "%zx\r\n", br.len);
    body_say(&kit.leg[0], chunk, br.data, br.len, 1 << 20);
    kit_say(&kit.leg[0], "\r\n0\r\n\r\n");
    assert_true(nu_block_pool_lent(kit.loop.blocks) < 200 * 1024);
    assert_true(figure(RESPONSE + PLAIN_BYTES) < 100 * 1024);
    nu_outside_hold(kit.client.probe.self, NU_REV, false);
    kit_turn();
    struct heard h = heard_by(&kit.client);
    assert_int_equal(kit.client.len, KIT_BYTES_MAX); /* what the kit keeps of it */
    assert_int_equal(figure(RESPONSE + PLAIN_BYTES), sizeof words);
    struct body plain = body_dechunked(h.body, 100000, &whole);
    assert_memory_equal(plain.data, words, 90000);
    body_free(&plain);
    body_free(&br);
}

int main(void)
{
    filter_registered(&nu_filter_decompress);
    const struct CMUnitTest tests[] = {
        FILTER_TEST(both_ways),
        FILTER_TEST(what_stays),
        FILTER_TEST(servers_are_told),
        FILTER_TEST(heads_alone_stay),
        FILTER_TEST(a_request_that_is_none_is_refused),
        FILTER_TEST(a_response_that_is_none_is_cut),
        FILTER_TEST(bombs_do_not_go_off),
        FILTER_TEST(a_ratio_may_be_any_and_a_size_may_be_capped),
        FILTER_TEST(who_does_not_read_is_not_flooded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
