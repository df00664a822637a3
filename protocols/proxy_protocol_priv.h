/* What reading and writing of PROXY headers share. */
#ifndef NU_PROTOCOLS_PROXY_PROTOCOL_PRIV_H
#define NU_PROTOCOLS_PROXY_PROTOCOL_PRIV_H

#include "protocols/proxy_protocol.h"

#define PROXY_V2_HEAD     16 /* signature, version and command, family, length (2.2) */
#define PROXY_SIGNATURE   12
#define PROXY_TLV_HEAD    3 /* type, 16-bit length */
#define PROXY_CRC_BYTES   4
#define PROXY_UNIX_BYTES  108 /* of one path in the address block */
#define PROXY_CMD_LOCAL   0
#define PROXY_CMD_PROXY   1
#define PROXY_FAMILY_NONE 0
#define PROXY_FAMILY_IP4  1
#define PROXY_FAMILY_IP6  2
#define PROXY_FAMILY_UNIX 3

extern const uint8_t nu_proxy_signature[PROXY_SIGNATURE];
/* Bytes of the address block by family. */
extern const uint8_t nu_proxy_address_bytes[4];

/* CRC32c (RFC 4960 appendix B) of `len` bytes, where the four from crc_at on count as zeros. */
uint32_t nu_proxy_crc32c(const uint8_t *data, size_t len, size_t crc_at);

#endif
