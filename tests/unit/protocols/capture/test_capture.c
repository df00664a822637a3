/* Capture files: both formats in each byte order and resolution, cut anywhere, and damaged. */
#include "protocols/capture/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A file that is being written, in either byte order. */
struct file {
    uint8_t bytes[4096];
    size_t len;
    bool swapped;
};

static void put(struct file *f, const void *bytes, size_t len)
{
    memcpy(f->bytes + f->len, bytes, len);
    f->len += len;
}

static void u32(struct file *f, uint32_t v)
{
    v = f->swapped ? __builtin_bswap32(v) : v;
    put(f, &v, sizeof v);
}

static void u16(struct file *f, uint16_t v)
{
    v = f->swapped ? __builtin_bswap16(v) : v;
    put(f, &v, sizeof v);
}

static void pcap_header(struct file *f, uint32_t magic, uint32_t link)
{
    u32(f, magic);
    u16(f, 2);
    u16(f, 4);
    u32(f, 0);
    u32(f, 0);
    u32(f, 65535);
    u32(f, link);
}

static void pcap_packet(struct file *f, uint32_t s, uint32_t ticks, const char *text, uint32_t wire)
{
    u32(f, s);
    u32(f, ticks);
    u32(f, (uint32_t)strlen(text));
    u32(f, wire);
    put(f, text, strlen(text));
}

/* A pcapng block around `len` bytes of `body`, padded. */
static void block(struct file *f, uint32_t type, const void *body, size_t len)
{
    static const uint8_t zero[4];
    uint32_t total = (uint32_t)(12 + ((len + 3) & ~(size_t)3));
    u32(f, type);
    u32(f, total);
    put(f, body, len);
    put(f, zero, total - 12 - len);
    u32(f, total);
}

static void section(struct file *f)
{
    struct file b = {.swapped = f->swapped};
    u32(&b, 0x1a2b3c4d);
    u16(&b, 1);
    u16(&b, 0);
    u32(&b, UINT32_MAX);
    u32(&b, UINT32_MAX);
    block(f, 0x0a0d0d0a, b.bytes, b.len);
}

/* With if_tsresol, and if_tsoffset where that is not 0. */
static void interface(struct file *f, uint16_t link, uint8_t resolution, uint32_t offset)
{
    struct file b = {.swapped = f->swapped};
    u16(&b, link);
    u16(&b, 0);
    u32(&b, 300);
    u16(&b, 9);
    u16(&b, 1);
    put(&b, (uint8_t[]){resolution, 0, 0, 0}, 4);
    if (offset) {
        u16(&b, 14);
        u16(&b, 8);
        u32(&b, f->swapped ? 0 : offset);
        u32(&b, f->swapped ? offset : 0);
    }
    u32(&b, 0);
    block(f, 1, b.bytes, b.len);
}

static void packet(struct file *f, uint32_t number, uint64_t ticks, const char *text, uint32_t wire)
{
    struct file b = {.swapped = f->swapped};
    u32(&b, number);
    u32(&b, (uint32_t)(ticks >> 32));
    u32(&b, (uint32_t)ticks);
    u32(&b, (uint32_t)strlen(text));
    u32(&b, wire);
    put(&b, text, strlen(text));
    block(f, 6, b.bytes, b.len);
}

/* Reads the file in steps of at most `step` bytes beyond what is asked for; writes what it finds as
 * text. */
static enum nu_err read_all(const struct file *f, size_t step, char *out, size_t cap)
{
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    size_t at = 0, end = 0, used;
    enum nu_err err;
    *out = '\0';
    for (;;) {
        err = nu_capture_next(c, f->bytes + at, end - at, &used, &ev);
        at += used;
        size_t n = strlen(out);
        if (err == NU_OK)
            snprintf(out + n, cap - n, "%s%u/%u %lld.%09lld %.*s(%u)\n",
                     ev.kind == NU_CAPTURE_SECRETS ? "secrets " : "", ev.interface, ev.link,
                     (long long)(ev.time_ns / 1000000000), (long long)(ev.time_ns % 1000000000),
                     (int)ev.len, (const char *)ev.data, ev.wire_len);
        else if (err != NU_MORE || end == f->len)
            break;
        else if (end < f->len)
            end = end + step < f->len ? end + step : f->len;
    }
    if (err == NU_MORE)
        err = nu_capture_may_end(c, end - at) ? NU_OK : NU_MORE;
    else
        assert_string_not_equal(nu_capture_error(c), "");
    nu_capture_free(c);
    return err;
}

static void check_text(const struct file *f, const char *expected)
{
    static const size_t steps[] = {1, 7, 4096};
    char out[2048];
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(read_all(f, steps[i], out, sizeof out), NU_OK);
        assert_string_equal(out, expected);
    }
}

static void test_pcap_in_all_forms(void **state)
{
    for (int swapped = 0; swapped < 2; swapped++) {
        struct file us = {.swapped = swapped}, ns = {.swapped = swapped};
        pcap_header(&us, 0xa1b2c3d4, 0x10000001); /* with a word on checksums */
        pcap_packet(&us, 1700000000, 5, "one", 3);
        pcap_packet(&us, 4000000000, 999999, "two", 1500);
        check_text(&us, "0/1 1700000000.000005000 one(3)\n0/1 4000000000.999999000 two(1500)\n");
        pcap_header(&ns, 0xa1b23c4d, 113);
        pcap_packet(&ns, 1, 999999999, "", 0);
        check_text(&ns, "0/113 1.999999999 (0)\n");
    }
}

static void test_pcapng_with_many_interfaces(void **state)
{
    for (int swapped = 0; swapped < 2; swapped++) {
        struct file f = {.swapped = swapped};
        struct file secrets = {.swapped = swapped}, old = {.swapped = swapped};
        section(&f);
        interface(&f, 1, 6, 0);
        interface(&f, 276, 9, 1000);
        packet(&f, 1, 1500000001, "nano", 4);
        block(&f, 0x0bad, "who knows", 9);
        packet(&f, 0, 2500000, "micro", 50);
        u32(&secrets, 0x544c534b);
        u32(&secrets, 9);
        put(&secrets, "CLIENT_R\n", 9);
        block(&f, 10, secrets.bytes, secrets.len);
        u32(&old, 4);
        put(&old, "snap", 4);
        block(&f, 3, old.bytes, old.len);
        section(&f);
        interface(&f, 101, 0x80 | 10, 0); /* 1/1024 s */
        packet(&f, 0, 1024 * 7 + 512, "half", 4);
        check_text(&f, "1/276 1001.500000001 nano(4)\n0/1 2.500000000 micro(50)\n"
                       "secrets 0/0 0.000000000 CLIENT_R\n(9)\n0/1 0.000000000 snap(4)\n"
                       "2/101 7.500000000 half(4)\n");
    }
}

/* Wherever a file is cut, what was whole before is read, and the cut is told. */
static void test_cut_anywhere(void **state)
{
    struct file f = {0};
    char whole[512], part[512];
    section(&f);
    interface(&f, 1, 6, 0);
    packet(&f, 0, 1, "first", 5);
    packet(&f, 0, 2, "second", 6);
    size_t len = f.len, whole_ones = 0;
    assert_int_equal(read_all(&f, 4096, whole, sizeof whole), NU_OK);
    for (f.len = 0; f.len < len; f.len++) {
        enum nu_err err = read_all(&f, 5, part, sizeof part);
        whole_ones += err == NU_OK;
        assert_true(err == NU_MORE || err == NU_OK);
        assert_memory_equal(part, whole, strlen(part));
    }
    assert_int_equal(whole_ones, 3); /* behind the section, the interface, the first packet */
}

static void test_damage(void **state)
{
    struct file base = {0};
    char out[512];
    section(&base);
    interface(&base, 1, 6, 0);
    size_t at = base.len;
    packet(&base, 0, 1, "abcd", 4);
    const struct {
        size_t at;
        uint32_t value;
        enum nu_err err;
    } cases[] = {
        {0,       0x12345678, NU_NOT_THIS  },
        {8,       7,          NU_ERR_SYNTAX}, /* the section's magic */
        {12,      9,          NU_ERR_SYNTAX}, /* its version */
        {at + 4,  8,          NU_ERR_SYNTAX}, /* a block shorter than its frame */
        {at + 4,  37,         NU_ERR_SYNTAX},
        {at + 4,  0x7ffffffc, NU_ERR_LIMIT },
        {at + 8,  1,          NU_ERR_SYNTAX}, /* the interface */
        {at + 20, 5,          NU_ERR_SYNTAX}, /* captured beyond the block */
        {at + 32, 40,         NU_ERR_SYNTAX}, /* the second length */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file f = base;
        memcpy(f.bytes + cases[i].at, &cases[i].value, 4);
        assert_int_equal(read_all(&f, 4096, out, sizeof out), cases[i].err);
        assert_string_equal(out, "");
    }
}

static void test_pcap_damage(void **state)
{
    struct file f = {0};
    char out[512];
    pcap_header(&f, 0xa1b2c3d4, 1);
    pcap_packet(&f, 1, 1, "abc", 3);
    pcap_packet(&f, 1, 1, "abc", 3);
    uint32_t huge = NU_CAPTURE_PACKET_MAX + 1;
    memcpy(f.bytes + 24 + 19 + 8, &huge, 4);
    assert_int_equal(read_all(&f, 4096, out, sizeof out), NU_ERR_LIMIT);
    assert_string_equal(out, "0/1 1.000001000 abc(3)\n");
    f.bytes[4] = 3;
    assert_int_equal(read_all(&f, 4096, out, sizeof out), NU_ERR_SYNTAX);
}

static void test_interfaces_have_a_cap(void **state)
{
    static struct file f;
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    size_t used;
    f = (struct file){0};
    section(&f);
    assert_int_equal(nu_capture_next(c, f.bytes, f.len, &used, &ev), NU_MORE);
    f.len = 0;
    interface(&f, 1, 6, 0);
    for (int i = 0; i < NU_CAPTURE_INTERFACES; i++)
        assert_int_equal(nu_capture_next(c, f.bytes, f.len, &used, &ev), NU_MORE);
    assert_int_equal(nu_capture_next(c, f.bytes, f.len, &used, &ev), NU_ERR_LIMIT);
    nu_capture_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pcap_in_all_forms),
        cmocka_unit_test(test_pcapng_with_many_interfaces),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_pcap_damage),
        cmocka_unit_test(test_interfaces_have_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
