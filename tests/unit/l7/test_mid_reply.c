/* Answers from the middle of a stream's chain: whenever they come, the client gets one whole
 * response, no server is asked any more, and the connection serves the next request if it can. All
 * of it with filters beside the answering one that check, cut, hold or are late. */
#include "tests/unit/l7/proxy_kit.h"

#include "l7/local_reply.h"
#include "l7/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "routes: [{match: {path: /own}, respond: {status: 200, body: own}}, {cluster: c}]\n"
#define ASK(how)  how " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(len) "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " len "\r\n\r\n"
#define OK        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok"
#define NO        "429 Too Many Requests\r\n"

/* When the filter answers: at the count-th event of a kind, or later, from outside. */
static struct when {
    enum nu_dir dir;
    enum nu_kind kind;
    unsigned count; /* 0 = later, from outside */
    bool forward;   /* that event first */
} when;

/* Beside the answering filter: to its left, to its right. */
static struct {
    const struct nu_filter_type *left, *right;
} beside;

static struct nu_probe answerer;
static unsigned answered;

static void answer(struct nu_filter *f)
{
    struct nu_stream *s = nu_stream_of(f);
    answered++;
    nu_stream_flag(s, NU_FLAG_RATE_LIMITED);
    nu_local_reply(f, 429, NU_TEXT("slow down"), "test_said_no");
    assert_string_equal(s->details, "test_said_no");
    assert_true(s->local);
}

static void answer_at(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    bool now = dir == when.dir && ev->kind == when.kind && when.count > 0 && --when.count == 0;
    if (!now || when.forward)
        nu_forward(f, dir, ev);
    else
        nu_ev_free(ev);
    if (now)
        answer(f);
}

static unsigned expand(const struct nu_place *places, unsigned count, struct nu_place *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        if (places[i].type == &nu_router) {
            if (beside.left)
                out[n++] = (struct nu_place){beside.left, NULL};
            out[n++] = (struct nu_place){&nu_pedant, NULL};
            out[n++] = (struct nu_place){&nu_probe, &answerer};
            out[n++] = (struct nu_place){&nu_pedant, NULL};
            if (beside.right)
                out[n++] = (struct nu_place){beside.right, NULL};
        }
        out[n++] = places[i];
    }
    return n;
}

/* Time enough for every filter to let go of what it holds. */
static void wait_for_all(void)
{
    for (int i = 0; i < 20; i++)
        nu_loop_advance(&kit.loop, 10);
}

static void says(const char *text)
{
    client_says(text);
    wait_for_all();
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" has no \"%s\"", text, part);
}

/* One whole answer; whether the connection stays. */
static void assert_refused(bool stays)
{
    const char *got = client();
    assert_int_equal(answered, 1);
    assert_int_equal(strncmp(got, "HTTP/1.1 " NO, strlen("HTTP/1.1 " NO)), 0);
    assert_has(got, "\r\nContent-Length: 9\r\n");
    assert_has(got, "\r\n\r\nslow down");
    assert_int_equal(!strstr(got, "close"), stays);
    assert_int_equal(kit.client.ends, !stays);
    assert_int_equal(kit_stat(NU_HTTP_RQ_ACTIVE), 0);
    assert_int_equal(kit_stat(NU_HTTP_RQ_4XX), 1);
    assert_int_equal(kit.ended, kit.legs);
    assert_int_equal(kit.loop.chain_count, stays || !kit.client.said_end ? 1 : 0);
}

/* A next request goes to a server as ever. */
static void assert_serves(void)
{
    when.count = 0;
    says(ASK("GET /next"));
    server_says(kit.legs - 1, OK);
    wait_for_all();
    assert_string_equal(client(), OK);
}

static void answers_at(enum nu_dir dir, enum nu_kind kind, unsigned count)
{
    answered = 0;
    when = (struct when){dir, kind, count, false};
}

static void answers_later(void)
{
    answers_at(NU_FWD, NU_HEAD, 0);
}

static void at_the_head(void **state)
{
    answers_at(NU_FWD, NU_HEAD, 1);
    says(ASK("GET /"));
    assert_refused(true);
    assert_int_equal(kit.legs, 0);
    assert_serves();
}

static void to_head_without_a_body(void **state)
{
    answers_at(NU_FWD, NU_HEAD, 1);
    says(ASK("HEAD /"));
    const char *got = client();
    assert_has(got, "\r\nContent-Length: 9\r\n");
    assert_string_equal(got + strlen(got) - 4, "\r\n\r\n");
    assert_serves();
}

static void before_a_small_body_is_whole(void **state)
{
    answers_at(NU_FWD, NU_HEAD, 1);
    says(POST("10") "12345");
    assert_refused(true);
    says("67890");
    assert_int_equal(kit.legs, 0);
    assert_serves();
}

/* What is left of it is too much to read for nothing, or of unknown length, or may never come. */
static void before_a_large_body_is_whole(void **state)
{
    static const char *const requests[] = {
        POST("1000000") "12345",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        answers_at(NU_FWD, NU_HEAD, 1);
        says(requests[i]);
        assert_has(client(), "\r\nConnection: close\r\n");
        assert_int_equal(kit.client.ends, 1);
        says("rest");
        assert_int_equal(kit.legs, 0);
        kit_finish(&kit.client, NU_CAUSE_CLIENT_FIN);
        assert_int_equal(kit.loop.chain_count, 0);
        kit_client();
    }
}

static void when_a_server_has_part_of_it(void **state)
{
    answers_at(NU_FWD, NU_DATA, 2);
    says(POST("20") "12345");
    says("67890");
    assert_refused(true);
    says("1234567890");
    assert_serves();
}

static void when_a_server_has_all_of_it(void **state)
{
    answers_at(NU_FWD, NU_END, 1);
    when.forward = true;
    says(POST("5") "12345");
    assert_refused(true);
    assert_serves();
}

static void while_a_server_is_asked(void **state)
{
    answers_later();
    says(ASK("GET /"));
    assert_int_equal(kit.legs, 1);
    nu_call(answerer.self, answer);
    wait_for_all();
    assert_refused(true);
    assert_serves();
}

static void while_a_connection_is_made(void **state)
{
    answers_later();
    kit.late = true;
    says(POST("100000") "12345");
    nu_call(answerer.self, answer);
    wait_for_all();
    assert_has(client(), "\r\nConnection: close\r\n");
    assert_int_equal(kit.ended, 1);
}

/* The router holds: what it is told by the chain waits behind the body. */
static void while_the_router_holds(void **state)
{
    static char much[100 * 1000];
    memset(much, 'x', sizeof much);
    answers_later();
    kit.late = true;
    says(POST("120000"));
    kit_say_bytes(&kit.client, much, sizeof much);
    wait_for_all();
    nu_call(answerer.self, answer);
    wait_for_all();
    assert_refused(true);
    assert_int_equal(kit.ended, 1);
}

static void instead_of_a_servers_answer(void **state)
{
    answers_at(NU_REV, NU_HEAD, 1);
    says(ASK("GET /"));
    server_says(0, "HTTP/1.1 103 x\r\n\r\n");
    server_says(0, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n12345");
    wait_for_all();
    assert_int_equal(strncmp(client(), "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 " NO, 27), 0);
    assert_int_equal(kit.ended, 1);
    assert_serves();
}

/* The whole of it comes at once: the router is on the stack, and may be over already. */
static void instead_of_a_whole_answer(void **state)
{
    answers_at(NU_REV, NU_HEAD, 1);
    says(ASK("GET /"));
    server_says(0, OK);
    wait_for_all();
    assert_has(client(), NO);
    assert_serves();
}

static void instead_of_the_routers_own(void **state)
{
    answers_at(NU_REV, NU_HEAD, 1);
    says(ASK("GET /own"));
    assert_refused(true);
    assert_serves();
}

static void to_an_upgrade(void **state)
{
    answers_at(NU_FWD, NU_HEAD, 1);
    says("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    assert_refused(true);
    assert_serves();
}

/* Its client leaves while the answer is under way. */
static void to_nobody(void **state)
{
    beside.left = &nu_late;
    answers_at(NU_FWD, NU_DATA, 1);
    client_says(POST("10") "12345");
    kit_finish(&kit.client, NU_CAUSE_CLIENT_RST);
    wait_for_all();
    assert_int_equal(kit.loop.chain_count, 0);
}

#define STORIES(X)                                                                                 \
    X(at_the_head)                                                                                 \
    X(to_head_without_a_body)                                                                      \
    X(before_a_small_body_is_whole)                                                                \
    X(before_a_large_body_is_whole)                                                                \
    X(when_a_server_has_part_of_it)                                                                \
    X(when_a_server_has_all_of_it)                                                                 \
    X(while_a_server_is_asked)                                                                     \
    X(while_a_connection_is_made)                                                                  \
    X(while_the_router_holds)                                                                      \
    X(instead_of_a_servers_answer)                                                                 \
    X(instead_of_a_whole_answer)                                                                   \
    X(instead_of_the_routers_own)                                                                  \
    X(to_an_upgrade)                                                                               \
    X(to_nobody)

/* Each story anew with each neighbour on each side. */
static void with_all_neighbours(void (*story)(void **))
{
    static const struct nu_filter_type *const types[] = {NULL,     &nu_shred, &nu_glue,
                                                         &nu_slow, &nu_late,  &nu_deaf};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (size_t j = 0; j < sizeof types / sizeof *types; j++) {
            beside.left = types[i];
            beside.right = types[j];
            kit_begin(CONF);
            kit_client();
            answerer = (struct nu_probe){.name = "answerer", .event = answer_at};
            nu_chain_set_expander(expand);
            story(NULL);
            kit_teardown(NULL);
        }
}

#define STORY(name)                                                                                \
    static void all_##name(void **state)                                                           \
    {                                                                                              \
        with_all_neighbours(name);                                                                 \
    }
STORIES(STORY)

#define TEST(name) cmocka_unit_test(all_##name),

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
