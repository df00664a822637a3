/* Clusters whose server is the host that the client asks for: `dynamic_forward`. The name comes
 * from the ClientHello (SNI), or from a caller that has read it elsewhere.
 *
 * Here is what may be written, which names are let through and which port is meant; who resolves
 * and connects is pick.c's. Nothing is reached that is not named in `allow`, nor, whatever a name
 * resolves to, an address that is no public host's. */
#ifndef NU_L4_DYNAMIC_FORWARD_H
#define NU_L4_DYNAMIC_FORWARD_H

#include "l4/reach.h"

struct nu_chain;
struct nu_domain_table;
struct nu_dns_cache;

#define NU_HOST_MAX 253 /* characters of a host name (RFC 1035 2.3.4), without a last dot */

enum nu_family { NU_FAMILY_ANY, NU_FAMILY_V4, NU_FAMILY_V6 };
const char *nu_family_str(enum nu_family family);

struct nu_dynamic_forward {
    struct nu_vec allow, deny; /* const char *, patterns */
    struct nu_reach_conf reach_conf;
    int family;    /* enum nu_family */
    uint16_t port; /* 0 = that of the original destination, else 443 */
    int64_t max_hosts, max_pending, host_ttl_ms, dns_timeout_ms;
    struct nu_domain_table *names; /* -> whether it is allowed */
    struct nu_reach *reach;
    struct nu_dns_cache *cache; /* the cluster's */
};

extern const struct nu_schema nu_dynamic_forward_schema;

/* The name that the client asked for in its ClientHello, or NULL. */
const char *nu_dynamic_forward_sni(struct nu_chain *chain);
/* Whether a name may be asked for: writes it in lower case and without a last dot. NULL, or why
 * not; static text. */
const char *nu_dynamic_forward_refused(const struct nu_dynamic_forward *conf, const char *host,
                                       char name[static NU_HOST_MAX + 1]);
/* The port to go to for this client. */
uint16_t nu_dynamic_forward_port(const struct nu_dynamic_forward *conf, struct nu_chain *chain);
/* Whether an address is of the family that the config wants. */
bool nu_dynamic_forward_family(const struct nu_dynamic_forward *conf, const struct nu_addr *addr);

#endif
