/* The opening handshake of WebSocket on heads. */
#include "core/arena.h"
#include "protocols/ws/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 1.3 */

static struct nu_text text(const char *s)
{
    return nu_text(s, strlen(s));
}

static void what_a_server_says_to_a_key(void **state)
{
    char accept[NU_WS_ACCEPT_LEN], key[NU_WS_KEY_LEN];
    nu_ws_accept(text(KEY), accept);
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof accept);
    nu_ws_key((const uint8_t *)"the sample nonce", key);
    assert_memory_equal(key, KEY, sizeof key);
}

static void protocols_that_are_offered(void **state)
{
    assert_true(nu_ws_is_offered(text("WebSocket")));
    assert_true(nu_ws_is_offered(text("foo/1 , websocket")));
    assert_false(nu_ws_is_offered(text("websockets")));
    assert_false(nu_ws_is_offered(text("websocket/13")));
    assert_false(nu_ws_is_offered(text("")));
}

static const struct {
    const char *version, *key, *again;
    enum nu_method method;
    enum nu_ws_fault fault;
} requests[] = {
    {"13",  KEY,                         NULL, NU_METHOD_GET,  NU_WS_FINE   },
    {"13",  KEY,                         NULL, NU_METHOD_POST, NU_WS_METHOD },
    {NULL,  KEY,                         NULL, NU_METHOD_GET,  NU_WS_VERSION},
    {"14",  KEY,                         NULL, NU_METHOD_GET,  NU_WS_VERSION},
    {"013", KEY,                         NULL, NU_METHOD_GET,  NU_WS_VERSION},
    {"13",  NULL,                        NULL, NU_METHOD_GET,  NU_WS_KEY    },
    {"13",  KEY,                         KEY,  NU_METHOD_GET,  NU_WS_KEY    },
    {"13",  "dGhlIHNhbXBsZSBub25jZQ=",   NULL, NU_METHOD_GET,  NU_WS_KEY    },
    {"13",  "dGhlIHNhbXBsZSBub25jZQAA",  NULL, NU_METHOD_GET,  NU_WS_KEY    },
    {"13",  "dGhlIHNhbXBsZSBub25jZ===",  NULL, NU_METHOD_GET,  NU_WS_KEY    },
    {"13",  "dGhlIHNhbXBsZSBub2-jZQ==",  NULL, NU_METHOD_GET,  NU_WS_KEY    },
    {"13",  "dGhlIHNhbXBsZSBub25jZQ===", NULL, NU_METHOD_GET,  NU_WS_KEY    },
};

static void requests_are_judged(void **state)
{
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct nu_arena *arena = nu_arena_new(1024);
        struct nu_http_head *head = nu_http_head_new(arena);
        head->version = NU_HTTP_1_1;
        head->method_id = requests[i].method;
        if (requests[i].version)
            nu_http_add_known(head, NU_HDR_WS_VERSION, text(requests[i].version));
        if (requests[i].key)
            nu_http_add_known(head, NU_HDR_WS_KEY, text(requests[i].key));
        if (requests[i].again)
            nu_http_add_known(head, NU_HDR_WS_KEY, text(requests[i].again));
        if (nu_ws_judge_request(head) != requests[i].fault)
            fail_msg("row %zu: %s", i, nu_ws_fault_str(nu_ws_judge_request(head)));
        head->version = NU_HTTP_2; /* RFC 8441 5: no key */
        if (requests[i].fault == NU_WS_KEY)
            assert_int_equal(nu_ws_judge_request(head), NU_WS_FINE);
        nu_arena_free(arena);
    }
}

static void answers_are_judged(void **state)
{
    static const struct {
        const char *upgrade, *accept, *key;
        bool granted;
    } rows[] = {
        {"WebSocket", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",  KEY,  true },
        {"websocket", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo",   KEY,  false},
        {"websocket", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=",  KEY,  false},
        {"websocket", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=x", KEY,  false},
        {"websocket", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",  "no", false},
        {"h2c",       "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",  KEY,  false},
        {"websocket", NULL,                            KEY,  false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_arena *arena = nu_arena_new(1024);
        struct nu_http_head *head = nu_http_head_new(arena);
        head->upgrade = text(rows[i].upgrade);
        if (rows[i].accept)
            nu_http_add_known(head, NU_HDR_WS_ACCEPT, text(rows[i].accept));
        if (nu_ws_is_granted(head, text(rows[i].key)) != rows[i].granted)
            fail_msg("row %zu", i);
        nu_arena_free(arena);
    }
}

static void compression_that_was_agreed_on(void **state)
{
    static const struct {
        const char *value;
        bool deflate;
    } rows[] = {
        {"permessage-deflate",                             true },
        {"Permessage-Deflate; server_max_window_bits=10",  true },
        {"foo, permessage-deflate;client_max_window_bits", true },
        {"permessage-deflates",                            false},
        {"x-permessage-deflate",                           false},
        {"permessage-deflat",                              false},
        {"",                                               false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_arena *arena = nu_arena_new(1024);
        struct nu_http_head *head = nu_http_head_new(arena);
        nu_http_add_known(head, NU_HDR_WS_EXTENSIONS, text("x-other"));
        nu_http_add_known(head, NU_HDR_WS_EXTENSIONS, text(rows[i].value));
        if (nu_ws_is_deflate(head) != rows[i].deflate)
            fail_msg("row %zu", i);
        nu_arena_free(arena);
    }
}

static void every_fault_has_an_answer(void **state)
{
    assert_int_equal(nu_ws_fault_status(NU_WS_METHOD), 400);
    assert_int_equal(nu_ws_fault_status(NU_WS_VERSION), 426);
    assert_string_equal(nu_ws_fault_str(NU_WS_KEY), "websocket_key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_server_says_to_a_key),
        cmocka_unit_test(protocols_that_are_offered),
        cmocka_unit_test(requests_are_judged),
        cmocka_unit_test(answers_are_judged),
        cmocka_unit_test(compression_that_was_agreed_on),
        cmocka_unit_test(every_fault_has_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
