/* Connections of a capture: found, told apart, bounded. */
#include "protocols/capture/flow.h"
#include "tests/unit/protocols/capture/packets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND 1000000000

static char diary[8192];
static unsigned open_now;

static void note(const char *format, ...)
{
    size_t n = strlen(diary);
    va_list ap;
    va_start(ap, format);
    vsnprintf(diary + n, sizeof diary - n, format, ap);
    va_end(ap);
}

static const struct nu_flow *last_opened;

static void on_open(void *ctx, struct nu_flow *f)
{
    last_opened = f;
    open_now++;
    note("%llu:open ", (unsigned long long)f->number);
}

static void on_data(void *ctx, struct nu_flow *f, int dir, struct nu_piece bytes, int64_t ns)
{
    note("%llu%c%.*s ", (unsigned long long)f->number, "><"[dir], (int)bytes.len,
         (const char *)bytes.data);
}

static void on_gap(void *ctx, struct nu_flow *f, int dir, uint64_t bytes, int64_t ns)
{
    note("%llu%cgap%llu ", (unsigned long long)f->number, "><"[dir], (unsigned long long)bytes);
}

static void on_end(void *ctx, struct nu_flow *f, int dir, enum nu_flow_end how, int64_t ns)
{
    note("%llu%c%s ", (unsigned long long)f->number, "><"[dir], how == NU_FLOW_RST ? "rst" : "fin");
}

static void on_close(void *ctx, struct nu_flow *f)
{
    open_now--;
    note("%llu:close ", (unsigned long long)f->number);
}

static const struct nu_flow_handler handler = {on_open, on_data, on_gap, on_end, on_close};

static struct nu_flows *flows;
static int64_t now;

static int setup(void **state)
{
    flows = nu_flows_new(&handler, NULL, 1 << 20);
    now = 0;
    *diary = '\0';
    return 0;
}

static int teardown(void **state)
{
    nu_flows_free(flows);
    assert_int_equal(open_now, 0);
    return 0;
}

static void check_diary(const char *expected)
{
    assert_string_equal(diary, expected);
    *diary = '\0';
}

static void client(unsigned port, uint32_t seq, unsigned flags, const char *text)
{
    struct packet seg = tcp_segment(port, 80, seq, 0, flags, text);
    struct packet p = ip4(1, 2, 6, &seg, 0, seg.len, false);
    nu_flows_packet(flows, piece_of(&p), now);
}

static void server(unsigned port, uint32_t seq, unsigned flags, const char *text)
{
    struct packet seg = tcp_segment(80, port, seq, 0, flags, text);
    struct packet p = ip4(2, 1, 6, &seg, 0, seg.len, false);
    nu_flows_packet(flows, piece_of(&p), now);
}

static void test_both_ways(void **state)
{
    client(1000, 10, NU_TCP_SYN, "");
    server(1000, 50, NU_TCP_SYN | NU_TCP_ACK, "");
    client(1000, 11, 0, "ask");
    client(1001, 70, NU_TCP_SYN, "");
    server(1000, 51, 0, "answer");
    server(1000, 57, NU_TCP_FIN, "");
    client(1000, 14, NU_TCP_FIN, "");
    check_diary("1:open 1>ask 2:open 1<answer 1<fin 1>fin ");
    client(1000, 11, 0, "ask"); /* late and twice */
    now = 6 * (int64_t)SECOND;
    client(1001, 71, 0, "go");
    check_diary("2>go 1:close ");
}

/* A window that stays closed was closed once. */
static void test_zero_windows(void **state)
{
    static const unsigned windows[] = {500, 0, 0, 0, 500, 0, 9};
    client(1000, 10, NU_TCP_SYN, "");
    server(1000, 50, NU_TCP_SYN | NU_TCP_ACK, "");
    client(1000, 11, NU_TCP_ACK, "ask");
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        struct packet seg = tcp_segment(80, 1000, 51, 14, NU_TCP_ACK, "");
        put16(seg.bytes + 14, windows[i]);
        struct packet p = ip4(2, 1, 6, &seg, 0, seg.len, false);
        nu_flows_packet(flows, piece_of(&p), now);
    }
    assert_int_equal(last_opened->zero_windows, 2);
}

/* The same without a SYN: nobody sends behind his FIN. Late segments are no new connection. */
static void test_ports_used_again_unseen(void **state)
{
    client(1000, 10, NU_TCP_SYN, "");
    server(1000, 50, NU_TCP_SYN | NU_TCP_ACK, "");
    client(1000, 11, NU_TCP_FIN, "ask");
    server(1000, 51, NU_TCP_FIN, "answer");
    check_diary("1:open 1>ask 1>fin 1<answer 1<fin ");
    client(1000, 11, 0, "ask");
    client(1000, 13, 0, "k");
    server(1000, 57, NU_TCP_FIN, "");
    check_diary("");
    client(1000, 700, 0, "next");
    server(1000, 900, 0, "yes");
    check_diary("1:close 2:open 2>next 2<yes ");
    client(1000, 704, NU_TCP_FIN, "");
    server(1000, 903, NU_TCP_FIN, "");
    server(1000, 903 - (1u << 30), 0, "far");
    check_diary("2>fin 2<fin 2:close 3:open 3>far ");
}

/* No packet comes: what is over is closed by the clock. */
static void test_over_by_the_clock(void **state)
{
    client(1000, 10, NU_TCP_SYN, "");
    server(1000, 50, NU_TCP_SYN | NU_TCP_ACK | NU_TCP_FIN, "");
    client(1000, 11, NU_TCP_FIN, "");
    client(1001, 70, NU_TCP_SYN, "");
    check_diary("1:open 1<fin 1>fin 2:open ");
    nu_flows_tick(flows, NU_FLOW_LINGER_NS - 1);
    check_diary("");
    nu_flows_tick(flows, NU_FLOW_LINGER_NS);
    check_diary("1:close ");
    nu_flows_tick(flows, NU_FLOW_IDLE_NS);
    check_diary("2:close ");
}

static void test_links_that_are_not_read(void **state)
{
    static const uint8_t frame[20] = {[12] = 0x08, [13] = 0x06}; /* ARP */
    nu_flows_frame(flows, 147, (struct nu_piece){frame, sizeof frame}, now);
    nu_flows_frame(flows, NU_LINK_ETHERNET, (struct nu_piece){frame, sizeof frame}, now);
    struct nu_flow_figures figures = nu_flows_figures(flows);
    assert_int_equal(figures.not_ip, 2);
    assert_int_equal(figures.not_read, 1);
    assert_int_equal(figures.link_not_read, 147);
}

static void test_ports_used_again(void **state)
{
    client(1000, 10, NU_TCP_SYN, "");
    client(1000, 10, NU_TCP_SYN, ""); /* the same, again */
    client(1000, 11, 0, "one");
    client(1000, 9000, NU_TCP_SYN, "");
    client(1000, 9001, 0, "two");
    check_diary("1:open 1>one 1:close 2:open 2>two ");
    server(1000, 5, NU_TCP_RST, "");
    check_diary("2<rst 2>rst ");
}

/* SYN/ACK first: the capture missed what came before, or has it late. */
static void test_who_is_the_client(void **state)
{
    server(1000, 50, NU_TCP_SYN | NU_TCP_ACK, "");
    client(1000, 11, 0, "ask");
    server(1000, 51, 0, "answer");
    check_diary("1:open 1>ask 1<answer ");
    server(2000, 51, 0, "server");
    client(2000, 7, 0, "client");
    check_diary("2:open 2>server 2<client "); /* nobody can know yet */
    nu_flows_finish(flows);
    check_diary("1:close 2:close ");
}

static void turn(void *ctx, struct nu_flow *f, int dir, struct nu_piece bytes, int64_t ns)
{
    char text[NU_ADDR_TEXT_MAX];
    if (!f->sure)
        nu_flow_turn(f);
    note("%c%s ", "><"[dir], nu_addr_str(nu_flow_from(f, dir), text));
}

static void test_turned_by_who_knows(void **state)
{
    static const struct nu_flow_handler knows = {on_open, turn, on_gap, on_end, on_close};
    nu_flows_free(flows);
    flows = nu_flows_new(&knows, NULL, 1 << 20);
    server(2000, 51, 0, "server");
    server(2000, 57, 0, "server");
    client(2000, 7, 0, "client");
    check_diary("1:open >10.0.0.1:2000 <10.0.0.2:80 >10.0.0.1:2000 ");
}

static void test_nothing_of_ends_alone(void **state)
{
    client(1000, 10, NU_TCP_FIN, "");
    client(1000, 10, NU_TCP_RST, "");
    client(1000, 10, NU_TCP_ACK, "");
    check_diary("");
}

static void test_through_tunnels(void **state)
{
    struct packet seg = tcp_segment(1000, 80, 5, 0, 0, "deep"), gre = {
                                                                    .bytes = {0, 0, 8, 0}
    };
    struct packet in = ip4(1, 2, 6, &seg, 0, seg.len, false);
    memcpy(gre.bytes + 4, in.bytes, in.len);
    gre.len = in.len + 4;
    struct packet out = ip4(8, 9, 47, &gre, 0, gre.len, false);
    struct packet twice = ip6(1, 2, 4, out.bytes, out.len);
    nu_flows_packet(flows, piece_of(&twice), 0);
    check_diary("1:open 1>deep ");
    struct packet udp = ip4(1, 2, 17, &seg, 0, seg.len, false);
    nu_flows_packet(flows, piece_of(&udp), 0);
    nu_flows_packet(flows, (struct nu_piece){(const uint8_t *)"?", 1}, 0);
    nu_flows_frame(flows, 1, (struct nu_piece){(const uint8_t *)"macmacmacmac\x08\x06", 14}, 0);
    struct nu_flow_figures figures = nu_flows_figures(flows);
    assert_int_equal(figures.packets, 4);
    assert_int_equal(figures.not_tcp, 1);
    assert_int_equal(figures.not_ip, 1);
    assert_int_equal(figures.broken, 1);
}

static void test_through_fragments(void **state)
{
    struct packet seg = tcp_segment(1000, 80, 5, 0, 0, "in two pieces");
    struct packet one = ip4(1, 2, 6, &seg, 0, 24, true),
                  two = ip4(1, 2, 6, &seg, 24, seg.len - 24, false);
    nu_flows_packet(flows, piece_of(&two), 0);
    nu_flows_packet(flows, piece_of(&one), 0);
    check_diary("1:open 1>in two pieces ");
}

/* Whatever a capture holds, memory stays below what was allowed; who was silent longest goes. */
static void test_memory(void **state)
{
    nu_flows_free(flows);
    flows = nu_flows_new(&handler, NULL, 100000);
    for (unsigned i = 0; i < 60000; i++) {
        client(1 + i % 50000, i * 100, i % 3 ? NU_TCP_SYN : 0, i % 3 ? "" : "early");
        client(1 + i % 50000, i * 100 + 50, 0, "kept");
        assert_true(nu_flows_memory(flows) < 100000 + 1024 * 1024); /* and the table itself */
        *diary = '\0';
    }
    assert_true(nu_flows_figures(flows).evicted > 40000);
    assert_true(open_now < 400);
}

static void test_what_is_kept_is_told_at_the_end(void **state)
{
    client(1000, 10, NU_TCP_SYN, "");
    client(1000, 14, NU_TCP_FIN, "def");
    nu_flows_finish(flows);
    check_diary("1:open 1>gap3 1>def 1>fin 1:close ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_both_ways),
        TEST(test_ports_used_again_unseen),
        TEST(test_zero_windows),
        TEST(test_over_by_the_clock),
        TEST(test_links_that_are_not_read),
        TEST(test_ports_used_again),
        TEST(test_who_is_the_client),
        TEST(test_turned_by_who_knows),
        TEST(test_nothing_of_ends_alone),
        TEST(test_through_tunnels),
        TEST(test_through_fragments),
        TEST(test_memory),
        TEST(test_what_is_kept_is_told_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
