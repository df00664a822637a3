/* All pages of the admin, and what they have in common. */
#include "tools/nuncio/admin_page.h"

#include "core/addr.h"
#include "core/escape.h"

#include <stdlib.h>
#include <string.h>

static unsigned run_help(const struct nu_admin_request *request, FILE *out);

static const struct nu_admin_page nu_page_help = {
    .path = "/help",
    .params = "",
    .doc = "this list",
    .run = run_help,
};

static const struct nu_admin_page *const pages[] = {
    &nu_page_ready,          &nu_page_stats,
    &nu_page_prometheus,     &nu_page_clusters,
    &nu_page_listeners,      &nu_page_config_dump,
    &nu_page_server_info,    &nu_page_certs,
    &nu_page_memory,         &nu_page_help,
    &nu_page_overview,       &nu_page_home,
    &nu_page_reload,         &nu_page_drain_listeners,
    &nu_page_quit,           &nu_page_healthcheck_fail,
    &nu_page_healthcheck_ok, &nu_page_logging,
};
#define PAGES (sizeof pages / sizeof *pages)

static unsigned run_help(const struct nu_admin_request *request, FILE *out)
{
    for (size_t i = 0; i < PAGES; i++) {
        char form[96];
        const struct nu_admin_page *page = pages[i];
        snprintf(form, sizeof form, "%s%s%s%s", page->path, *page->params ? " [" : "", page->params,
                 *page->params ? "]" : "");
        fprintf(out, "  %-4s %-38s %s\n", page->changes ? "POST" : "GET", form, page->doc);
    }
    return 200;
}

const struct nu_admin_page *nu_admin_page_find(struct nu_text path)
{
    for (size_t i = 0; i < PAGES; i++)
        if (nu_text_is(path, pages[i]->path))
            return pages[i];
    return NULL;
}

const struct nu_admin_page *nu_admin_page_at(size_t i)
{
    return i < PAGES ? pages[i] : NULL;
}

/* Whether the row's list has the name: "filter=REGEX usedonly". */
static bool has_param(const char *list, const char *name)
{
    size_t len = strlen(name);
    while (*list) {
        size_t word = strcspn(list, " ");
        if (len > 0 && strncmp(list, name, len) == 0 && (word == len || list[len] == '='))
            return true;
        list += word + strspn(list + word, " ");
    }
    return false;
}

unsigned nu_admin_page_check(const struct nu_admin_page *page, const struct nu_query *query,
                             FILE *out)
{
    const char *format = nu_query_get(query, "format");
    for (unsigned i = 0; i < query->count; i++)
        if (!has_param(page->params, query->params[i].name)) {
            fprintf(out, "error: %s has no \"%.64s\"%s%s\n", page->path, query->params[i].name,
                    *page->params ? ", but: " : " in its query", page->params);
            return 400;
        }
    if (format && strcmp(format, "json") != 0 && strcmp(format, "text") != 0) {
        fputs("error: format is json or text\n", out);
        return 400;
    }
    return 0;
}

static bool is_json(const struct nu_admin_page *page, const struct nu_query *query)
{
    const char *format = nu_query_get(query, "format");
    if (format)
        return strcmp(format, "json") == 0;
    return page->type && strcmp(page->type, NU_ADMIN_JSON) == 0;
}

const char *nu_admin_page_type(const struct nu_admin_page *page, const struct nu_query *query)
{
    if (nu_query_get(query, "format"))
        return is_json(page, query) ? NU_ADMIN_JSON : NU_ADMIN_TEXT;
    return page->type ? page->type : NU_ADMIN_TEXT;
}

bool nu_admin_wants_json(const struct nu_admin_request *request)
{
    return is_json(request->page, request->query);
}

void nu_admin_put_json(FILE *out, const char *text)
{
    struct nu_logbuf buf = {0};
    size_t len = strlen(text);
    if (nu_escape_plain(text, len)) {
        fprintf(out, "\"%s\"", text);
        return;
    }
    nu_escape_json(&buf, text, len);
    fprintf(out, "\"%.*s\"", (int)buf.len, buf.data);
    nu_logbuf_free(&buf);
}

void nu_admin_put_address(FILE *out, const char *key, const struct nu_addr *addr)
{
    char text[NU_ADDR_TEXT_MAX];
    fprintf(out, "\"%s\":", key);
    if (addr->kind == NU_ADDR_UNIX) {
        fputs("{\"pipe\":{\"path\":", out);
        nu_admin_put_json(out, addr->path ? addr->path : "");
        fputs("}}", out);
        return;
    }
    fputs("{\"socket_address\":{\"address\":", out);
    nu_admin_put_json(out, nu_addr_str_ip(addr, text));
    fprintf(out, ",\"port_value\":%u}}", addr->port);
}
