/* Writing HTTP/1: exact bytes, what is never sent, and that all of accepted.tsv reads the same
 * after it was written again. */
#include "protocols/http/h1_write.h"

#include "tests/unit/protocols/http/h1_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define T(literal) NU_TEXT(literal)

static struct nu_block_pool *pool;
static struct nu_arena *arena;

static int setup(void **state)
{
    pool = nu_block_pool_new();
    arena = nu_arena_new(256);
    return 0;
}

static int teardown(void **state)
{
    nu_arena_free(arena);
    nu_block_pool_free(pool);
    return 0;
}

static struct nu_http_head *request(const char *method, const char *path)
{
    struct nu_http_head *head = nu_http_head_new(arena);
    head->method = nu_text(method, strlen(method));
    head->method_id = (uint8_t)nu_method_find(method, strlen(method));
    head->authority = T("a.test");
    head->path = nu_text(path, strlen(path));
    return head;
}

static struct nu_http_head *response(unsigned status, enum nu_http_body body)
{
    struct nu_http_head *head = nu_http_head_new(arena);
    head->status = (uint16_t)status;
    head->body = (uint8_t)body;
    head->method_id = NU_METHOD_GET;
    return head;
}

static enum nu_err written(const struct nu_http_head *head, struct nu_h1_how how, char *text,
                           size_t cap)
{
    struct nu_block *block = nu_block_get(pool, nu_h1_head_room(head));
    struct nu_slice out;
    enum nu_err err = nu_h1_write_head(block, head, &how, &out);
    assert_true(out.len < cap);
    if (out.len)
        memcpy(text, out.data, out.len);
    text[out.len] = 0;
    assert_int_equal(block->used, out.len);
    nu_slice_drop(&out);
    nu_block_unref(block);
    return err;
}

static void assert_written(const struct nu_http_head *head, struct nu_h1_how how, const char *want)
{
    char text[1024];
    assert_int_equal(written(head, how, text, sizeof text), NU_OK);
    assert_string_equal(text, want);
}

static void assert_refused(const struct nu_http_head *head)
{
    char text[1024];
    assert_int_equal(written(head, (struct nu_h1_how){0}, text, sizeof text), NU_ERR_SYNTAX);
    assert_string_equal(text, "");
}

static const struct nu_h1_how plain;

static void a_request(void **state)
{
    struct nu_http_head *head = request("GET", "/a?b");
    nu_http_add(head, T("X-One"), T("tab\there"));
    nu_http_add(head, T("X-Two"), T(""));
    nu_http_add(head, T("gone"), T("1"));
    nu_http_remove(head, T("gone"));
    assert_written(head, plain,
                   "GET /a?b HTTP/1.1\r\nHost: a.test\r\nX-One: tab\there\r\nX-Two: \r\n\r\n");
    assert_written(head, (struct nu_h1_how){.close = true},
                   "GET /a?b HTTP/1.1\r\nHost: a.test\r\nX-One: tab\there\r\nX-Two: \r\n"
                   "Connection: close\r\n\r\n");
    head->upgrade = T("websocket");
    assert_written(head, plain,
                   "GET /a?b HTTP/1.1\r\nHost: a.test\r\nX-One: tab\there\r\nX-Two: \r\n"
                   "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    head = response(426, NU_BODY_CLOSE);
    head->upgrade = T("x");
    assert_written(
        head, plain,
        "HTTP/1.1 426 Upgrade Required\r\nConnection: close, upgrade\r\nUpgrade: x\r\n\r\n");
}

/* Whatever the fields say of framing and of this connection, only the facts are written. */
static void facts_not_fields(void **state)
{
    struct nu_http_head *head = request("POST", "/");
    nu_http_add(head, T("content-length"), T("99"));
    nu_http_add(head, T("Transfer-Encoding"), T("gzip"));
    nu_http_add(head, T("host"), T("b.test"));
    nu_http_add(head, T("connection"), T("x"));
    nu_http_add(head, T("te"), T("trailers"));
    nu_http_add(head, T("upgrade"), T("x"));
    nu_http_add(head, T("keep-alive"), T("x"));
    nu_http_add(head, T("proxy-connection"), T("x"));
    assert_written(head, plain, "POST / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    head->body = NU_BODY_LENGTH;
    head->content_length = UINT64_MAX;
    assert_written(
        head, plain,
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 18446744073709551615\r\n\r\n");
    head->body = NU_BODY_CHUNKED;
    assert_written(head, plain,
                   "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void connect_and_asterisk(void **state)
{
    struct nu_http_head *head = request("CONNECT", "");
    head->authority = T("a.test:443");
    assert_written(head, plain, "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
    head->authority = T("a.test");
    assert_refused(head);
    assert_written(request("OPTIONS", "*"), plain, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
}

static const struct {
    unsigned status;
    enum nu_method method;
    enum nu_http_body body;
    bool has_length; /* of 7 */
    const char *framing;
} responses[] = {
    {200, NU_METHOD_GET,     NU_BODY_NONE,    false, "Content-Length: 0\r\n"         },
    {200, NU_METHOD_GET,     NU_BODY_LENGTH,  true,  "Content-Length: 7\r\n"         },
    {200, NU_METHOD_GET,     NU_BODY_CHUNKED, false, "Transfer-Encoding: chunked\r\n"},
    {200, NU_METHOD_GET,     NU_BODY_CLOSE,   false, "Connection: close\r\n"         },
    {200, NU_METHOD_HEAD,    NU_BODY_NONE,    false, ""                              },
    {200, NU_METHOD_HEAD,    NU_BODY_NONE,    true,  "Content-Length: 7\r\n"         },
    {304, NU_METHOD_GET,     NU_BODY_NONE,    false, ""                              },
    {304, NU_METHOD_GET,     NU_BODY_NONE,    true,  "Content-Length: 7\r\n"         },
    {204, NU_METHOD_GET,     NU_BODY_NONE,    true,  ""                              },
    {204, NU_METHOD_HEAD,    NU_BODY_NONE,    true,  ""                              },
    {103, NU_METHOD_GET,     NU_BODY_NONE,    true,  ""                              },
    {101, NU_METHOD_GET,     NU_BODY_TUNNEL,  false, ""                              },
    {200, NU_METHOD_CONNECT, NU_BODY_TUNNEL,  false, ""                              },
    {403, NU_METHOD_CONNECT, NU_BODY_NONE,    false, "Content-Length: 0\r\n"         },
};

static void responses_are_framed(void **state)
{
    for (size_t i = 0; i < sizeof responses / sizeof *responses; i++) {
        char want[128];
        struct nu_http_head *head = response(responses[i].status, responses[i].body);
        head->method_id = (uint8_t)responses[i].method;
        head->has_length = responses[i].has_length;
        head->content_length = 7;
        snprintf(want, sizeof want, "HTTP/1.1 %u %s\r\n%s\r\n", responses[i].status,
                 nu_http_reason_str(responses[i].status), responses[i].framing);
        assert_written(head, plain, want);
    }
}

static void reasons(void **state)
{
    struct nu_http_head *head = response(299, NU_BODY_NONE);
    assert_written(head, plain, "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n");
    head->reason = T("so so");
    assert_written(head, (struct nu_h1_how){.keep_alive = true},
                   "HTTP/1.1 299 so so\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    assert_string_equal(nu_http_reason_str(511), "Network Authentication Required");
    assert_string_equal(nu_http_reason_str(512), "");
    assert_string_equal(nu_http_reason_str(99999), "");
}

/* Texts that came into the head past nu_http_add, as a faulty codec might put them. */
static void nothing_forged_is_written(void **state)
{
    static const struct nu_text bad[] = {T("a\r\nX: y"), T("a\nb"), T("a\rb"), T("a\0b"),
                                         T("12345678\n12345678")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nu_http_head *head = request("GET", "/");
        nu_http_append(head, NU_HDR_OTHER, T("x"), bad[i]);
        assert_refused(head);
        head = request("GET", "/");
        nu_http_append(head, NU_HDR_OTHER, bad[i], T("v"));
        assert_refused(head);
        head = request("GET", "/");
        head->method = bad[i];
        assert_refused(head);
        head = request("GET", "/");
        head->path = bad[i];
        assert_refused(head);
        head = request("GET", "/");
        head->authority = bad[i];
        assert_refused(head);
        head = request("GET", "/");
        head->upgrade = bad[i];
        assert_refused(head);
        head = response(200, NU_BODY_NONE);
        head->reason = bad[i];
        assert_refused(head);
    }
}

static void what_makes_no_message(void **state)
{
    struct nu_http_head *head = request("GET", "/");
    head->authority = T("");
    assert_refused(head);
    assert_refused(request("GET", ""));
    assert_refused(request("GET", "a"));
    assert_refused(request("GET", "/a b"));
    assert_refused(request("", "/"));
    head = request("GET", "/");
    head->body = NU_BODY_CLOSE;
    assert_refused(head);
    head = request("GET", "/");
    head->method_id = NU_METHOD_CONNECT;
    assert_refused(head);
    assert_refused(response(99, NU_BODY_NONE));
    assert_refused(response(600, NU_BODY_NONE));
    assert_refused(response(204, NU_BODY_CHUNKED));
    assert_refused(response(304, NU_BODY_LENGTH));
    assert_refused(response(101, NU_BODY_NONE));
    assert_refused(response(200, NU_BODY_TUNNEL));
    head = response(200, NU_BODY_LENGTH);
    head->method_id = NU_METHOD_HEAD;
    assert_refused(head);
}

static void no_room_is_told(void **state)
{
    struct nu_http_head *head = request("GET", "/");
    struct nu_block *block = nu_block_get(pool, nu_h1_head_room(head) - 1);
    struct nu_slice out;
    assert_int_equal(nu_h1_write_head(block, head, &plain, &out), NU_ERR_LIMIT);
    assert_int_equal(nu_h1_write_trailers(block, head, &out), NU_ERR_LIMIT);
    assert_int_equal(out.len, 0);
    nu_block_unref(block);
}

static void chunks(void **state)
{
    static const struct {
        uint64_t len;
        const char *head;
    } rows[] = {
        {0,          ""                    },
        {1,          "1\r\n"               },
        {15,         "f\r\n"               },
        {16,         "10\r\n"              },
        {0xabcdef,   "abcdef\r\n"          },
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t out[NU_H1_CHUNK_HEAD_MAX];
        size_t len = nu_h1_chunk_head(out, rows[i].len);
        assert_int_equal(len, strlen(rows[i].head));
        assert_memory_equal(out, rows[i].head, len);
    }
    assert_memory_equal(nu_h1_chunk_tail().data, "\r\n", 2);
    assert_memory_equal(nu_h1_last_chunk().data, "0\r\n\r\n", 5);
}

static void trailers(void **state)
{
    struct nu_http_head *trail = nu_http_head_new(arena);
    struct nu_block *block = nu_block_get(pool, 1000);
    struct nu_slice out;
    nu_http_add(trail, T("X-Sum"), T("1"));
    nu_http_add(trail, T("Content-Length"), T("1"));
    nu_http_add(trail, T("authorization"), T("1"));
    assert_int_equal(nu_h1_write_trailers(block, trail, &out), NU_OK);
    assert_int_equal(out.len, strlen("0\r\nX-Sum: 1\r\n\r\n"));
    assert_memory_equal(out.data, "0\r\nX-Sum: 1\r\n\r\n", out.len);
    nu_slice_drop(&out);
    nu_http_append(trail, NU_HDR_OTHER, T("x"), T("a\r\nb"));
    assert_int_equal(nu_h1_write_trailers(block, trail, &out), NU_ERR_SYNTAX);
    nu_block_unref(block);
}

/* What stays the same: all but what belongs to one connection. */
static void essence(struct h1_text *t, const struct nu_http_head *h)
{
    h1_say(t, "%u %s ", h->status, nu_http_body_str(h->body));
    h1_say_text(t, "", h->method);
    h1_say_text(t, " ", h->authority);
    h1_say_text(t, " ", h->path);
    h1_say_text(t, " ", h->upgrade);
    h1_say(t, " %llu\n", (unsigned long long)(h->body == NU_BODY_LENGTH ? h->content_length : 0));
    for (const struct nu_http_field *f = nu_http_each(h, NULL); f; f = nu_http_each(h, f))
        if (!(f->flags & NU_HTTP_FIELD_HOP) && !(nu_hdr_flags(f->id) & NU_HDR_FRAMING)) {
            h1_say_text(t, "", nu_text(f->name, f->name_len));
            h1_say_text(t, ": ", nu_http_field_value(f));
            h1_say(t, "\n");
        }
}

static void begin(struct nu_h1_parser *p, const struct h1_kit *kit)
{
    static const struct nu_h1_limits limits = {
        .head_bytes = 1 << 20, .target_bytes = 1 << 16, .fields = 200, .trailer_bytes = 1 << 16};
    nu_h1_init(p, &limits);
    if (kit->response)
        nu_h1_begin_response(p, arena, kit->method, kit->upgrade);
    else
        nu_h1_begin_request(p, arena);
}

static void write_and_read(const struct h1_row *row, const struct h1_kit *kit,
                           const struct nu_http_head *head)
{
    struct nu_block *block = nu_block_get(pool, nu_h1_head_room(head));
    struct h1_text was = {0}, is = {0};
    struct nu_h1_parser p;
    struct nu_h1_out out;
    struct nu_slice wire, in;
    assert_int_equal(nu_h1_write_head(block, head, &plain, &wire), NU_OK);
    in = wire;
    begin(&p, kit);
    enum nu_h1_event event = nu_h1_read(&p, &in, &out);
    if ((event != NU_H1_HEAD && event != NU_H1_INTERIM) || in.len)
        fail_msg("%s: written as\n%.*s", row->column[0], (int)wire.len, wire.data);
    essence(&was, head);
    essence(&is, out.head);
    assert_string_equal(was.at, is.at);
    nu_http_head_drop(out.head);
    nu_slice_drop(&wire);
    nu_block_unref(block);
    free(was.at);
    free(is.at);
}

static void what_is_read_is_written_the_same(void **state)
{
    struct h1_row row = {0};
    unsigned count = 0;
    FILE *file = h1_kit_open("tests/unit/protocols/http/accepted.tsv");
    while (h1_kit_row(file, &row)) {
        struct h1_kit kit = h1_kit_side(row.column[2]);
        struct nu_h1_parser p;
        struct nu_h1_out out;
        char *bytes;
        size_t len = h1_kit_unescape(row.column[3], &bytes);
        struct nu_slice in = {(const uint8_t *)bytes, len, NULL};
        begin(&p, &kit);
        enum nu_h1_event event = len ? nu_h1_read(&p, &in, &out) : NU_H1_MORE;
        bool hostless = event == NU_H1_HEAD && !kit.response && out.head->authority.len == 0;
        if ((event == NU_H1_HEAD || event == NU_H1_INTERIM) && !hostless) {
            write_and_read(&row, &kit, out.head);
            count++;
        }
        free(bytes);
    }
    fclose(file);
    assert_true(count > 70);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request),
        TEST(facts_not_fields),
        TEST(connect_and_asterisk),
        TEST(responses_are_framed),
        TEST(reasons),
        TEST(nothing_forged_is_written),
        TEST(what_makes_no_message),
        TEST(no_room_is_told),
        TEST(chunks),
        TEST(trailers),
        TEST(what_is_read_is_written_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
