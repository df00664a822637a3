/* The end of the admin's streams behind the HTTP filter that traffic has, on a virtual clock:
 * pieces and who does not read them, waits that end, clients that leave. */
#include "tools/nuncio/admin_filter.h"

#include "core/stats_walk.h"
#include "core/worker.h"
#include "l7/http.h"
#include "l7/http_internal.h"
#include "tests/filters/filters.h"
#include "tests/filters/probe.h"
#include "tools/nuncio/admin_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define SETS      400 /* of figures: /stats is far longer than what may wait for a client */
#define BYTES_MAX (1024 * 1024)

static struct {
    struct nu_loop loop;
    struct nu_arena *arena;
    struct nu_server server;
    struct nu_place http;
    struct nu_stats *sets[SETS];
    struct nu_probe client;
    char got[BYTES_MAX + 1];
    size_t len;
    unsigned ends;
    struct nu_result result;
} kit;

static void took(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_END) {
        kit.ends++;
        kit.result = ev->u.end;
        nu_done(f, dir);
        return;
    }
    size_t n = ev->u.data.len;
    assert_true(kit.len + n <= BYTES_MAX);
    memcpy(kit.got + kit.len, ev->u.data.data, n);
    kit.len += n;
    kit.got[kit.len] = 0;
    nu_ev_free(ev);
}

/* What main's own loop has to do: counts of connections. */
static void main_turns(void)
{
    for (int round = 0; round < 4; round++)
        for (unsigned i = 0; i <= nu_workers_count(); i++)
            event_base_loop(nu_worker_at(i)->base, EVLOOP_NONBLOCK);
}

static int setup(void **state)
{
    memset(&kit, 0, sizeof kit);
    nu_workers_init(1);
    nu_loop_init(&kit.loop, 0);
    kit.arena = nu_arena_new(4096);
    kit.server.stats = nu_stats_get(&nu_server_stats, "server");
    const struct nu_place last = {&nu_admin_filter, &kit.server};
    kit.http = (struct nu_place){
        &nu_filter_http, nu_http_internal(kit.arena, "name: t\nstream_idle_timeout: 1m\n", &last)};
    for (unsigned i = 0; i < SETS; i++) {
        char name[32];
        snprintf(name, sizeof name, "http.some-%u", i);
        kit.sets[i] = nu_stats_get(&nu_http_stats, name);
    }
    kit.client = (struct nu_probe){.name = "client", .event = took};
    const struct nu_place places[] = {
        {&nu_probe_left, &kit.client},
        {&nu_pedant,     NULL       },
        kit.http,
    };
    struct nu_facts facts = {.start_ms = kit.loop.now_ms};
    nu_addr_parse(&facts.local, "127.0.0.1:9901", -1);
    nu_chain_new(&kit.loop, places, 3, &facts, NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    if (kit.client.self)
        nu_chain_abort(kit.client.self->chain, NU_CAUSE_DRAIN);
    nu_loop_advance(&kit.loop, 0);
    assert_int_equal(kit.loop.chain_count, 0);
    assert_int_equal(nu_block_pool_lent(kit.loop.blocks), 0);
    for (unsigned i = 0; i < SETS; i++)
        nu_stats_put(kit.sets[i]);
    main_turns();
    nu_stats_put(kit.server.stats);
    nu_loop_fini(&kit.loop);
    nu_arena_free(kit.arena);
    struct nu_stats_walk *walk = nu_stats_walk_new();
    struct nu_stats_row row;
    while (nu_stats_walk_next(walk, &row)) /* answers gave their references back */
        assert_null(strstr(nu_stats_prefix(row.set), "some"));
    nu_stats_walk_free(walk);
    nu_workers_free();
    return 0;
}

static const char *word;

static void say_now(struct nu_filter *f)
{
    nu_forward_data(f, NU_FWD, nu_slice_copy(nu_filter_loop(f)->blocks, word, strlen(word)));
}

static void say(const char *text)
{
    word = text;
    kit.len = 0;
    nu_call(kit.client.self, say_now);
    nu_loop_advance(&kit.loop, 0);
}

static void stop_reading(struct nu_filter *f)
{
    nu_hold(f, NU_REV);
}

static void read_on(struct nu_filter *f)
{
    nu_release(f, NU_REV);
}

static void assert_status(const char *status)
{
    if (strncmp(kit.got, "HTTP/1.1 ", 9) != 0 || strncmp(kit.got + 9, status, 3) != 0)
        fail_msg("expected %s: %.200s", status, kit.got);
}

static void whole_answers_and_refusals(void **state)
{
    static const struct {
        const char *request, *status, *part;
    } rows[] = {
        {"GET /ready",       "200", "LIVE\n"                           },
        {"HEAD /ready",      "200", "Content-Length: 5\r\n"            },
        {"GET /help",        "200", "POST /reload"                     },
        {"GET /clusters",    "200", "0\r\n\r\n"                        },
        {"HEAD /clusters",   "200", "content-type: text/plain"         },
        {"GET /config_dump", "503", "error: no config serves yet\n"    },
        {"POST /ready",      "405", "allow: GET, HEAD\r\n"             },
        {"GET /reload",      "405", "allow: POST\r\n"                  },
        {"GET /",            "404", "/help lists them"                 },
        {"GET /ready?a=%",   "400", "not well-formed"                  },
        {"GET /ready?a&a",   "400", "one of them twice"                },
        {"GET /ready?a",     "400", "/ready has no \"a\", but: verbose"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128];
        snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: localhost\r\n\r\n", rows[i].request);
        if (strcmp(rows[i].request, "GET /") == 0 && nu_admin_page_find(NU_TEXT("/")))
            continue;
        say(text);
        assert_status(rows[i].status);
        if (!strstr(kit.got, rows[i].part))
            fail_msg("%s: no \"%s\" in %s", rows[i].request, rows[i].part, kit.got);
    }
    say("GET /ready HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    assert_status("403");
    say("GET /ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n");
    assert_status("400");
    assert_int_equal(kit.ends, 1);
}

/* A long answer waits for its client, for as long as it may; and is seen to be cut. */
static void pieces_wait_for_who_reads(void **state)
{
    say("GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
    nu_call(kit.client.self, stop_reading);
    assert_int_equal(kit.len, 0);
    main_turns(); /* it waited for the count */
    for (int i = 0; i < 200; i++)
        nu_loop_advance(&kit.loop, 0);
    assert_int_equal(kit.len, 0);
    assert_true(nu_block_pool_lent(kit.loop.blocks) < 8 * NU_ADMIN_PIECE);
    nu_call(kit.client.self, read_on);
    while (!strstr(kit.got, "some-200"))
        nu_loop_advance(&kit.loop, 0);
    nu_call(kit.client.self, stop_reading);
    nu_loop_advance(&kit.loop, 59 * 1000);
    assert_int_equal(kit.loop.chain_count, 2);
    nu_loop_advance(&kit.loop, 2000);
    nu_call(kit.client.self, read_on);
    nu_loop_advance(&kit.loop, 0);
    assert_int_equal(kit.ends, 1);
    assert_int_not_equal(kit.result.how, NU_CLEAN);
    assert_null(strstr(kit.got, "\r\n0\r\n\r\n"));
}

static void a_long_answer_is_whole(void **state)
{
    say("GET /stats?filter=some HTTP/1.1\r\nHost: localhost\r\n\r\n");
    main_turns();
    for (int i = 0; i < 10000 && !strstr(kit.got, "\r\n0\r\n\r\n"); i++)
        nu_loop_advance(&kit.loop, 0);
    size_t lines = 0;
    for (const char *at = kit.got; (at = strstr(at, "http.some-")); at++)
        lines++;
    assert_int_equal(lines, SETS * NU_HTTP_STAT_COUNT);
    say("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_status("200");
}

/* Whoever waits is told when it takes too long, and what comes later finds nobody. */
static void a_wait_has_an_end(void **state)
{
    say("GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
    nu_loop_advance(&kit.loop, 61 * 1000);
    assert_status("504");
    main_turns();
    assert_int_equal(kit.ends, 1);
}

static void clients_may_leave(void **state)
{
    say("GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
    if (*state) {
        main_turns();
        while (!strstr(kit.got, "some-1"))
            nu_loop_advance(&kit.loop, 0);
    }
    nu_chain_abort(kit.client.self->chain, NU_CAUSE_CLIENT_RST);
    nu_loop_advance(&kit.loop, 0);
    main_turns();
}

int main(void)
{
    static int halfway = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_answers_and_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_wait_for_who_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_answer_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_may_leave, setup, teardown),
        cmocka_unit_test_prestate_setup_teardown(clients_may_leave, setup, teardown, &halfway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
