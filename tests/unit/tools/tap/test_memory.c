/* The ceiling of memory: whatever ten thousands of connections keep open, it holds after every
 * packet, and each of them is told of once. */
#include "core/assert.h"
#include "tools/tap/tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CEILING ((size_t)12 << 20)
#define CONNS   20000u
#define PART    1200 /* bytes of a packet */
#define GAP     3000u
#define TEXT(t) (t), sizeof(t) - 1

static struct tap *tap;
static uint64_t told, bytes_told;
static size_t most;

static void on_conn(void *ctx, struct tap_conn *conn)
{
    told++;
    bytes_told += conn->bytes[0] + conn->bytes[1];
}

static void put32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Of connection `i`, in `dir`, to the tap; the ceiling holds. */
static void packet(uint32_t i, int dir, unsigned flags, uint32_t seq, const char *text, size_t len)
{
    uint8_t p[40 + 2048] = {0x45};
    put32(p, 0x45000000 | (uint32_t)(40 + len));
    p[9] = 6;
    put32(p + 12 + 4 * dir, 0x0a000000 + i);
    put32(p + 16 - 4 * dir, 0x0aff0001);
    put32(p + 20, dir ? 80u << 16 | 4000 : 4000u << 16 | 80);
    put32(p + 24, seq);
    put32(p + 32, 0x50000000 | flags << 16 | 1000);
    memcpy(p + 40, text, len);
    tap_frame(tap, NU_LINK_RAW, (struct nu_piece){p, 40 + len}, 40 + len, (int64_t)i * 1000);
    size_t now = tap_memory(tap);
    most = now > most ? now : most;
    assert_true(now <= CEILING);
}

/* What a side says, cut into packets, from `seq` on. */
static void say(uint32_t i, int dir, uint32_t seq, const char *text, size_t len)
{
    for (size_t at = 0; at < len; at += PART)
        packet(i, dir, NU_TCP_ACK, seq + (uint32_t)at, text + at,
               len - at < PART ? len - at : PART);
}

#define GET     "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define FIELDS  "\0\0\x0b\1\5\0\0\0\1\x82\x86\x84\x41\6a.test"

static char junk[6000];

/* All of them stay open. `far`: the server's bytes lie behind a hole. */
static const struct kind {
    const char *name, *up;
    size_t up_len;
    const char *down;
    size_t down_len;
    bool far;
} kinds[] = {
    {"nothing but SYN",             TEXT(""),                                        TEXT(""),                         false                                                                          },
    {"a byte that may be anything", TEXT("G"),                                       TEXT(""),                         false                                                                          },
    {"heads without end",
     TEXT("GET / HTTP/1.1\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"), TEXT(""),
     false                                                                                                                                                                                            },
    {"requests without answer",     TEXT(GET GET GET GET),                           TEXT(""),                         false                                                                          },
    {"bodies packed",               TEXT(GET),
     TEXT("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 900\r\n\r\n\x0f\x02"),                           false                                                                          },
    {"bodies behind holes",         TEXT(GET),                                       junk,                             sizeof junk,                                                                     true},
    {"TLS",                             TEXT("\x16\3\1\0\x2f\1\0\0\x2b\3\3" GET "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"),                                                                        TEXT(""),
     false},
    {"HTTP/2",                             TEXT(PREFACE FIELDS),                                                                     TEXT("\0\0\0\4\0\0\0\0\0\0\0\1\1\4\0\0\0\1\x88"),                                                     false               },
};

static void open_all(const struct kind *k)
{
    for (uint32_t i = 0; i < CONNS; i++) {
        packet(i, 0, NU_TCP_SYN, 0, "", 0);
        packet(i, 1, NU_TCP_SYN | NU_TCP_ACK, 0, "", 0);
        say(i, 0, 1, k->up, k->up_len);
        say(i, 1, k->far ? GAP : 1, k->down, k->down_len);
    }
}

static void the_ceiling_holds(void **state)
{
    static const struct tap_sink sink = {.conn = on_conn};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        told = bytes_told = most = 0;
        tap = tap_new(CEILING);
        tap_want_bodies(tap, 65536, 0);
        tap_add_sink(tap, &sink, NULL);
        open_all(&kinds[i]);
        tap_finish(tap);
        struct tap_figures f = tap_figures(tap);
        print_message("%s: %zu KiB at most, %llu forgotten, %llu given up\n", kinds[i].name,
                      most >> 10, (unsigned long long)f.flows.evicted,
                      (unsigned long long)f.given_up);
        assert_int_equal(f.flows.flows, CONNS);
        assert_int_equal(told, CONNS);
        assert_int_equal(bytes_told, (uint64_t)CONNS * (kinds[i].up_len + kinds[i].down_len));
        assert_true(f.flows.evicted + f.given_up > CONNS / 10);
        tap_free(tap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ceiling_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
