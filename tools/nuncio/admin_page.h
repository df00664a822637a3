/* What stands behind a path of the admin: small answers are written whole, those that grow with the
 * config in pieces, so that neither the main loop nor memory feels 10,000 clusters. Main thread. */
#ifndef NU_TOOLS_NUNCIO_ADMIN_PAGE_H
#define NU_TOOLS_NUNCIO_ADMIN_PAGE_H

#include "tools/nuncio/admin_query.h"
#include "tools/nuncio/server.h"

#include <stdio.h>

#define NU_ADMIN_PIECE (16u * 1024) /* bytes that a piece should have: one loop turn's share */
#define NU_ADMIN_TEXT  "text/plain; charset=UTF-8"
#define NU_ADMIN_JSON  "application/json"

struct nu_admin_page;

/* A request under way. Lives until its answer is over. */
struct nu_admin_request {
    struct nu_server *server;
    const struct nu_admin_page *page;
    const struct nu_query *query; /* has no names but those of the page's row */
    uint64_t connections;         /* where the page needs NU_ADMIN_CENSUS */
};

/* An answer that comes in pieces. */
struct nu_admin_source {
    /* 200: *state was made. Another status: `out` has the whole answer, and nothing was made. */
    unsigned (*begin)(const struct nu_admin_request *request, void **state, FILE *out);
    /* Writes the next piece: about NU_ADMIN_PIECE bytes, or what a millisecond finds. False: that
     * was the last one. Called once a loop turn, while the client reads. */
    bool (*more)(void *state, FILE *out);
    /* Always, also where the client left halfway. */
    void (*end)(void *state);
};

/* What has to be had before a page can be written. */
enum nu_admin_need {
    NU_ADMIN_NOTHING,
    NU_ADMIN_CENSUS, /* connections are counted */
    NU_ADMIN_RELOAD, /* a reload is done; its outcome is the answer */
};

struct nu_admin_page {
    const char *path;        /* "/stats": all of it */
    const char *params;      /* names that the query may have: "filter=REGEX usedonly"; or "" */
    const char *doc;         /* a line of /help */
    const char *type;        /* content-type; NULL = text */
    enum nu_admin_need need; /* with RELOAD there is neither run nor source */
    bool changes;            /* something: POST; else GET and HEAD */
    /* The whole answer; returns its status. One of this and the next. */
    unsigned (*run)(const struct nu_admin_request *request, FILE *out);
    const struct nu_admin_source *source;
};

/* The page at a path, or NULL. */
const struct nu_admin_page *nu_admin_page_find(struct nu_text path);
/* The i-th one; NULL behind the last. */
const struct nu_admin_page *nu_admin_page_at(size_t i);
/* 0, or the status of an answer that `out` has got: the query has a name that the page has not. */
unsigned nu_admin_page_check(const struct nu_admin_page *page, const struct nu_query *query,
                             FILE *out);
/* The type of an answer: a page with `format` has another one with ?format=json. */
const char *nu_admin_page_type(const struct nu_admin_page *page, const struct nu_query *query);
/* Whether ?format=json was asked for. */
bool nu_admin_wants_json(const struct nu_admin_request *request);
/* A JSON string with its quotes, of any bytes. */
void nu_admin_put_json(FILE *out, const char *text);
/* An address as Envoy's JSON has it: "address":{"socket_address":{...}}, with `key` in front. */
struct nu_addr;
void nu_admin_put_address(FILE *out, const char *key, const struct nu_addr *addr);

/* --- the pages, by file --- */

extern const struct nu_admin_page nu_page_stats;                         /* admin_stats.c */
extern const struct nu_admin_page nu_page_clusters;                      /* admin_clusters.c */
extern const struct nu_admin_page nu_page_config_dump;                   /* admin_dump.c */
extern const struct nu_admin_page nu_page_ready, nu_page_healthcheck_ok; /* admin_ready.c */
extern const struct nu_admin_page nu_page_healthcheck_fail;
extern const struct nu_admin_page nu_page_listeners, nu_page_server_info; /* admin_state.c */
extern const struct nu_admin_page nu_page_memory, nu_page_certs;
extern const struct nu_admin_page nu_page_prometheus;                    /* prometheus.c */
extern const struct nu_admin_page nu_page_overview, nu_page_home;        /* overview.c, page.c */
extern const struct nu_admin_page nu_page_drain_listeners, nu_page_quit; /* admin_change.c */
extern const struct nu_admin_page nu_page_logging, nu_page_reload;

#endif
