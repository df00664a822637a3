/* A socket address or CIDR prefix in 24 bytes: connections keep several of them, so size matters.
 * IPv4-mapped IPv6 addresses are turned into IPv4 on the way in, so that one rule matches both. */
#ifndef NU_CORE_ADDR_H
#define NU_CORE_ADDR_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum nu_addr_kind { NU_ADDR_NONE, NU_ADDR_IP4, NU_ADDR_IP6, NU_ADDR_UNIX };

struct nu_addr {
    uint8_t kind;   /* enum nu_addr_kind */
    uint8_t prefix; /* CIDR length in bits; a full address has 32 or 128 */
    uint16_t port;  /* host order; 0 where none */
    uint32_t scope; /* IPv6 scope id */
    union {
        uint8_t ip[16];   /* network order; IPv4 uses the first four */
        const char *path; /* UNIX: borrowed from the config's arena; NULL for an unnamed peer */
    };
};

#define NU_ADDR_TEXT_MAX 128 /* bytes that nu_addr_str needs at most, with its NUL */

/* "1.2.3.4:80", "[::1]:80", "unix:/path", "unix:@abstract"; with default_port >= 0 the port may be
 * missing.
 * A path is borrowed from `text`. NU_ERR_SYNTAX: not an address (a host name, perhaps). */
enum nu_err nu_addr_parse(struct nu_addr *out, const char *text, int default_port);
/* "10.0.0.0/8", "::1", "2001:db8::/32". NU_ERR_SYNTAX: malformed, or bits set behind the prefix. */
enum nu_err nu_addr_parse_cidr(struct nu_addr *out, const char *text);

/* "1.2.3.4:80", "[::1]:80", "unix:/path", "-" for none. Returns buf. */
const char *nu_addr_str(const struct nu_addr *addr, char buf[static NU_ADDR_TEXT_MAX]);
/* The same without the port. */
const char *nu_addr_str_ip(const struct nu_addr *addr, char buf[static NU_ADDR_TEXT_MAX]);

/* From and to the kernel's form. to_sockaddr returns the length, 0 for NU_ADDR_NONE. */
void nu_addr_from_sockaddr(struct nu_addr *out, const struct sockaddr_storage *ss, socklen_t len);
socklen_t nu_addr_to_sockaddr(const struct nu_addr *addr, struct sockaddr_storage *ss);

bool nu_addr_equal(const struct nu_addr *a, const struct nu_addr *b);
uint64_t nu_addr_hash(const struct nu_addr *addr);
/* True if `addr` (port ignored) lies in the prefix `cidr`. */
bool nu_addr_in(const struct nu_addr *addr, const struct nu_addr *cidr);

#endif
