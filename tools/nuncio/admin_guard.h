/* Who may ask the admin. Any program of this machine may reach a loopback port, a web page by its
 * visitor's browser too: that is told from the fields that browsers send. */
#ifndef NU_TOOLS_NUNCIO_ADMIN_GUARD_H
#define NU_TOOLS_NUNCIO_ADMIN_GUARD_H

#include "core/addr.h"
#include "protocols/http/head.h"

/* NULL: it may; else a sentence for the 403. `local`: the address that it came to. */
const char *nu_admin_guard(const struct nu_http_head *request, const struct nu_addr *local);

#endif
