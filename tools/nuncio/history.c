/* The ring of loads, and what is told of a connection or request that ended badly. */
#include "tools/nuncio/history.h"

#include "core/assert.h"
#include "core/escape.h"
#include "core/recent.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What peers size is cut: a thousand of these lines are one answer. Without the query, which may
 * hold what nobody else should see. */
static const struct nu_logfmt_field of_connections[] = {
    {"listener", "%LISTENER%"                 },
    {"client",   "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"sni",      "%REQUESTED_SERVER_NAME:100%"},
    {"cluster",  "%UPSTREAM_CLUSTER%"         },
    {"upstream", "%UPSTREAM_HOST%"            },
    {"flags",    "%RESPONSE_FLAGS%"           },
    {"by",       "%CLOSED_BY%"                },
    {"cause",    "%CLOSE_CAUSE%"              },
    {"details",  "%CLOSE_DETAILS:300%"        },
    {"ms",       "%DURATION%"                 },
    {"id",       "%CONNECTION_ID%"            },
};

static const struct nu_logfmt_field of_requests[] = {
    {"listener", "%LISTENER%"                                          },
    {"client",   "%DOWNSTREAM_REMOTE_ADDRESS%"                         },
    {"method",   "%REQ(:METHOD):20%"                                   },
    {"host",     "%REQ(:AUTHORITY):100%"                               },
    {"path",     "%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH):200%"},
    {"status",   "%RESPONSE_CODE%"                                     },
    {"cluster",  "%UPSTREAM_CLUSTER%"                                  },
    {"upstream", "%UPSTREAM_HOST%"                                     },
    {"flags",    "%RESPONSE_FLAGS%"                                    },
    {"details",  "%RESPONSE_CODE_DETAILS:300%"                         },
    {"ms",       "%DURATION%"                                          },
    {"id",       "%CONNECTION_ID%"                                     },
};

struct load {
    int64_t at_ms; /* since the epoch */
    int64_t took_ms;
    uint64_t generation;
    bool ok;
    char *text;
};

static struct load loads[NU_HISTORY_MAX];
static size_t next; /* where the oldest is, or none yet */

#define COUNT(list) (sizeof(list) / sizeof *(list))

void nu_history_begin(void)
{
    nu_recent_format(NU_RECENT_CONNECTION, of_connections, COUNT(of_connections));
    nu_recent_format(NU_RECENT_REQUEST, of_requests, COUNT(of_requests));
}

void nu_history_add(bool ok, uint64_t generation, int64_t took_ms, const char *text)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct load *load = &loads[next];
    next = (next + 1) % NU_HISTORY_MAX;
    free(load->text);
    *load = (struct load){(int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, took_ms, generation,
                          ok, strndup(text, NU_HISTORY_TEXT_MAX)};
    nu_assert(load->text != NULL);
}

static void print_load(FILE *out, const struct load *load)
{
    struct nu_logbuf text = {0};
    nu_escape_json(&text, load->text, strlen(load->text));
    fprintf(out,
            "{\"time\":%" PRId64 ",\"ok\":%s,\"generation\":%" PRIu64 ",\"took_ms\":%" PRId64
            ",\"text\":\"%.*s\"}",
            load->at_ms, load->ok ? "true" : "false", load->generation, load->took_ms,
            (int)text.len, text.data ? text.data : "");
    nu_logbuf_free(&text);
}

void nu_history_print(FILE *out)
{
    const char *comma = "";
    fputc('[', out);
    for (size_t i = 1; i <= NU_HISTORY_MAX; i++) {
        const struct load *load = &loads[(next + NU_HISTORY_MAX - i) % NU_HISTORY_MAX];
        if (!load->text)
            continue;
        fputs(comma, out);
        print_load(out, load);
        comma = ",\n";
    }
    fputc(']', out);
}

void nu_history_end(void)
{
    for (size_t i = 0; i < NU_HISTORY_MAX; i++)
        free(loads[i].text);
    memset(loads, 0, sizeof loads);
    next = 0;
    nu_recent_free();
}
