/* Fragments become datagrams again; see ip.h. As Linux does it, a repeated fragment is ignored and
 * one that overlaps another differently costs the whole datagram: who sends such has something to
 * hide. */
#include "core/assert.h"
#include "protocols/capture/ip.h"

#include <stdlib.h>
#include <string.h>

#define DATAGRAM_MAX 65535 /* bytes of payload */
#define NS_PER_MS    1000000

struct range {
    uint32_t at, len;
};

struct datagram {
    bool used;
    struct nu_addr from, to;
    uint32_t id;
    uint8_t protocol;
    int64_t since_ns;
    uint32_t total; /* 0 = the last fragment has not come */
    uint32_t have;
    unsigned count;
    struct range range[NU_IP_FRAGMENTS_MOST];
    uint8_t *bytes; /* DATAGRAM_MAX */
};

struct nu_ip_fragments {
    struct datagram *waiting; /* NU_IP_FRAGMENTED; made with the first fragment */
    uint64_t lost;
    size_t memory;
};

struct nu_ip_fragments *nu_ip_fragments_new(void)
{
    struct nu_ip_fragments *f = calloc(1, sizeof *f);
    nu_assert(f != NULL);
    return f;
}

void nu_ip_fragments_free(struct nu_ip_fragments *f)
{
    if (!f)
        return;
    for (int i = 0; f->waiting && i < NU_IP_FRAGMENTED; i++)
        free(f->waiting[i].bytes);
    free(f->waiting);
    free(f);
}

static void *claim(struct nu_ip_fragments *f, size_t count, size_t bytes)
{
    void *p = calloc(count, bytes);
    nu_assert(p != NULL);
    f->memory += count * bytes;
    return p;
}

static bool is_of(const struct datagram *d, const struct nu_ip *ip)
{
    return d->used && d->id == ip->id && d->protocol == ip->protocol &&
           nu_addr_equal(&d->from, &ip->from) && nu_addr_equal(&d->to, &ip->to);
}

static void begin(struct nu_ip_fragments *f, struct datagram *d, const struct nu_ip *ip, int64_t ns)
{
    uint8_t *bytes = d->bytes ? d->bytes : claim(f, 1, DATAGRAM_MAX);
    f->lost += d->used;
    *d = (struct datagram){.used = true,
                           .from = ip->from,
                           .to = ip->to,
                           .id = ip->id,
                           .protocol = ip->protocol,
                           .since_ns = ns,
                           .bytes = bytes};
}

static struct datagram *find(struct nu_ip_fragments *f, const struct nu_ip *ip, int64_t ns)
{
    if (!f->waiting)
        f->waiting = claim(f, NU_IP_FRAGMENTED, sizeof *f->waiting);
    struct datagram *oldest = f->waiting;
    for (int i = 0; i < NU_IP_FRAGMENTED; i++) {
        struct datagram *d = &f->waiting[i];
        bool late = ns - d->since_ns > (int64_t)NU_IP_FRAGMENTS_MS * NS_PER_MS;
        if (is_of(d, ip) && !late)
            return d;
        if (!d->used || (oldest->used && d->since_ns < oldest->since_ns))
            oldest = d;
    }
    begin(f, oldest, ip, ns);
    return oldest;
}

/* NU_OK: new; NU_NOT_THIS: it was there before. */
static enum nu_err check(const struct datagram *d, struct range new)
{
    if (new.at + new.len > DATAGRAM_MAX || d->count == NU_IP_FRAGMENTS_MOST)
        return NU_ERR_LIMIT;
    for (unsigned i = 0; i < d->count; i++) {
        struct range r = d->range[i];
        if (r.at == new.at && r.len == new.len)
            return NU_NOT_THIS;
        if (new.at < r.at + r.len && r.at < new.at + new.len)
            return NU_ERR_SYNTAX;
    }
    return NU_OK;
}

static enum nu_err give_up(struct nu_ip_fragments *f, struct datagram *d, enum nu_err err)
{
    d->used = false;
    f->lost++;
    return err;
}

/* Where the datagram ends, if this fragment tells. False: two tell differently. */
static bool set_total(struct datagram *d, const struct nu_ip *ip)
{
    uint32_t end = ip->at + (uint32_t)ip->payload.len;
    if (!ip->more && d->total && d->total != end)
        return false;
    if (!ip->more)
        d->total = end;
    return !d->total || end <= d->total;
}

enum nu_err nu_ip_fragments_add(struct nu_ip_fragments *f, struct nu_ip *ip, int64_t time_ns)
{
    struct datagram *d = find(f, ip, time_ns);
    struct range new = {ip->at, (uint32_t)ip->payload.len};
    if (ip->payload.len < ip->wire_len) /* the snap length cut it: it will never be whole */
        return give_up(f, d, NU_ERR_SYNTAX);
    enum nu_err err = check(d, new);
    if (err == NU_NOT_THIS)
        return NU_MORE;
    if (err || !set_total(d, ip))
        return give_up(f, d, err ? err : NU_ERR_SYNTAX);
    memcpy(d->bytes + new.at, ip->payload.data, new.len);
    d->range[d->count++] = new;
    d->have += new.len;
    if (!d->total || d->have < d->total)
        return NU_MORE;
    d->used = false;
    ip->payload = (struct nu_piece){d->bytes, d->total};
    ip->wire_len = d->total;
    ip->fragment = false;
    return ip->from.kind == NU_ADDR_IP6 ? nu_ip_strip(ip) : NU_OK;
}

uint64_t nu_ip_fragments_lost(const struct nu_ip_fragments *f)
{
    return f->lost;
}

size_t nu_ip_fragments_memory(const struct nu_ip_fragments *f)
{
    return f->memory;
}
