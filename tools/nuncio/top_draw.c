/* The lines of `nuncio top`. Names and errors are peers' bytes: whatever a terminal could obey is
 * drawn as a question mark. */
#include "tools/nuncio/top.h"

#include "core/escape.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define LISTENERS_SHOWN 4
#define ERRORS_SHOWN    5
#define SNAPSHOT_SHOWN  20 /* of either, where rows are not bounded */
#define COLUMNS_MIN     40
#define NAME_MIN        14
#define FIXED_COLUMNS   62 /* of a cluster's line, all but its name */

enum color { PLAIN, BOLD, SOFT, GOOD, WARN, BAD };

/* A page under way. */
struct page {
    FILE *out;
    struct top_screen *screen;
    const struct top_view *view;
    int left; /* rows */
};

static void color(const struct page *p, enum color color)
{
    static const char *const codes[] = {"0", "1", "2", "32", "33", "31"};
    if (p->screen->color)
        fprintf(p->out, "\033[%sm", codes[color]);
}

/* --- texts --- */

/* What moves the cursor or turns writing around is no character: C0, C1, marks of direction. */
static bool is_drawn(uint32_t code)
{
    bool turns = (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                 (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
    return code >= ' ' && !(code >= 0x7f && code < 0xa0) && !turns;
}

void top_put_text(FILE *out, const char *text, size_t width)
{
    size_t columns = 0, left = strlen(text);
    while (left && (!width || columns < width)) {
        uint32_t code;
        size_t len = nu_utf8_decode(text, left, &code);
        if (len && is_drawn(code))
            fwrite(text, 1, len, out);
        else
            fputc('?', out);
        len = len ? len : 1;
        text += len;
        left -= len;
        columns++;
    }
    for (; columns < width; columns++)
        fputc(' ', out);
}

static const char *number_text(double n, char text[static 32])
{
    if (n >= 1e6)
        snprintf(text, 32, "%.1fM", n / 1e6);
    else if (n >= 1e4)
        snprintf(text, 32, "%.1fk", n / 1e3);
    else if (n >= 100 || n == floor(n))
        snprintf(text, 32, "%.0f", n);
    else
        snprintf(text, 32, "%.1f", n);
    return text;
}

static const char *share_text(double x, char text[static 32])
{
    if (x < 0)
        strcpy(text, "-");
    else
        snprintf(text, 32, x > 0 && x < .1 ? "%.1f%%" : "%.0f%%", 100 * x);
    return text;
}

static const char *ms_text(double ms, char text[static 32])
{
    if (ms < 0)
        strcpy(text, "-");
    else if (ms >= 10000)
        snprintf(text, 32, "%.1f s", ms / 1000);
    else
        snprintf(text, 32, "%.0f ms", ms);
    return text;
}

static const char *span_text(double s, char text[static 32])
{
    long long m = (long long)s / 60, h = m / 60;
    if (h >= 48)
        snprintf(text, 32, "%lld d %lld h", h / 24, h % 24);
    else if (h)
        snprintf(text, 32, "%lld h %lld min", h, m % 60);
    else if (m)
        snprintf(text, 32, "%lld min", m);
    else
        snprintf(text, 32, "%.0f s", s);
    return text;
}

/* --- lines --- */

/* False: there is no room for another line. */
static bool line_begin(struct page *p)
{
    if (p->screen->rows && p->left == 0)
        return false;
    p->left--;
    return true;
}

static void line_end(const struct page *p)
{
    color(p, PLAIN);
    if (p->screen->rows)
        fputs("\033[K", p->out);
    if (!p->screen->rows || p->left > 0)
        fputc('\n', p->out);
}

static void text_line(struct page *p, enum color paint, const char *text)
{
    if (!line_begin(p))
        return;
    color(p, paint);
    top_put_text(p->out, text, p->screen->rows ? (size_t)p->screen->columns - 1 : 0);
    line_end(p);
}

static void draw_head(struct page *p)
{
    char up[32], line[1024];
    const struct nu_json *now = p->view->now;
    snprintf(line, sizeof line, "nuncio %s  %s  up %s  generation %.0f  %.0f workers  %.1f MiB  %s",
             nu_json_text(now, "version"), nu_json_text(now, "state"),
             span_text(nu_json_number(now, "uptime_s"), up), nu_json_number(now, "generation"),
             nu_json_number(now, "workers"), nu_json_number(now, "rss") / 1048576,
             nu_json_text(now, "config"));
    text_line(p, BOLD, line);
    if (p->screen->lost)
        text_line(p, BAD, p->screen->lost);
}

static void draw_sum(struct page *p)
{
    char rate[32], errors[32], ms[3][32], open[32], line[256];
    const struct top_row *all = &p->view->all;
    size_t len = (size_t)snprintf(line, sizeof line, "%s %s/s   errors %s   open %s",
                                  p->view->http ? "requests" : "connections",
                                  number_text(all->rate, rate), share_text(all->errors, errors),
                                  number_text(nu_json_number(p->view->now, "connections"), open));
    if (p->view->http)
        snprintf(line + len, sizeof line - len, "   p50 %s   p95 %s   p99 %s",
                 ms_text(all->ms[TOP_P50], ms[0]), ms_text(all->ms[TOP_P95], ms[1]),
                 ms_text(all->ms[TOP_P99], ms[2]));
    text_line(p, all->errors > .01 ? BAD : PLAIN, line);
}

static size_t name_width(const struct page *p)
{
    int width = p->screen->columns - 1 - FIXED_COLUMNS;
    return (size_t)(width > NAME_MIN ? width : NAME_MIN);
}

static void draw_cluster(struct page *p, const struct top_row *row)
{
    char health[32], rate[32], errors[32], p50[32], p95[32], open[32];
    double healthy = nu_json_number(row->now, "healthy"), total = nu_json_number(row->now, "total");
    if (!line_begin(p))
        return;
    top_put_text(p->out, nu_json_text(row->now, "name"), name_width(p));
    snprintf(health, sizeof health, "%.0f/%.0f", healthy, total);
    color(p, healthy == total ? GOOD : healthy > 0 ? WARN : BAD);
    fprintf(p->out, " %9s", health);
    color(p, PLAIN);
    fprintf(p->out, " %9s", number_text(row->rate, rate));
    color(p, row->errors > .01 ? BAD : PLAIN);
    fprintf(p->out, " %8s", share_text(row->errors, errors));
    color(p, PLAIN);
    fprintf(p->out, " %10s %10s %9s", ms_text(row->ms[TOP_P50], p50),
            ms_text(row->ms[TOP_P95], p95),
            number_text(nu_json_number(row->now, "cx_active"), open));
    line_end(p);
}

static void cluster_title(struct page *p)
{
    if (!line_begin(p))
        return;
    color(p, SOFT);
    top_put_text(p->out, "CLUSTER", name_width(p));
    fprintf(p->out, " %9s %9s %8s %10s %10s %9s", "HEALTHY", "/S", "ERRORS", "P50", "P95", "OPEN");
    line_end(p);
}

static void draw_clusters(struct page *p, int rows)
{
    size_t count = p->view->cluster_count, shown = count;
    cluster_title(p);
    if (rows > 0 && shown > (size_t)rows)
        shown = (size_t)rows;
    if (p->screen->first > count - shown)
        p->screen->first = count - shown;
    for (size_t i = 0; i < shown; i++)
        draw_cluster(p, &p->view->clusters[p->screen->first + i]);
}

static void draw_listeners(struct page *p, const struct nu_json *before, int max)
{
    const struct nu_json *l = nu_json_items(p->view->now, "listeners");
    text_line(p, SOFT, "LISTENER                 NEW/S      OPEN  ADDRESS");
    for (int n = 0; l && n < max && line_begin(p); n++, l = l->next) {
        char rate[32], open[32];
        const struct nu_json *address = nu_json_items(l, "addresses");
        int room = p->screen->columns - 1 - 42;
        top_put_text(p->out, nu_json_text(l, "name"), 20);
        fprintf(p->out, " %9s %9s  ", number_text(top_listener_rate(p->view, before, l), rate),
                number_text(nu_json_number(l, "cx_active"), open));
        top_put_text(p->out, address ? address->text : "", (size_t)(room > 8 ? room : 8));
        line_end(p);
    }
}

static void error_text(const struct nu_json *e, char *text, size_t size)
{
    char when[16], status[16];
    time_t second = (time_t)(nu_json_number(e, "time") / 1000);
    struct tm tm;
    bool request = strcmp(nu_json_text(e, "kind"), "request") == 0;
    strftime(when, sizeof when, "%H:%M:%S", localtime_r(&second, &tm));
    snprintf(status, sizeof status, "%.0f", nu_json_number(e, "status"));
    snprintf(text, size, "%s %s %s %s%s%s  %s %s  from %s", when,
             request ? status : nu_json_text(e, "flags"),
             request ? nu_json_text(e, "method") : "connection", nu_json_text(e, "host"),
             nu_json_text(e, request ? "path" : "sni"), request ? "" : nu_json_text(e, "cluster"),
             nu_json_text(e, request ? "flags" : "cause"), nu_json_text(e, "details"),
             nu_json_text(e, "client"));
}

static void draw_errors(struct page *p, int max)
{
    char text[1024];
    const struct nu_json *e = nu_json_items(p->view->now, "errors");
    text_line(p, SOFT, e ? "RECENT ERRORS" : "NO ERRORS SINCE THE START");
    for (int n = 0; e && n < max; n++, e = e->next) {
        error_text(e, text, sizeof text);
        text_line(p, PLAIN, text);
    }
}

static void draw_load(struct page *p)
{
    char text[256];
    const struct nu_json *load = nu_json_items(p->view->now, "reloads");
    if (!load || nu_json_number(load, "ok"))
        return;
    snprintf(text, sizeof text, "the last reload failed: %.200s", nu_json_text(load, "text"));
    text[strcspn(text, "\n")] = 0;
    text_line(p, BAD, text);
}

static int at_most(const struct nu_json *list, int max)
{
    int n = 0;
    for (; list && n < max; list = list->next)
        n++;
    return n;
}

void top_draw(FILE *out, struct top_screen *screen, const struct top_view *view,
              const struct nu_json *before)
{
    struct page p = {out, screen, view, screen->rows};
    if (screen->columns < COLUMNS_MIN)
        screen->columns = COLUMNS_MIN;
    int listeners = at_most(nu_json_items(view->now, "listeners"), LISTENERS_SHOWN);
    int errors = at_most(nu_json_items(view->now, "errors"), ERRORS_SHOWN);
    draw_head(&p);
    draw_load(&p);
    draw_sum(&p);
    text_line(&p, PLAIN, "");
    int rows = p.left - listeners - errors - 5; /* titles and blank lines between */
    draw_clusters(&p, screen->rows ? (rows > 1 ? rows : 1) : 0);
    text_line(&p, PLAIN, "");
    draw_listeners(&p, before, screen->rows ? LISTENERS_SHOWN : SNAPSHOT_SHOWN);
    text_line(&p, PLAIN, "");
    draw_errors(&p, screen->rows ? ERRORS_SHOWN : SNAPSHOT_SHOWN);
}
