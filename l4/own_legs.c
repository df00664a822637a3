/* A hash table of our own connections; see own_legs.h. */
#include "l4/own_legs.h"

#include <pthread.h>
#include <unistd.h>

#define BUCKETS 1024 /* a power of two; lists of ten at 10,000 connections */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nu_list table[BUCKETS]; /* zeroed: not made yet */

static struct nu_list *bucket(const struct nu_addr *from, const struct nu_addr *to)
{
    uint64_t h = nu_addr_hash(from) * 31 + nu_addr_hash(to);
    struct nu_list *b = &table[(h ^ h >> 32) & (BUCKETS - 1)];
    if (!b->next)
        nu_list_init(b);
    return b;
}

/* Zones are names for the same wire. */
static bool same_end(struct nu_addr a, struct nu_addr b)
{
    a.scope = b.scope = 0;
    return nu_addr_equal(&a, &b);
}

void nu_own_legs_add(struct nu_own_leg *leg, int fd, const struct nu_addr *to)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&ss, &len))
        return;
    nu_addr_from_sockaddr(&leg->from, &ss, len);
    leg->to = *to;
    leg->listed = true;
    pthread_mutex_lock(&lock);
    nu_list_add_tail(bucket(&leg->from, to), &leg->link);
    pthread_mutex_unlock(&lock);
}

void nu_own_legs_del(struct nu_own_leg *leg)
{
    if (!leg->listed)
        return;
    leg->listed = false;
    pthread_mutex_lock(&lock);
    nu_list_del(&leg->link);
    pthread_mutex_unlock(&lock);
}

bool nu_own_legs_have(const struct nu_addr *from, const struct nu_addr *to)
{
    bool found = false;
    pthread_mutex_lock(&lock);
    nu_list_each (it, bucket(from, to)) {
        const struct nu_own_leg *leg = nu_container(it, struct nu_own_leg, link);
        if (same_end(leg->from, *from) && same_end(leg->to, *to)) {
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static bool can_bind(struct nu_addr addr)
{
    struct sockaddr_storage ss;
    addr.port = 0;
    socklen_t len = nu_addr_to_sockaddr(&addr, &ss);
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&ss, len) == 0;
    if (fd >= 0)
        close(fd);
    return bound;
}

bool nu_addr_is_ours(const struct nu_addr *addr)
{
    static const struct nu_addr nobody4 = {
        .kind = NU_ADDR_IP4, .ip = {192, 0, 2, 1}
    };
    static const struct nu_addr nobody6 = {
        .kind = NU_ADDR_IP6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}
    };
    if (addr->kind != NU_ADDR_IP4 && addr->kind != NU_ADDR_IP6)
        return false;
    /* Where net.ipv4.ip_nonlocal_bind lets everybody bind everything, it says nothing. */
    return can_bind(*addr) && !can_bind(addr->kind == NU_ADDR_IP4 ? nobody4 : nobody6);
}
