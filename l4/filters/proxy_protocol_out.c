/* The PROXY header of a leg. Internal: a cluster's `proxy_protocol` key puts it there.
 *
 * Faces: bytes. Sees: nothing; bytes pass. Stores: the header, from `open` to `start`, at most
 * NU_PROXY_MAX_BYTES. END: passes. Holds: never; the socket ahead holds until it is connected.
 * `close` drops a header that was never sent. */
#include "l4/filters/proxy_protocol_out.h"

#include "protocols/proxy_protocol.h"

#include <string.h>

struct proxy_out {
    struct nu_filter filter;
    struct nu_slice header;
};

void nu_proxy_out_conf(struct nu_proxy_out_conf *out, int version, struct nu_chain *client)
{
    const struct nu_facts *facts = nu_chain_facts(client);
    *out = (struct nu_proxy_out_conf){
        .version = version,
        .client = facts->client,
        .local = facts->local,
        .sni = facts->more ? facts->more->sni : NULL,
        .alpn = facts->more ? facts->more->alpn : NULL,
    };
}

static struct nu_proxy_bytes bytes_of(const char *text, size_t len)
{
    return (struct nu_proxy_bytes){(const uint8_t *)text, len};
}

/* A TLV that does not fit costs itself, not the header. */
static size_t write_v2(uint8_t *out, const struct nu_proxy_out_conf *conf)
{
    struct nu_proxy_v2 what = {.src = &conf->client,
                               .dst = &conf->local,
                               .local = conf->client.kind == NU_ADDR_NONE}; /* on our own account */
    if (conf->sni)
        what.authority = bytes_of(conf->sni, strlen(conf->sni));
    if (conf->alpn)
        what.alpn = bytes_of(conf->alpn, strcspn(conf->alpn, ","));
    size_t len = nu_proxy_write_v2(out, NU_PROXY_MAX_BYTES, &what);
    if (len)
        return len;
    what.authority = what.alpn = bytes_of(NULL, 0);
    return nu_proxy_write_v2(out, NU_PROXY_MAX_BYTES, &what);
}

static enum nu_open proxy_open(struct nu_filter *f, const void *conf)
{
    const struct nu_proxy_out_conf *c = conf;
    uint8_t bytes[NU_PROXY_MAX_BYTES];
    size_t len =
        c->version == 1 ? nu_proxy_write_v1(bytes, &c->client, &c->local) : write_v2(bytes, c);
    ((struct proxy_out *)f)->header = nu_slice_copy(nu_filter_loop(f)->blocks, bytes, len);
    return NU_OPEN;
}

static void proxy_start(struct nu_filter *f)
{
    struct nu_slice header = ((struct proxy_out *)f)->header;
    ((struct proxy_out *)f)->header = (struct nu_slice){0};
    nu_forward_data(f, NU_FWD, header);
}

static void proxy_close(struct nu_filter *f)
{
    nu_slice_drop(&((struct proxy_out *)f)->header);
}

const struct nu_filter_type nu_filter_proxy_out = {
    .name = "proxy_protocol_out",
    .doc = "Sends a PROXY header ahead of a leg's bytes.",
    .size = sizeof(struct proxy_out),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .open = proxy_open,
    .start = proxy_start,
    .close = proxy_close,
};
