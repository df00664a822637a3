/* IP and TCP packets as tests write them. */
#ifndef NU_TESTS_CAPTURE_PACKETS_H
#define NU_TESTS_CAPTURE_PACKETS_H

#include "protocols/capture/tcp.h"

#include <stdio.h>
#include <string.h>

struct packet {
    uint8_t bytes[2048];
    size_t len;
};

static inline void put16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static inline void put32(uint8_t *at, uint32_t v)
{
    put16(at, v >> 16);
    put16(at + 2, v & 0xffff);
}

static inline struct nu_piece piece_of(const struct packet *p)
{
    return (struct nu_piece){p->bytes, p->len};
}

/* A TCP segment by itself. */
static inline struct packet tcp_segment(unsigned from, unsigned to, uint32_t seq, uint32_t ack,
                                        unsigned flags, const char *text)
{
    struct packet p = {.len = 20 + strlen(text)};
    put16(p.bytes, from);
    put16(p.bytes + 2, to);
    put32(p.bytes + 4, seq);
    put32(p.bytes + 8, ack);
    p.bytes[12] = 0x50;
    p.bytes[13] = (uint8_t)flags;
    put16(p.bytes + 14, 1000);
    memcpy(p.bytes + 20, text, strlen(text));
    return p;
}

/* An IPv4 packet from 10.0.0.`from` to 10.0.0.`to` around a part of `in`; `more`: a fragment. */
static inline struct packet ip4(unsigned from, unsigned to, unsigned protocol,
                                const struct packet *in, size_t at, size_t len, bool more)
{
    struct packet p = {.len = 20 + len};
    p.bytes[0] = 0x45;
    put16(p.bytes + 2, (unsigned)p.len);
    put16(p.bytes + 4, 77);
    put16(p.bytes + 6, (unsigned)(at / 8) | (more ? 0x2000 : 0));
    p.bytes[9] = (uint8_t)protocol;
    memcpy(p.bytes + 12, (uint8_t[]){10, 0, 0, (uint8_t)from, 10, 0, 0, (uint8_t)to}, 8);
    memcpy(p.bytes + 20, in->bytes + at, len);
    return p;
}

/* The same for IPv6, from fd00::`from` to fd00::`to`; `first` is its next header. */
static inline struct packet ip6(unsigned from, unsigned to, unsigned first, const void *in,
                                size_t len)
{
    struct packet p = {.len = 40 + len};
    p.bytes[0] = 0x60;
    put16(p.bytes + 4, (unsigned)len);
    p.bytes[6] = (uint8_t)first;
    p.bytes[8] = p.bytes[24] = 0xfd;
    p.bytes[23] = (uint8_t)from;
    p.bytes[39] = (uint8_t)to;
    memcpy(p.bytes + 40, in, len);
    return p;
}

#endif
