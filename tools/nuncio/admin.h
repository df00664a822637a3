/* The admin socket: one command a line, an answer in lines, then an empty one. A byte filter at the
 * end of an ordinary chain, on the main worker's own listener. Main thread. */
#ifndef NU_TOOLS_NUNCIO_ADMIN_H
#define NU_TOOLS_NUNCIO_ADMIN_H

#include "tools/nuncio/server.h"

#define NU_ADMIN_LINE_MAX 4096 /* bytes of a command; no command needs a hundredth of it */

/* How an answer begins that means no: ctl turns it into exit code 1. */
#define NU_ADMIN_ERROR     "error: "
#define NU_ADMIN_NOT_READY "not ready: "

struct nu_conf;

/* A change of the address in three steps. First: *out is the admin that the generation wants, newly
 * opened or the one that there is; NULL for none. NU_ERR_CONFIG: reported to the generation's
 * conf, *out is NULL. Then either of the others. */
enum nu_err nu_admin_change(struct nu_server *server, struct nu_generation *gen,
                            struct nu_admin **out);
void nu_admin_change_done(struct nu_server *server, struct nu_admin *admin);
/* After the change, once who asked for it has been told: the old one is closed in the next turn, so
 * that the answer still leaves. */
void nu_admin_change_told(void);
void nu_admin_change_undo(struct nu_server *server, struct nu_admin *admin);
/* At the end of the process: closes the listener and the connections. */
void nu_admin_end(struct nu_server *server);

/* A command under way. */
struct nu_admin_request {
    struct nu_server *server;
    const char *args;     /* behind the command's name; "" for none */
    uint64_t connections; /* counted, where the command's row asks for it */
    FILE *out;            /* the answer's lines */
};

/* What has to be had before a command can be run. */
enum nu_admin_need {
    NU_ADMIN_NOTHING,
    NU_ADMIN_CENSUS, /* connections are counted */
    NU_ADMIN_RELOAD, /* a reload is done; its outcome is the answer */
};

struct nu_admin_command {
    const char *name, *args, *doc;
    enum nu_admin_need need;
    void (*run)(const struct nu_admin_request *request); /* NULL with RELOAD */
};

/* The command that a line names, its arguments at *args; or NULL, and an error went to `out`. */
const struct nu_admin_command *nu_admin_find(const char *line, const char **args, FILE *out);
/* The i-th command; NULL behind the last. */
const struct nu_admin_command *nu_admin_command_at(size_t i);
/* The table as lines, for help texts. */
void nu_admin_help(FILE *out);

#endif
