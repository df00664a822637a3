/* A name server of a few lines for tests: answers from a table that the test changes as it goes, on
 * a UDP socket of 127.0.0.1, when the test says so. Counts what it was asked. */
#ifndef TESTS_DNS_HELP_H
#define TESTS_DNS_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28 };
enum { DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_REFUSED = 5 };

/* What is known of a name. Names that are not in the table do not exist. */
struct dns_row {
    const char *name;
    const char *a[4], *aaaa[4]; /* none: the name has no such record */
    uint32_t ttl;
    const char *cname; /* the records are this name's */
    uint32_t cname_ttl;
    int rcode;
    bool silent;
};

struct dns {
    int fd;
    char address[32]; /* "127.0.0.1:PORT" */
    struct dns_row *rows;
    unsigned asked; /* questions, A and AAAA apart */
    unsigned from;  /* port that the last one came from that was answered */
};

struct dns_out {
    uint8_t bytes[512];
    size_t len;
};

static inline void dns_put(struct dns_out *out, const void *bytes, size_t len)
{
    assert_in_range(out->len + len, 0, sizeof out->bytes);
    memcpy(out->bytes + out->len, bytes, len);
    out->len += len;
}

static inline void dns_put16(struct dns_out *out, unsigned n)
{
    dns_put(out, (uint8_t[]){(uint8_t)(n >> 8), (uint8_t)n}, 2);
}

static inline void dns_put_name(struct dns_out *out, const char *name)
{
    while (*name) {
        size_t len = strcspn(name, ".");
        dns_put(out, &(uint8_t){(uint8_t)len}, 1);
        dns_put(out, name, len);
        name += len + (name[len] == '.');
    }
    dns_put(out, "", 1);
}

static inline void dns_put_record(struct dns_out *out, const char *owner, unsigned type,
                                  uint32_t ttl, const void *data, size_t len)
{
    dns_put_name(out, owner);
    dns_put16(out, type);
    dns_put16(out, 1);
    dns_put16(out, ttl >> 16);
    dns_put16(out, ttl & 0xffff);
    dns_put16(out, (unsigned)len);
    dns_put(out, data, len);
    out->bytes[7]++;
}

static inline void dns_put_addresses(struct dns_out *out, const struct dns_row *row, unsigned type)
{
    const char *owner = row->cname ? row->cname : row->name;
    const char *const *texts = type == DNS_A ? row->a : row->aaaa;
    for (int i = 0; i < 4 && texts[i]; i++) {
        uint8_t addr[16];
        assert_int_equal(inet_pton(type == DNS_A ? AF_INET : AF_INET6, texts[i], addr), 1);
        dns_put_record(out, owner, type, row->ttl, addr, type == DNS_A ? 4 : 16);
    }
}

/* The question's name as text; returns the bytes that it took. */
static inline size_t dns_read_name(const uint8_t *at, char *name)
{
    size_t len = 0;
    for (; at[len]; len += at[len] + 1u) {
        memcpy(name + len, at + len + 1, at[len]);
        name[len + at[len]] = '.';
    }
    name[len ? len - 1 : 0] = 0;
    return len + 1;
}

static inline struct dns_row *dns_find(struct dns *dns, const char *name)
{
    for (struct dns_row *row = dns->rows; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

static inline void dns_answer(struct dns *dns, const uint8_t *question, size_t len,
                              const struct sockaddr_in *from)
{
    char name[256] = "";
    struct dns_out out = {.len = 0};
    size_t name_len = dns_read_name(question + 12, name);
    unsigned type = question[12 + name_len] << 8 | question[13 + name_len];
    const struct dns_row *row = dns_find(dns, name);
    dns->asked++;
    if (row && row->silent)
        return;
    dns->from = ntohs(from->sin_port);
    dns_put(&out, question, 12 + name_len + 4);
    memcpy(out.bytes + 2, (uint8_t[]){0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, 10);
    out.bytes[3] |= (uint8_t)(row ? row->rcode : DNS_NXDOMAIN);
    if (row && row->cname && !row->rcode) {
        struct dns_out target = {.len = 0};
        dns_put_name(&target, row->cname);
        dns_put_record(&out, row->name, DNS_CNAME, row->cname_ttl, target.bytes, target.len);
    }
    if (row && !row->rcode)
        dns_put_addresses(&out, row, type);
    sendto(dns->fd, out.bytes, out.len, 0, (const struct sockaddr *)from, sizeof *from);
}

/* Answers what has been asked; waits `wait_ms` for a question at most. */
static inline void dns_serve(struct dns *dns, int wait_ms)
{
    uint8_t buf[512];
    struct sockaddr_in from = {0};
    socklen_t from_len = sizeof from;
    poll(&(struct pollfd){.fd = dns->fd, .events = POLLIN}, 1, wait_ms);
    ssize_t n;
    while ((n = recvfrom(dns->fd, buf, sizeof buf, MSG_DONTWAIT, (struct sockaddr *)&from,
                         &from_len)) > 12)
        dns_answer(dns, buf, (size_t)n, &from);
}

static inline struct dns dns_start(struct dns_row *rows)
{
    struct dns dns = {.rows = rows};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    dns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(dns.fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(dns.fd, (struct sockaddr *)&at, &len), 0);
    snprintf(dns.address, sizeof dns.address, "127.0.0.1:%u", ntohs(at.sin_port));
    return dns;
}

static inline void dns_stop(struct dns *dns)
{
    close(dns->fd);
}

#endif
