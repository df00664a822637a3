/* Reads the same requests again and again with one parser: ours, or libhttp-parser (Debian). For
 * tests/bench/http_parser.py, which compares time and instructions; not for tests of meaning.
 *
 *   http_parser ours|callbacks|bare REQUESTS COUNT
 *
 * REQUESTS: curl, browser or chunked. Ours makes a whole head: fields by number, framing, Host and
 * Connection judged. `callbacks` is libhttp-parser with what a user needs at the least, all
 * callbacks set and the place of each name and value kept; `bare` is it without any. Prints
 * nanoseconds and bytes of one request. */
#include "core/arena.h"
#include "core/assert.h"
#include "protocols/http/h1.h"

#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name, *wire;
} requests[] = {
    {"curl",    "GET /api/v1/items?limit=20&offset=40 HTTP/1.1\r\nHost: api.example.test:8080\r\n"
             "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"},
    {"browser",
     "GET /assets/app/main.3f2a91c0.js?v=1700000000 HTTP/1.1\r\n"
     "Host: www.example.test\r\n"
     "Connection: keep-alive\r\n"
     "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/119.0.0.0 Safari/537.36\r\n"
     "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
     "*/*;q=0.8\r\n"
     "Accept-Encoding: gzip, deflate, br\r\n"
     "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
     "Referer: https://www.example.test/shop/list?page=2&sort=price\r\n"
     "Cookie: session=6f1b2c3d4e5f60718293a4b5c6d7e8f9; theme=dark; _ga=GA1.2.1234567890."
     "1699999999; consent=all\r\n"
     "Cache-Control: max-age=0\r\n"
     "Sec-Fetch-Site: same-origin\r\n"
     "Sec-Fetch-Mode: navigate\r\n"
     "X-Requested-By: storefront\r\n\r\n"                                },
    {"chunked",
     "POST /upload HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/json\r\n"
     "Transfer-Encoding: chunked\r\n\r\n"
     "43\r\n{\"id\":123456789,\"name\":\"a name\",\"tags\":[\"x\",\"y\"],\"note\":\"some text\"\r\n"
     "1a\r\n,\"more\":[1,2,3,4,5,6,7,8]}\r\n0\r\n\r\n"                   },
};

static const char *find(const char *name)
{
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        if (strcmp(requests[i].name, name) == 0)
            return requests[i].wire;
    fprintf(stderr, "no requests by the name of %s\n", name);
    exit(2);
}

static void run_ours(const char *wire, size_t len, long count)
{
    static const struct nu_h1_limits limits = NU_H1_LIMITS_DEFAULT;
    struct nu_h1_parser p;
    nu_h1_init(&p, &limits);
    for (long i = 0; i < count; i++) {
        struct nu_slice in = {(const uint8_t *)wire, len, NULL};
        struct nu_arena *arena = nu_arena_new(NU_H1_ARENA_BYTES);
        enum nu_h1_event event;
        struct nu_h1_out out;
        nu_h1_begin_request(&p, arena);
        do
            event = nu_h1_read(&p, &in, &out);
        while (event < NU_H1_END);
        nu_assert(event == NU_H1_END && in.len == 0);
        nu_arena_free(arena);
    }
}

/* What their user has to keep at the least. */
struct kept {
    const char *url;
    size_t url_len;
    struct {
        const char *name, *value;
        size_t name_len, value_len;
    } fields[100];
    unsigned count;
    bool whole;
};

static int on_url(http_parser *p, const char *at, size_t len)
{
    struct kept *k = p->data;
    k->url = at;
    k->url_len = len;
    return 0;
}

static int on_field(http_parser *p, const char *at, size_t len)
{
    struct kept *k = p->data;
    k->fields[k->count].name = at;
    k->fields[k->count].name_len = len;
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    struct kept *k = p->data;
    k->fields[k->count].value = at;
    k->fields[k->count].value_len = len;
    k->count++;
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t len)
{
    return 0;
}

static int on_event(http_parser *p)
{
    return 0;
}

static int on_complete(http_parser *p)
{
    ((struct kept *)p->data)->whole = true;
    return 0;
}

static void run_theirs(const char *wire, size_t len, long count, bool callbacks)
{
    http_parser_settings settings;
    http_parser p;
    struct kept kept;
    http_parser_settings_init(&settings);
    settings.on_message_complete = on_complete;
    if (callbacks) {
        settings.on_url = on_url;
        settings.on_header_field = on_field;
        settings.on_header_value = on_value;
        settings.on_body = on_body;
        settings.on_headers_complete = settings.on_message_begin = on_event;
    }
    http_parser_init(&p, HTTP_REQUEST);
    p.data = &kept;
    for (long i = 0; i < count; i++) {
        kept.count = 0;
        kept.whole = false;
        size_t n = http_parser_execute(&p, &settings, wire, len);
        nu_assert(n == len && kept.whole);
    }
}

int main(int argc, char **argv)
{
    struct timespec from, to;
    if (argc != 4) {
        fprintf(stderr, "usage: http_parser ours|callbacks|bare REQUESTS COUNT\n");
        return 2;
    }
    const char *wire = find(argv[2]);
    size_t len = strlen(wire);
    long count = strtol(argv[3], NULL, 10);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    if (strcmp(argv[1], "ours") == 0)
        run_ours(wire, len, count);
    else
        run_theirs(wire, len, count, strcmp(argv[1], "callbacks") == 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    printf("ns %.1f bytes %zu\n", count ? ns / (double)count : 0, len);
    return 0;
}
