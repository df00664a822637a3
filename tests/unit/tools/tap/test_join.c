/* --join over exchanges made by hand: who is tied to whom, and that nobody else is. A story is a
 * table of exchanges with their times; each is told when it is over, as the tap does it. */
#include "tools/tap/exchange.h"
#include "tools/tap/join.h"
#include "tools/tap/join_match.h"
#include "tools/tap/tap_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Rows end where nothing more is to be said. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define LEGS_MAX 64
#define MS       INT64_C(1000000)
#define START    (1700000000 * INT64_C(1000000000))

/* Times are milliseconds: first byte, first and last byte of the answer. */
struct leg {
    const char *client, *server, *host, *target;
    int from, answer, end;
    unsigned status;
    const char *fields;        /* "name: value\n..." of the request */
    const char *source;        /* of the PROXY header; or NULL */
    size_t body;               /* of the response */
    const char *method, *more; /* NULL: GET; fields of the response */
};

#define CLIENT "10.0.0.9:4000"
#define EDGE   "10.0.0.1:80"
#define PROXY  "10.0.0.1:5000"
#define ORIGIN "10.0.0.2:8080"

struct story {
    struct tap *tap;
    struct tap_join *join;
    struct nu_flow flow[LEGS_MAX];
    struct tap_conn conn[LEGS_MAX];
    struct tap_open *open[LEGS_MAX];
    char diary[1024];
    const int *truth; /* of each, which one is behind it, or -1; instead of a diary */
    int ties;
};

static void note(void *ctx, const struct tap_exchange *x)
{
    struct story *s = ctx;
    size_t at = strlen(s->diary);
    int back = x->tie && x->tie->back ? (int)x->tie->back->conn->flow->number - 1 : -1;
    if (back >= 0)
        s->ties++;
    if (s->truth) {
        assert_true(back < 0 || s->truth[x->conn->flow->number - 1] == back);
        return;
    }
    if (x->tie && x->tie->back)
        snprintf(s->diary + at, sizeof s->diary - at, "%d>%d %s, ", (int)x->conn->flow->number,
                 (int)x->tie->back->conn->flow->number, x->tie->by);
    if (x->tie && x->tie->back)
        assert_ptr_equal(x->tie->back->tie->front, x);
}

static const struct tap_sink diary = {.exchange = note};

static struct nu_text text(const char *at)
{
    return nu_text(at ? at : "", at ? strlen(at) : 0);
}

static void add_fields(struct nu_http_head *head, const char *fields)
{
    while (fields && *fields) {
        size_t name = strcspn(fields, ":"), line = strcspn(fields, "\n");
        nu_http_add(head, nu_text(fields, name), nu_text(fields + name + 2, line - name - 2));
        fields += line + (fields[line] == '\n');
    }
}

static void begin(struct story *s, const struct leg *leg, int i)
{
    struct nu_arena *arena = nu_arena_new(512);
    struct nu_http_head *head = nu_http_head_new(arena);
    assert_false(nu_addr_parse(&s->flow[i].end[0], leg->client, 0));
    assert_false(nu_addr_parse(&s->flow[i].end[1], leg->server, 0));
    if (leg->source)
        assert_false(nu_addr_parse(&s->conn[i].source, leg->source, 0));
    s->flow[i].number = (uint64_t)i + 1;
    s->conn[i].tap = s->tap;
    s->conn[i].flow = &s->flow[i];
    s->open[i] = tap_open_new(&s->conn[i], TAP_H1);
    head->method = text(leg->method ? leg->method : "GET");
    head->authority = text(leg->host);
    head->target = text(leg->target);
    if (leg->method && strcmp(leg->method, "CONNECT") == 0)
        head->protocol = NU_TEXT("websocket");
    if (leg->fields && strncmp(leg->fields, "Upgrade", 7) == 0)
        head->upgrade = NU_TEXT("websocket");
    add_fields(head, leg->fields);
    s->open[i]->x.message[0].first_ns = START + leg->from * MS;
    tap_open_head(s->open[i], 0, arena, head);
    tap_open_over(s->open[i], 0, true, START + leg->from * MS);
}

static void finish(struct story *s, const struct leg *leg, int i)
{
    static const uint8_t body[64];
    struct tap_open *o = s->open[i];
    s->flow[i].last_ns = START + leg->end * MS;
    if (leg->status) {
        struct nu_arena *arena = nu_arena_new(512);
        struct nu_http_head *head = nu_http_head_new(arena);
        head->status = (uint16_t)leg->status;
        add_fields(head, leg->more);
        o->x.message[1].first_ns = START + leg->answer * MS;
        tap_open_head(o, 1, arena, head);
        tap_open_data(o, 1, (struct nu_piece){body, leg->body});
        tap_open_over(o, 1, true, START + leg->end * MS);
    }
    tap_open_tell(o);
}

/* Each millisecond for itself: what begins, then what ends, the inner ones (later rows) first. */
static void play(struct story *s, const struct leg *legs, int until)
{
    for (int ms = 0; ms < until; ms++) {
        struct nu_capture_event packet = {.time_ns = START + ms * MS};
        for (int i = 0; i < LEGS_MAX && legs[i].client; i++)
            if (legs[i].from == ms)
                begin(s, &legs[i], i);
        for (int i = LEGS_MAX - 1; i >= 0; i--)
            if (legs[i].client && legs[i].end == ms)
                finish(s, &legs[i], i);
        tap_join_sink.packet(s->join, &packet, 0);
    }
}

static void expect(const struct leg *legs, const char *told)
{
    struct story *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->tap = tap_new(TAP_MEMORY_LEAST);
    struct tap_join_conf conf = {&diary, s, 1 << 20, s->tap};
    s->join = tap_join_new(&conf);
    tap_add_sink(s->tap, &tap_join_sink, s->join);
    play(s, legs, 70000);
    tap_finish(s->tap);
    assert_string_equal(s->diary, told);
    assert_int_equal(tap_join_hurried(s->join), 0);
    tap_free(s->tap);
    tap_join_free(s->join);
    free(s);
}

#define STORY(...)                                                                                 \
    (const struct leg[LEGS_MAX + 1])                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define XFF(of) "X-Forwarded-For: " of "\n"

static void test_what_ties(void **state)
{
    /* The client in X-Forwarded-For; the path rewritten. */
    expect(STORY({CLIENT, EDGE, "a.test", "/v1/x?q", 0, 20, 21, 200},
                 {PROXY, ORIGIN, "a.test", "/api/x?q", 1, 18, 19, 200, XFF("10.0.0.9")}),
           "1>2 forwarded, ");
    /* Nothing was added, but it went to another server by the same name. */
    expect(STORY({CLIENT, EDGE, "a.test", "/x", 0, 20, 21, 200},
                 {PROXY, ORIGIN, "a.test", "/x", 1, 18, 19, 200}),
           "1>2 request, ");
    /* Host and path rewritten, the client in the PROXY header. */
    expect(STORY({CLIENT, EDGE, "a.test", "/x", 0, 20, 21, 200},
                 {PROXY, ORIGIN, "b.test", "/other", 1, 18, 19, 200, NULL, CLIENT}),
           "1>2 proxy, ");
    /* A value that was made for it. */
    expect(
        STORY({CLIENT, EDGE, "a.test", "/x", 0, 20, 21, 200, "X-Key: 0123456789abcdef\n"},
              {"10.0.0.3:1", ORIGIN, "a.test", "/x", 1, 18, 19, 200, "x-key: 0123456789abcdef\n"}),
        "1>2 value, ");
    /* WebSocket over HTTP/2 in front of HTTP/1. */
    expect(STORY({CLIENT, EDGE, "a.test", "/ws", 0, 20, 20, 200, NULL, NULL, 0, "CONNECT"},
                 {PROXY, ORIGIN, "a.test", "/ws", 1, 18, 18, 101, "Upgrade: websocket\n"}),
           "1>2 request, ");
}

/* On one machine addresses say nothing; but who asks the one server by the other's name goes on. */
static void test_one_machine(void **state)
{
#define HERE(port) "127.0.0.1:" port
    expect(STORY({HERE("4000"), HERE("80"), "a.test", "/x", 0, 20, 21, 200},
                 {HERE("5000"), HERE("8080"), "a.test", "/x", 1, 18, 19, 200}),
           "1>2 request, ");
    expect(STORY({HERE("4000"), HERE("81"), "localhost:81", "/x", 0, 20, 21, 200},
                 {HERE("5000"), HERE("82"), "localhost:82", "/x", 1, 18, 19, 200}),
           "");
    expect(STORY({HERE("4000"), HERE("81"), "localhost", "/x", 0, 20, 21, 200},
                 {HERE("5000"), HERE("80"), "localhost", "/x", 1, 18, 19, 200}),
           "");
    expect(STORY({HERE("4000"), HERE("81"), "a.test", "/x", 0, 20, 21, 200},
                 {HERE("5000"), HERE("82"), "a.test", "/x", 1, 18, 19, 200}),
           "");
    expect(STORY({HERE("4000"), HERE("81"), "a.test", "/x", 0, 20, 21, 200,
                  "X-Key: a-key-of-2023-11\n"},
                 {HERE("5000"), HERE("82"), "b.test", "/x", 1, 18, 19, 200,
                  "X-Key: a-key-of-2023-11\n"}),
           "");
}

#define ROW(...)                                                                                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* Each but the first differs in one thing from what could be the server's side. */
static void test_what_does_not(void **state)
{
    static const struct leg front = ROW(CLIENT, EDGE, "a.test", "/x?q", 10, 30, 31, 200);
    static const struct leg backs[] = {
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 28, 29, 200),
        ROW(PROXY, ORIGIN, "a.test", "/y?q", 11, 28, 29, 200),
        ROW(PROXY, ORIGIN, "a.test", "/x?p", 11, 28, 29, 200),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 28, 29, 500),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 28, 29, 200, NULL, NULL, 9),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 28, 29, 200, NULL, NULL, 0, "POST"),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 9, 28, 29, 200),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 31, 31, 200),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 28, 32, 200),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 0, 29, 0),
        ROW(PROXY, ORIGIN, "b.test", "/x?q", 11, 28, 29, 200),
        ROW("10.0.0.3:1", ORIGIN, "a.test", "/x?q", 11, 28, 29, 200),
        ROW(PROXY, EDGE, "a.test", "/x?q", 11, 28, 29, 200), /* a loop */
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 28, 29, 200, XFF("10.0.0.8")),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 28, 29, 200, XFF("10.0.0.9, 10.0.0.9")),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 28, 29, 200, "Via: 1.1 a, 1.1 b\n"),
        ROW(PROXY, ORIGIN, "a.test", "/x?q", 11, 28, 29, 200, NULL, "10.0.0.9:4001"),
        ROW("10.0.0.3:1", ORIGIN, "b.test", "/y", 11, 28, 29, 200, "x-request-id: 1\n"),
        ROW(PROXY, ORIGIN, "b.test", "/y", 11, 28, 29, 200, "traceparent: 00-1-2-3\n"),
    };
    for (size_t i = 0; i < sizeof backs / sizeof *backs; i++) {
        struct leg legs[LEGS_MAX + 1] = {front, backs[i]};
        bool marked =
            backs[i].fields && !strstr(backs[i].fields, "Via") && !strstr(backs[i].fields, "For");
        legs[0].fields = marked ? backs[i].fields : NULL;
        expect(legs, i ? "" : "1>2 request, ");
    }
}

static void test_alike_at_once(void **state)
{
#define ALIKE(n, from, end, fields)                                                                \
    {                                                                                              \
        "10.0.0.9:400" n, EDGE, "a.test", "/x", from, (end)-1, end, 200, fields                    \
    }
#define ALIKE_BACK(n, from, end, fields)                                                           \
    {                                                                                              \
        "10.0.0.1:500" n, ORIGIN, "a.test", "/x", from, (end)-1, end, 200, fields                  \
    }
    /* Nobody can say which is whose; the third and fourth come alone. */
    expect(STORY(ALIKE("1", 0, 20, NULL), ALIKE_BACK("1", 2, 18, NULL), ALIKE("2", 1, 21, NULL),
                 ALIKE_BACK("2", 3, 17, NULL), ALIKE("1", 200, 210, NULL),
                 ALIKE_BACK("2", 201, 209, NULL)),
           "5>6 request, ");
    /* One in the other: the second is no server side of the first's. */
    expect(STORY(ALIKE("1", 0, 40, NULL), ALIKE_BACK("1", 1, 38, NULL), ALIKE("2", 5, 30, NULL),
                 ALIKE_BACK("2", 7, 20, NULL)),
           "");
    expect(
        STORY(ALIKE("1", 0, 40, "X-Request-Id: 1\n"), ALIKE_BACK("1", 1, 38, "X-Request-Id: 1\n"),
              ALIKE("2", 5, 30, "X-Request-Id: 1\n"), ALIKE_BACK("2", 7, 20, "X-Request-Id: 1\n")),
        "");
    /* The clients are where the server is. */
    expect(STORY({"10.0.0.2:1", "10.0.0.1:81", "a.test", "/x", 0, 40, 41, 200},
                 {"10.0.0.1:2", ORIGIN, "a.test", "/x", 1, 38, 39, 200},
                 {"10.0.0.2:3", "10.0.0.1:81", "a.test", "/x", 5, 30, 31, 200},
                 {"10.0.0.1:4", ORIGIN, "a.test", "/x", 7, 20, 21, 200}),
           "");
    /* By its own name, though: the other one was not. */
    expect(STORY({"10.0.0.9:1", EDGE, "a.test:8080", "/x", 0, 20, 21, 200},
                 {PROXY, ORIGIN, "a.test:8080", "/x", 2, 18, 19, 200}),
           "");
    /* The same with an id, of which the last is worn: another came meanwhile. */
    expect(
        STORY(ALIKE("1", 0, 20, "X-Request-Id: 1\n"), ALIKE_BACK("1", 2, 18, "x-request-id: 1\n"),
              ALIKE("2", 1, 21, "X-Request-Id: 2\n"), ALIKE_BACK("2", 3, 17, "x-request-id: 2\n"),
              ALIKE("3", 1, 22, "X-Request-Id: 3\n"), ALIKE_BACK("3", 4, 16, "x-request-id: 3\n"),
              ALIKE("4", 2, 23, "X-Request-Id: 3\n"), ALIKE_BACK("4", 5, 15, "x-request-id: 3\n")),
        "1>2 id, 3>4 id, ");
    /* Two clients: the address says it. */
    expect(STORY({"10.0.0.8:1", EDGE, "a.test", "/x", 0, 20, 21, 200},
                 {"10.0.0.9:1", EDGE, "a.test", "/x", 1, 20, 21, 200},
                 {PROXY, ORIGIN, "a.test", "/x", 2, 18, 19, 200, XFF("10.0.0.9")},
                 {PROXY, ORIGIN, "a.test", "/x", 3, 18, 19, 200, XFF("10.0.0.8")}),
           "2>3 forwarded, 1>4 forwarded, ");
}

/* The one that is still open could be meant just as well; one with another path could not. */
static void test_those_that_go_on(void **state)
{
    expect(STORY(ALIKE("1", 1, 20, NULL), ALIKE_BACK("1", 2, 18, NULL), ALIKE("2", 0, 5000, NULL)),
           "");
    expect(STORY(ALIKE("1", 1, 20, NULL), ALIKE_BACK("1", 2, 18, NULL), ALIKE("2", 0, 69000, NULL)),
           "");
    expect(STORY(ALIKE("1", 1, 20, NULL), ALIKE_BACK("1", 2, 18, NULL),
                 {"10.0.0.9:1", EDGE, "a.test", "/poll", 0, 4999, 5000, 200}),
           "1>2 request, ");
    /* A slow client takes long for what was sent at once. */
    expect(STORY({CLIENT, EDGE, "a.test", "/x", 0, 20, 50000, 200},
                 {PROXY, ORIGIN, "a.test", "/x", 1, 18, 19, 200}),
           "1>2 request, ");
}

static void test_two_proxies_in_a_row(void **state)
{
    expect(
        STORY({CLIENT, EDGE, "a.test", "/x", 0, 20, 21, 200, "X-Request-Id: 1\n"},
              {PROXY, ORIGIN, "a.test", "/x", 1, 19, 19, 200, "X-Request-Id: 1\n"},
              {"10.0.0.2:1", "10.0.0.3:80", "a.test", "/x", 2, 18, 18, 200, "X-Request-Id: 1\n"}),
        "2>3 id, 1>2 id, ");
    expect(STORY({CLIENT, EDGE, "a.test", "/x", 0, 20, 21, 200},
                 {PROXY, ORIGIN, "a.test", "/x", 1, 19, 19, 200, XFF("10.0.0.9")},
                 {"10.0.0.2:1", "10.0.0.3:80", "a.test", "/x", 2, 18, 18, 200,
                  XFF("10.0.0.9, 10.0.0.1")}),
           "2>3 forwarded, 1>2 forwarded, ");
}

/* What was given up is not what was answered. */
static void test_tried_again(void **state)
{
    expect(STORY({CLIENT, EDGE, "a.test", "/x", 0, 30, 31, 200, "X-Request-Id: 1\n"},
                 {PROXY, ORIGIN, "a.test", "/x", 1, 0, 9, 0, "X-Request-Id: 1\n"},
                 {PROXY, ORIGIN, "a.test", "/x", 10, 28, 29, 200, "X-Request-Id: 1\n"}),
           "1>3 id, ");
    expect(STORY({CLIENT, EDGE, "a.test", "/x", 0, 0, 31, 0},
                 {PROXY, ORIGIN, "a.test", "/x", 1, 0, 29, 0}),
           "");
    expect(STORY({CLIENT, EDGE, "a.test", "/x", 0, 30, 31, 504, "X-Request-Id: 1\n"},
                 {PROXY, ORIGIN, "a.test", "/x", 1, 0, 29, 0, "X-Request-Id: 1\n"}),
           "1>2 id, ");
}

#define OTHER(n, from)                                                                             \
    {                                                                                              \
        "10.0.0.7:" n, "10.0.0.6:80", "b.test", "/", from, (from) + 5, (from) + 6, 200             \
    }

/* More than there is room for: counted, and nobody is taken for another whose rival is forgotten.
 */
static void test_no_room(void **state)
{
    struct story *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->tap = tap_new(TAP_MEMORY_LEAST);
    struct tap_join_conf conf = {&diary, s, 16384, s->tap};
    s->join = tap_join_new(&conf);
    tap_add_sink(s->tap, &tap_join_sink, s->join);
    play(s,
         STORY(ALIKE("1", 0, 80, NULL), ALIKE_BACK("1", 2, 16, NULL), OTHER("1", 20),
               OTHER("2", 21), OTHER("3", 22), OTHER("4", 23), OTHER("5", 24), OTHER("6", 25),
               ALIKE_BACK("9", 30, 60, NULL), ALIKE("3", 200, 210, NULL),
               ALIKE_BACK("3", 201, 209, NULL)),
         400);
    tap_finish(s->tap);
    assert_string_equal(s->diary, "10>11 request, ");
    assert_true(tap_join_hurried(s->join) > 0);
    tap_free(s->tap);
    tap_join_free(s->join);
    free(s);
}

/* --- random traffic: many at once, that look alike --- */

#define STORIES 300
#define FRONTS  (LEGS_MAX / 2)

static int pick(unsigned *seed, int below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (int)(*seed >> 16) % below;
}

/* Of all clients of a proxy, some of whom it answers by itself; others ask the server directly. */
struct traffic {
    struct leg leg[LEGS_MAX + 1];
    int truth[LEGS_MAX], count;
    char client[LEGS_MAX][32];
};

static struct leg *add_leg(struct traffic *t, unsigned *seed, const char *ip, const char *server)
{
    struct leg *leg = &t->leg[t->count];
    snprintf(t->client[t->count], sizeof *t->client, "%s:%d", ip, 1000 + t->count);
    leg->client = t->client[t->count];
    leg->server = server;
    leg->host = "a.test";
    leg->target = pick(seed, 2) ? "/a" : "/b";
    leg->from = pick(seed, 400);
    leg->end = leg->from + 4 + pick(seed, 60);
    leg->answer = leg->end - pick(seed, 3);
    leg->status = pick(seed, 8) ? 200 : 304;
    t->truth[t->count++] = -1;
    return leg;
}

static void add_back(struct traffic *t, const struct leg *front, const char *fields, bool rewritten)
{
    struct leg *back = &t->leg[t->count];
    *back = *front;
    snprintf(t->client[t->count], sizeof *t->client, "10.0.0.1:%d", 1000 + t->count);
    back->client = t->client[t->count];
    back->server = ORIGIN;
    back->host = rewritten ? "b.test" : "a.test";
    back->fields = fields;
    back->from += 1;
    back->answer = front->answer - 1;
    back->end = front->answer;
    t->truth[front - t->leg] = t->count;
    t->truth[t->count++] = -1;
}

static void make_traffic(struct traffic *t, unsigned *seed, bool marks, int count)
{
    static const char *const ip[] = {"10.0.0.8", "10.0.0.9", "10.0.0.7"};
    static const char *const forwarded[] = {XFF("10.0.0.8"), XFF("10.0.0.9"), XFF("10.0.0.7")};
    bool rewritten = marks && pick(seed, 2);
    memset(t, 0, sizeof *t);
    for (int i = 0; i < count; i++) {
        int who = pick(seed, 3);
        bool direct = pick(seed, 6) == 0;
        struct leg *leg = add_leg(t, seed, ip[who], direct ? ORIGIN : EDGE);
        if (!direct && pick(seed, 5))
            add_back(t, leg, marks ? forwarded[who] : NULL, rewritten);
    }
}

static void test_random_traffic(void **state)
{
    unsigned seed = 9;
    int ties = 0, backs = 0;
    print_message("seed %u\n", seed);
    for (int n = 0; n < STORIES; n++) {
        struct traffic *t = calloc(1, sizeof *t);
        struct story *s = calloc(1, sizeof *s);
        assert_true(t && s);
        make_traffic(t, &seed, n % 2, 1 + n % FRONTS);
        s->truth = t->truth;
        s->tap = tap_new(TAP_MEMORY_LEAST);
        struct tap_join_conf conf = {&diary, s, 1 << 20, s->tap};
        s->join = tap_join_new(&conf);
        tap_add_sink(s->tap, &tap_join_sink, s->join);
        play(s, t->leg, 600);
        tap_finish(s->tap);
        for (int i = 0; i < t->count; i++)
            backs += t->truth[i] >= 0;
        ties += s->ties;
        tap_free(s->tap);
        tap_join_free(s->join);
        free(s);
        free(t);
    }
    print_message("%d of %d tied\n", ties, backs);
    assert_true(ties > backs / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_ties),        cmocka_unit_test(test_one_machine),
        cmocka_unit_test(test_what_does_not),    cmocka_unit_test(test_alike_at_once),
        cmocka_unit_test(test_those_that_go_on), cmocka_unit_test(test_two_proxies_in_a_row),
        cmocka_unit_test(test_tried_again),      cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_random_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
