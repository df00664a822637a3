/* x-forwarded-client-cert: the five modes with and without a certificate, Envoy's format, and names
 * that would like to be more than a name. */
#include "core/facts.h"
#include "l7/forwarded.h"
#include "tests/unit/l7/l7_kit.h"

static struct nu_tls_peer peer, ours;
static struct nu_tls_facts tls;
static int details[NU_XFCC_DETAILS];

/* Who is connected, and what is told of him. */
static void given(enum nu_xfcc mode, bool certificate, const char *told)
{
    struct nu_forwarded_conf *c = &kit.conf.forwarded;
    peer = (struct nu_tls_peer){.subject = "CN=me,O=Mesh",
                                .sha256 = "ab12",
                                .dns = "a.test,b.test",
                                .uri = "spiffe://mesh/web",
                                .pem = "-----BEGIN%20CERTIFICATE-----%0A",
                                .chain_pem = "chain%3D"};
    ours = (struct nu_tls_peer){.uri = "spiffe://mesh/edge"};
    tls = (struct nu_tls_facts){.peer = certificate ? &peer : NULL, .local = &ours};
    kit.facts.tls = &tls;
    c->xfcc = (int)mode;
    c->xfcc_details = (struct nu_vec){details, 0};
    for (int i = 0; i < NU_XFCC_DETAILS; i++)
        if (strstr(told, nu_xfcc_detail_str((enum nu_xfcc_detail)i)))
            details[c->xfcc_details.count++] = i;
}

/* What the server is told where the client sent these lines. */
static const char *told(const char *sent)
{
    char lines[4096];
    if (kit.stream.request)
        nu_http_head_drop(kit.stream.request);
    snprintf(lines, sizeof lines, "GET / HTTP/1.1\nHost: a.test\n%s", sent);
    kit_request(lines);
    nu_forwarded_request(&kit.conf.forwarded, &kit.stream, &kit.facts);
    const char *value = kit_value(kit.stream.request, "x-forwarded-client-cert");
    return value ? value : "-";
}

static void five_modes(void **state)
{
    static const struct {
        enum nu_xfcc mode;
        const char *with, *without; /* a certificate */
    } rows[] = {
        {NU_XFCC_SANITIZE,       "-",                                    "-"   },
        {NU_XFCC_FORWARD_ONLY,   "By=x",                                 "-"   },
        {NU_XFCC_APPEND_FORWARD, "By=x,By=spiffe://mesh/edge;Hash=ab12", "-"   },
        {NU_XFCC_SANITIZE_SET,   "By=spiffe://mesh/edge;Hash=ab12",      "-"   },
        {NU_XFCC_ALWAYS_FORWARD, "By=x",                                 "By=x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        given(rows[i].mode, true, "");
        assert_string_equal(told("X-Forwarded-Client-Cert: By=x\n"), rows[i].with);
        given(rows[i].mode, false, "");
        assert_string_equal(told("X-Forwarded-Client-Cert: By=x\n"), rows[i].without);
        kit.facts.tls = NULL;
        assert_string_equal(told("X-Forwarded-Client-Cert: By=x\n"), rows[i].without);
    }
}

static void details_in_envoys_order(void **state)
{
    given(NU_XFCC_SANITIZE_SET, true, "dns uri subject chain cert");
    assert_string_equal(told(""), "By=spiffe://mesh/edge;Hash=ab12;"
                                  "Cert=\"-----BEGIN%20CERTIFICATE-----%0A\";Chain=\"chain%3D\";"
                                  "Subject=\"CN=me,O=Mesh\";URI=spiffe://mesh/web;DNS=a.test;"
                                  "DNS=b.test");
    given(NU_XFCC_SANITIZE_SET, true, "dns uri subject chain cert");
    peer = (struct nu_tls_peer){.subject = "", .sha256 = "ab", .uri = "", .dns = ""};
    tls.local = NULL;
    assert_string_equal(told(""), "Hash=ab;Subject=\"\";URI=");
    ours.uri = "u:1,u:2";
    tls.local = &ours;
    assert_string_equal(told(""), "By=u:1;By=u:2;Hash=ab;Subject=\"\";URI=");
}

/* What stands in a certificate is its owner's choice. */
static void names_stay_names(void **state)
{
    static const struct {
        const char *subject, *uri, *told;
    } rows[] = {
        {"CN=\\\"a\\\"",       "u:a",          "Subject=\"CN=\\\"a\\\"\";URI=u:a"          },
        {"CN=a\";Hash=0;X=\"", "u:a",          "Subject=\"CN=a\\\";Hash=0;X=\\\"\";URI=u:a"},
        {"CN=cut\\",           "u:a",          "Subject=\"CN=cut\\\\\";URI=u:a"            },
        {"CN=a",               "u:a;Hash=0",   "Subject=\"CN=a\";URI=\"u:a;Hash=0\""       },
        {"CN=a",               "u:a\";Hash=0", "Subject=\"CN=a\";URI=\"u:a\\\";Hash=0\""   },
        {"CN=a",               "u:\\x2cBy=x",  "Subject=\"CN=a\";URI=\"u:\\\\x2cBy=x\""    },
        {"CN=a",               "u:a\\",        "Subject=\"CN=a\";URI=\"u:a\\\\\""          },
        {"CN=a",               "u:a?b=c,u:d",  "Subject=\"CN=a\";URI=\"u:a?b=c\";URI=u:d"  },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[256];
        given(NU_XFCC_SANITIZE_SET, true, "subject uri");
        peer.subject = rows[i].subject;
        peer.uri = rows[i].uri;
        snprintf(expected, sizeof expected, "By=spiffe://mesh/edge;Hash=ab12;%s", rows[i].told);
        assert_string_equal(told(""), expected);
    }
    given(NU_XFCC_SANITIZE_SET, true, "subject");
    peer.subject = "CN=a\r\nx-evil: 1";
    assert_string_equal(told("X-Forwarded-Client-Cert: By=x\n"), "-");
}

static void what_came_cannot_swallow_ours(void **state)
{
    static const char own[] = "By=spiffe://mesh/edge;Hash=ab12";
    static const struct {
        const char *sent;
        bool kept;
    } rows[] = {
        {"By=a;Subject=\"x",           false},
        {"By=a;Subject=\"x\\\"",       false},
        {"By=a;Subject=\"x\"\"",       false},
        {"By=a;Subject=\"x\\\\\"",     true },
        {"By=a;Subject=\"\\\"x\\\"\"", true },
        {"By=a\\",                     true },
        {"",                           false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char sent[256], expected[256];
        given(NU_XFCC_APPEND_FORWARD, true, "");
        snprintf(sent, sizeof sent, "X-Forwarded-Client-Cert: %s\n", rows[i].sent);
        snprintf(expected, sizeof expected, "%s%s%s", rows[i].kept ? rows[i].sent : "",
                 rows[i].kept ? "," : "", own);
        assert_string_equal(told(sent), expected);
    }
    given(NU_XFCC_APPEND_FORWARD, true, "");
    assert_string_equal(told("X-Forwarded-Client-Cert: By=a\nX-Forwarded-Client-Cert: By=b\n"),
                        "By=a,By=b,By=spiffe://mesh/edge;Hash=ab12");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(five_modes),
        KIT_TEST(details_in_envoys_order),
        KIT_TEST(names_stay_names),
        KIT_TEST(what_came_cannot_swallow_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
