/* IP packets of a capture: headers, extension headers, fragments put together again. */
#ifndef NU_PROTOCOLS_CAPTURE_IP_H
#define NU_PROTOCOLS_CAPTURE_IP_H

#include "core/addr.h"
#include "protocols/capture/link.h"

#include <stdbool.h>

#define NU_IP_FRAGMENTED     64    /* datagrams that wait for fragments; the oldest makes room */
#define NU_IP_FRAGMENTS_MOST 512   /* of one datagram: 64 KiB in pieces of 128 bytes */
#define NU_IP_FRAGMENTS_MS   30000 /* that a datagram waits for the rest (RFC 8200 4.5: 60 s) */

struct nu_ip {
    struct nu_addr from, to; /* without ports */
    uint8_t protocol;        /* of the payload: 6 = TCP */
    struct nu_piece payload; /* as far as it was captured */
    size_t wire_len;         /* of the payload, as the headers say */

    /* --- of a fragment --- */
    bool fragment, more;
    uint32_t id;
    uint32_t at; /* bytes, in the datagram's payload */
};

/* Reads the headers, IPv6's extensions included; `payload` lies in `packet`. NU_ERR_SYNTAX: cut or
 * broken within them. */
enum nu_err nu_ip_parse(struct nu_piece packet, struct nu_ip *out);

/* Takes IPv6's extension headers off the payload, up to a fragment's: those behind it are the whole
 * datagram's. */
enum nu_err nu_ip_strip(struct nu_ip *ip);

struct nu_ip_fragments;
struct nu_ip_fragments *nu_ip_fragments_new(void);
void nu_ip_fragments_free(struct nu_ip_fragments *f);
/* Takes a fragment, in `ip`. NU_OK: the datagram is whole; `ip` is that, its payload valid until
 * the next call. NU_MORE: it waits for others. NU_ERR_SYNTAX: fragments overlap, and none of them
 * is believed (RFC 5722). NU_ERR_LIMIT: too many, or more than 64 KiB. */
enum nu_err nu_ip_fragments_add(struct nu_ip_fragments *f, struct nu_ip *ip, int64_t time_ns);
/* Datagrams given up, and bytes held, for figures. */
uint64_t nu_ip_fragments_lost(const struct nu_ip_fragments *f);
size_t nu_ip_fragments_memory(const struct nu_ip_fragments *f);

#endif
