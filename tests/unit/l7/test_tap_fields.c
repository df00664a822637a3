/* Fields of the live tap: what connections and requests say, and what a connection alone decides.
 */
#include "l7/tap_fields.h"

#include "l4/cluster.h"
#include "l7/route/route.h"
#include "tests/unit/l7/l7_kit.h"

static const struct nu_tls_peer peer = {.subject = "CN=web",
                                        .issuer = "CN=mesh",
                                        .serial = "0A",
                                        .sha256 = "ab12",
                                        .dns = "a.svc,b.svc",
                                        .uri = "spiffe://mesh/web",
                                        .email = "",
                                        .ip = "10.0.0.1",
                                        .verified = true};
static struct nu_tls_facts tls = {
    .version = "TLSv1.3", .cipher = "AES", .alpn = "h2", .sni = "a.test", .peer = &peer};
static struct nu_facts_more more;

static void known(void)
{
    kit.facts.tls = &tls;
    kit.facts.id = 18;
    kit.facts.listener = "main";
    kit.facts.chain = "default";
    memset(&more, 0, sizeof more);
    assert_int_equal(nu_addr_parse(&kit.facts.local, "192.0.2.1:443", -1), NU_OK);
}

static enum nu_where_answer ask(const char *text, bool early, const struct nu_stream *stream)
{
    char *error;
    struct nu_where *w = nu_where_new(&nu_tap_fields, "tap", text, &error);
    if (!w)
        fail_msg("%s", error);
    const struct nu_tap_record record = {.facts = &kit.facts, .stream = stream};
    enum nu_where_answer is = early                         ? nu_tap_asks_early(w, &kit.facts)
                              : nu_where_passes(w, &record) ? NU_WHERE_YES
                                                            : NU_WHERE_NO;
    assert_int_equal(nu_tap_asks_requests(w), nu_where_stages(w) & NU_TAP_AT_REQUEST ? 1 : 0);
    nu_where_free(w);
    return is;
}

static void all(const char *const *texts, size_t count, bool early, const struct nu_stream *stream,
                enum nu_where_answer is)
{
    for (size_t i = 0; i < count; i++)
        if (ask(texts[i], early, stream) != is)
            fail_msg("%s is not %s", texts[i], nu_where_answer_str(is));
}
#define ALL(texts, early, stream, is) all(texts, sizeof(texts) / sizeof *(texts), early, stream, is)

/* One row per field, so that none is got from another place. */
static void connections(void **state)
{
    static const char *const rows[] = {
        "id == 18 && listener == 'main' && chain == 'default'",
        "client == '203.0.113.0/24' && client == '203.0.113.5:999'",
        "peer == '203.0.113.5:999' && !source",
        "server == '192.0.2.1:443' && port == 443",
        "tls && sni == 'a.test' && alpn == 'h2' && version == 'TLSv1.3' && cipher == 'AES'",
        "peer_verified && peer_subject == 'CN=web' && peer_issuer == 'CN=mesh'",
        "peer_serial == '0A' && peer_sha256 == 'ab12' && peer_ip == '10.0.0.1' && !peer_email",
        "peer_dns contains 'b.svc' && peer_uri == 'spiffe://mesh/web'",
        "!ja3 && !ja4 && !alpn_offered",
    };
    known();
    ALL(rows, true, NULL, NU_WHERE_YES);
    ALL(rows, false, NULL, NU_WHERE_YES);
    (void)state;
}

/* TLS that is passed on, behind a PROXY header. */
static void sniffed_connections(void **state)
{
    static const char *const rows[] = {
        "tls && sni == 'b.test' && alpn_offered == 'h2,http/1.1'",
        "ja3 == 'three' && ja4 == 'four'",
        "!alpn && !version && !cipher && !peer_subject && !peer_verified",
        "source == '203.0.113.5' && client == '203.0.113.5' && peer == '127.0.0.1:7'",
    };
    static const char *const plain[] = {"!tls && !sni && !alpn && !peer_dns && !source"};
    known();
    kit.facts.tls = NULL;
    more = (struct nu_facts_more){.sni = "b.test",
                                  .alpn = "h2,http/1.1",
                                  .ja3 = "three",
                                  .ja4 = "four",
                                  .transport = NU_TRANSPORT_TLS};
    assert_int_equal(nu_addr_parse(&more.direct, "127.0.0.1:7", -1), NU_OK);
    kit.facts.more = &more;
    ALL(rows, true, NULL, NU_WHERE_YES);
    kit.facts.more = NULL;
    ALL(plain, true, NULL, NU_WHERE_YES);
    (void)state;
}

static void requests(void **state)
{
    static struct nu_cluster web = {.name = "web"}, chosen = {.name = "chosen"};
    static const struct nu_route_share shares[] = {
        {"web",    1, &web   },
        {"chosen", 1, &chosen}
    };
    struct nu_route route = {.name = "api", .shares = shares, .share_count = 1};
    static const char *const rows[] = {
        "method == 'POST' && proto == 'h1' && host == 'a.test:80' && id == 18",
        "target == '/a?b=c' && path == '/a' && !upgrade",
        "request.x-one == '1' && request.X-ONE == '1' && !request.x-two",
        "route == 'api' && cluster == 'web'",
    };
    known();
    kit_request("POST /a?b=c HTTP/1.1\nHost: a.test:80\nX-One: 1\nX-One: 2\n");
    kit.stream.route = &route;
    ALL(rows, false, &kit.stream, NU_WHERE_YES);
    ALL(rows, false, NULL, NU_WHERE_NO);

    route.share_count = 2; /* by weight: nobody knows yet */
    assert_int_equal(ask("cluster", false, &kit.stream), NU_WHERE_NO);
    kit.stream.cluster = &chosen;
    assert_int_equal(ask("cluster == 'chosen'", false, &kit.stream), NU_WHERE_YES);
    kit.stream.grpc = true;
    assert_int_equal(ask("proto == 'grpc'", false, &kit.stream), NU_WHERE_YES);
    kit.stream.request->version = NU_HTTP_2;
    kit.stream.grpc = false;
    assert_int_equal(ask("proto == 'h2'", false, &kit.stream), NU_WHERE_YES);
    kit.exchange.cluster = "of bytes";
    kit.facts.exchange = &kit.exchange;
    assert_int_equal(ask("cluster == 'of bytes' && !route", false, NULL), NU_WHERE_YES);
    (void)state;
}

/* CONNECT has no path, an upgrade a protocol. */
static void odd_requests(void **state)
{
    known();
    kit_request("CONNECT a.test:443 HTTP/1.1\nHost: a.test:443\n");
    assert_int_equal(ask("target == 'a.test:443' && host == 'a.test:443'", false, &kit.stream),
                     NU_WHERE_YES);
    nu_http_head_drop(kit.stream.request);
    kit_request("GET /chat HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket\n");
    assert_int_equal(ask("upgrade == 'websocket'", false, &kit.stream), NU_WHERE_YES);
    nu_http_head_drop(kit.stream.request);
    kit.stream.request = NULL; /* one that could not be read */
    assert_int_equal(
        ask("method || host || path || proto || request.host || route", false, &kit.stream),
        NU_WHERE_NO);
    (void)state;
}

/* What the begin of a connection decides for all that is in it. */
static void early(void **state)
{
    static const char *const later[] = {"method == 'GET'", "!host", "sni == 'a.test' && request.x",
                                        "route == 'a' || cluster == 'b' || upgrade",
                                        "proto == 'h1' && target && path"};
    static const char *const never[] = {"sni == 'b.test' && method == 'GET'",
                                        "method == 'GET' && listener != 'main'"};
    static const char *const always[] = {"sni == 'a.test' || method == 'GET'", "chain"};
    known();
    ALL(later, true, NULL, NU_WHERE_LATER);
    ALL(never, true, NULL, NU_WHERE_NO);
    ALL(always, true, NULL, NU_WHERE_YES);
    (void)state;
}

/* Names are few enough to be guessed from, and the list has all of them. */
static void listed(void **state)
{
    char *text, *error;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    nu_where_print(&nu_tap_fields, out);
    fclose(out);
    for (size_t i = 0; i < nu_tap_fields.count; i++) {
        assert_non_null(strstr(text, nu_tap_fields.field[i].name));
        assert_true(nu_tap_fields.field[i].stage);
        assert_true(strlen(nu_tap_fields.field[i].name) <= 14);
    }
    assert_non_null(strstr(text, "\n  request.NAME   a text "));
    free(text);
    assert_null(nu_where_new(&nu_tap_fields, "tap", "chainn == 'a'", &error));
    assert_string_equal(error,
                        "tap:1:1: unknown field \"chainn\" (nuncio ctl tap --help lists them)\n"
                        "    1 | chainn == 'a'\n      | ^^^^^^ did you mean \"chain\"?\n");
    free(error);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(connections), KIT_TEST(sniffed_connections),
        KIT_TEST(requests),    KIT_TEST(odd_requests),
        KIT_TEST(early),       KIT_TEST(listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
