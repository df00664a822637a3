/* TCP_INFO for access logs: what the kernel measured of a connection, read when it is over, and
 * only if some log shows it.
 *
 * The client's side is read from its socket when the line is written; a server's when its leg
 * closes, since that comes first as often as not. */
#ifndef NU_L4_TCP_FACTS_H
#define NU_L4_TCP_FACTS_H

#include "core/facts.h"

struct nu_chain;

/* Whether any log of this process shows such facts, or ever did. Any thread. */
bool nu_tcp_facts_wanted(void);
/* False: not a TCP socket, or none at all (fd < 0). */
bool nu_tcp_facts_read(int fd, struct nu_tcp_facts *out);
/* Registers the operators. Before any format is compiled. */
void nu_log_ops_tcp(void);

#endif
