/* Makes ClientHellos from parts, and cuts them into records, for tests. */
#ifndef TESTS_UNIT_HELLO_MAKER_H
#define TESTS_UNIT_HELLO_MAKER_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    uint8_t data[160 * 1024];
    size_t len;
};

static inline void put(struct bytes *b, const void *data, size_t len)
{
    assert(b->len + len <= sizeof b->data);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

/* `width` bytes, big-endian. */
static inline void put_n(struct bytes *b, unsigned width, unsigned value)
{
    while (width--)
        put(b, (uint8_t[]){(uint8_t)(value >> 8 * width)}, 1);
}

static inline void put_vec(struct bytes *b, unsigned width, const void *data, size_t len)
{
    put_n(b, width, (unsigned)len);
    put(b, data, len);
}

static inline void put_ext(struct bytes *b, unsigned type, const void *body, size_t len)
{
    put_n(b, 2, type);
    put_vec(b, 2, body, len);
}

/* A server_name extension with one name of the given type. */
static inline void put_sni(struct bytes *b, unsigned type, const void *name, size_t len)
{
    put_n(b, 2, 0);
    put_n(b, 2, (unsigned)len + 5);
    put_n(b, 2, (unsigned)len + 3);
    put_n(b, 1, type);
    put_vec(b, 2, name, len);
}

/* A handshake message of that type around a body. */
static inline void put_message(struct bytes *b, unsigned type, const void *body, size_t len)
{
    put_n(b, 1, type);
    put_vec(b, 3, body, len);
}

/* Up to and with the compression methods: version 3.3, empty session id, two ciphers. */
static inline void put_fixed_part(struct bytes *b)
{
    put_n(b, 2, 0x0303);
    for (unsigned i = 0; i < 32; i++)
        put_n(b, 1, i);
    put_vec(b, 1, "", 0);
    put_vec(b, 2, "\x13\x01\xc0\x2f", 4);
    put_vec(b, 1, "", 1);
}

/* A ClientHello message around a block of extensions. */
static inline void put_hello(struct bytes *b, const void *exts, size_t len)
{
    static struct bytes body;
    body.len = 0;
    put_fixed_part(&body);
    put_vec(&body, 2, exts, len);
    put_message(b, 1, body.data, body.len);
}

static inline void put_record(struct bytes *b, unsigned type, const void *payload, size_t len)
{
    put_n(b, 1, type);
    put_n(b, 2, 0x0301);
    put_vec(b, 2, payload, len);
}

/* Handshake records of at most `each` payload bytes. */
static inline void put_records(struct bytes *b, const void *payload, size_t len, size_t each)
{
    const uint8_t *p = payload;
    for (size_t at = 0; at < len; at += each)
        put_record(b, 22, p + at, len - at < each ? len - at : each);
}

/* What the tests of a file work on: extensions, the message around them, the records around it. */
static struct bytes exts, msg, wire;

static inline void start(void)
{
    exts.len = msg.len = wire.len = 0;
}

/* One record around one hello with the extensions at hand. */
static inline void make_wire(void)
{
    put_hello(&msg, exts.data, exts.len);
    put_records(&wire, msg.data, msg.len, 16384);
}

static inline void put_usual_extensions(void)
{
    put_ext(&exts, 0x1a1a, "", 0);
    put_sni(&exts, 0, "a.Test", 6);
    put_ext(&exts, 10, "\0\6\x2a\x2a\0\x1d\0\x17", 8);
    put_ext(&exts, 11, "\1\0", 2);
    put_ext(&exts, 13, "\0\4\4\3\x8\4", 6);
    put_ext(&exts, 16, "\0\xc\2h2\x8http/1.1", 14);
    put_ext(&exts, 43, "\6\x3a\x3a\3\4\3\3", 7);
    put_ext(&exts, 0xfe0d, "outer ECH is only an extension", 30);
    put_ext(&exts, 0x9a9a, "\0", 1);
}

#endif
