/* The admin: a listener of the program's own on the main worker, whose chain is `sock | http` and
 * whose streams end in pages (admin_filter.h, admin_page.h). Main thread. */
#ifndef NU_TOOLS_NUNCIO_ADMIN_H
#define NU_TOOLS_NUNCIO_ADMIN_H

#include "tools/nuncio/server.h"

#define NU_ADMIN_CONNECTIONS_MAX 100 /* at once: people, scrapers and ctl, not traffic */

/* A change of the address in three steps. First: *out is the admin that the generation wants, newly
 * opened or the one that there is; NULL for none. NU_ERR_CONFIG: reported to the generation's
 * conf, *out is NULL. Then either of the others. */
enum nu_err nu_admin_change(struct nu_server *server, struct nu_generation *gen,
                            struct nu_admin **out);
void nu_admin_change_done(struct nu_server *server, struct nu_admin *admin);
/* After the change, once who asked for it has been told: the old one accepts nobody from now on,
 * and answers that are under way may leave for a second. */
void nu_admin_change_told(void);
void nu_admin_change_undo(struct nu_server *server, struct nu_admin *admin);
/* At the end of the process: closes the listener and the connections. */
void nu_admin_end(struct nu_server *server);
/* And gives back what connections were made of, when the loops are gone. */
void nu_admin_free(void);

#endif
