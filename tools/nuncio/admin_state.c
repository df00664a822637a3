/* Pages that show what the process is and has: small ones, written whole. */
#include "tools/nuncio/admin_page.h"

#include "core/worker.h"
#include "l4/listener.h"
#include "tls/context.h"
#include "tools/nuncio/command.h"

#include <ctype.h>
#include <inttypes.h>
#include <malloc.h>
#include <unistd.h>

/* --- /listeners --- */

struct lines {
    FILE *out;
    bool json, first;
};

static void put_listener(const char *name, const struct nu_addr *bound, bool udp, void *ctx)
{
    struct lines *l = ctx;
    char text[NU_ADDR_TEXT_MAX];
    if (!l->json) {
        fprintf(l->out, "%s::%s%s\n", name, udp ? "udp://" : "", nu_addr_str(bound, text));
        return;
    }
    fputs(l->first ? "{\"name\":" : ",\n{\"name\":", l->out);
    l->first = false;
    nu_admin_put_json(l->out, name);
    fputc(',', l->out);
    nu_admin_put_address(l->out, "local_address", bound);
    fprintf(l->out, ",\"protocol\":\"%s\"}", udp ? "UDP" : "TCP");
}

static unsigned run_listeners(const struct nu_admin_request *request, FILE *out)
{
    struct lines lines = {out, nu_admin_wants_json(request), true};
    if (lines.json)
        fputs("{\"listener_statuses\":[\n", out);
    if (request->server->now)
        nu_listeners_each(request->server->now->listeners, put_listener, &lines);
    if (lines.json)
        fputs("]}\n", out);
    return 200;
}

const struct nu_admin_page nu_page_listeners = {
    .path = "/listeners",
    .params = "format=json",
    .doc = "names and bound addresses",
    .run = run_listeners,
};

/* --- /server_info --- */

static void info_text(const struct nu_admin_request *r, int64_t up_s, FILE *out)
{
    const struct nu_server *server = r->server;
    fprintf(out, "version: %s\npid: %d\n", NU_VERSION, (int)getpid());
    fprintf(out, "state: %s\n", nu_server_state_str(server->state));
    fprintf(out, "uptime: %" PRId64 "s\n", up_s);
    fprintf(out, "generation: %" PRIu64 "\n", server->now ? server->now->number : 0);
    fprintf(out, "config: %s\n", server->source.path ? server->source.path : "command line");
    fprintf(out, "workers: %u\n", nu_workers_count());
    fprintf(out, "connections: %" PRIu64 "\n", r->connections);
    fprintf(out, "rss: %" PRId64 "\n", nu_server_rss());
}

/* Envoy's names where it has such a thing. */
static void info_json(const struct nu_admin_request *r, int64_t up_s, FILE *out)
{
    const struct nu_server *server = r->server;
    fprintf(out, "{\"version\":\"%s\",\"pid\":%d,\"state\":\"", NU_VERSION, (int)getpid());
    for (const char *c = nu_server_state_str(server->state); *c; c++)
        fputc(toupper((unsigned char)*c), out);
    fprintf(out, "\",\"uptime_current_epoch\":\"%" PRId64 "s\"", up_s);
    fprintf(out, ",\"uptime_all_epochs\":\"%" PRId64 "s\"", up_s);
    fprintf(out, ",\"generation\":%" PRIu64, server->now ? server->now->number : 0);
    fprintf(out, ",\"connections\":%" PRIu64 ",\"rss\":%" PRId64, r->connections, nu_server_rss());
    fprintf(out,
            ",\"command_line_options\":{\"concurrency\":%u,\"config_path\":", nu_workers_count());
    nu_admin_put_json(out, server->source.path ? server->source.path : "");
    fputs("}}\n", out);
}

static unsigned run_server_info(const struct nu_admin_request *r, FILE *out)
{
    int64_t up_s = (nu_worker_main()->loop.now_ms - r->server->started_ms) / 1000;
    (nu_admin_wants_json(r) ? info_json : info_text)(r, up_s, out);
    return 200;
}

const struct nu_admin_page nu_page_server_info = {
    .path = "/server_info",
    .params = "format=text",
    .doc = "version, state, uptime, generation, connections",
    .type = NU_ADMIN_JSON,
    .need = NU_ADMIN_CENSUS,
    .run = run_server_info,
};

/* --- /memory --- */

/* 64-bit numbers are strings in Envoy's JSON. */
static unsigned run_memory(const struct nu_admin_request *r, FILE *out)
{
    struct mallinfo2 info = mallinfo2();
    const struct {
        const char *text, *json;
        uint64_t bytes;
    } rows[] = {
        {"allocated", "allocated",            info.uordblks + info.hblkhd},
        {"free",      "pageheap_free",        info.fordblks              },
        {"heap_size", "heap_size",            info.arena + info.hblkhd   },
        {"rss",       "total_physical_bytes", (uint64_t)nu_server_rss()  },
    };
    bool json = nu_admin_wants_json(r);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (json)
            fprintf(out, "%s\"%s\":\"%" PRIu64 "\"", i ? "," : "{", rows[i].json, rows[i].bytes);
        else
            fprintf(out, "%s: %" PRIu64 "\n", rows[i].text, rows[i].bytes);
    if (json)
        fputs("}\n", out);
    return 200;
}

const struct nu_admin_page nu_page_memory = {
    .path = "/memory",
    .params = "format=text",
    .doc = "what the allocator and the kernel count, in bytes",
    .type = NU_ADMIN_JSON,
    .run = run_memory,
};

/* --- others' words --- */

static unsigned run_certs(const struct nu_admin_request *request, FILE *out)
{
    nu_tls_certs_print(out);
    return 200;
}

const struct nu_admin_page nu_page_certs = {
    .path = "/certs",
    .params = "",
    .doc = "certificates that are loaded, and when they end",
    .type = NU_ADMIN_JSON,
    .run = run_certs,
};
