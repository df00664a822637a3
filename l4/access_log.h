/* Access logs of chains: which files a closed connection writes a line to, and in what formats.
 *
 * Formats are compiled with the config, files opened when it is about to serve, lines written by
 * the worker that closes the connection. A listener's log is shared by its chains. */
#ifndef NU_L4_ACCESS_LOG_H
#define NU_L4_ACCESS_LOG_H

#include "core/chain.h"
#include "core/conf/schema.h"
#include "core/logfmt.h"

/* More shards than any program has: workers and main. */
#define NU_SHARDS_MAX 1025

/* One file, as it stands in the config. */
struct nu_access_log_conf {
    const char *path;           /* absolute */
    const char *format;         /* "text", "json", or one with operators */
    const struct nu_node *json; /* keys and their formats; NULL = the default ones */
    const struct nu_node *node; /* its place; as json only while the config is being read */
};
extern const struct nu_schema nu_access_log_schema;

/* What the words `text` and `json` mean. */
struct nu_access_log_defaults {
    const char *text;
    const struct nu_logfmt_field *json;
    size_t json_count;
};

struct nu_access_log;

/* From a list of struct nu_access_log_conf that was parsed without errors; opens nothing. NULL for
 * an empty list. One reference for the caller. Main thread, as all but writing. */
struct nu_access_log *nu_access_log_new(const struct nu_vec *confs);
/* The same with defaults other than a connection's. */
struct nu_access_log *nu_access_log_new_as(const struct nu_vec *confs,
                                           const struct nu_access_log_defaults *defaults);
struct nu_access_log *nu_access_log_ref(struct nu_access_log *log);
void nu_access_log_put(struct nu_access_log *log);
/* Opens the files that are not open yet; reports those that cannot be. */
enum nu_err nu_access_log_open(struct nu_access_log *log, struct nu_conf *conf);

/* NU_WANT_*: facts that its formats show and that are made only if asked for. NULL: none. */
uint8_t nu_access_log_wants(const struct nu_access_log *log);

/* On the chain's worker, once its end is known. NULL: no log. */
void nu_access_log_write(struct nu_access_log *log, struct nu_chain *chain);
/* Writes what waits in this worker; also before it ends. By itself about 100 ms after the first
 * line that waits. */
void nu_access_log_flush(struct nu_loop *loop);

/* Registers the operators of l4 with core/logfmt; once. */
void nu_log_ops_l4(void);

#endif
