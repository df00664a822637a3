/* The same messages read by libhttp-parser and by Node's parser: wherever one of them reads another
 * thing than we do, differences.tsv says why. Each row there is a parser, a name of accepted.tsv or
 * refused.tsv (with shell wildcards), what the parser does, and the reason; a row that is no longer
 * true fails too. Built only where libhttp-parser-dev is. */
#include "tests/unit/protocols/http/h1_kit.h"

#include <fnmatch.h>
#include <http_parser.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA     "tests/unit/protocols/http/"
#define ROWS_MAX 512

static struct difference {
    char *parser, *name, *does, *why;
    unsigned used;
} differences[ROWS_MAX];
static size_t difference_count;

static struct message {
    char *name, *side, *bytes;
    size_t len;
    char *ours; /* what we read: see read_ours */
} messages[ROWS_MAX];
static size_t message_count;

/* What is compared: of each whole message start line, version, whether the connection stays, and
 * body; what a tunnel carried; and whether it ended in an error. */
struct reading {
    struct h1_text text, body;
    bool any;
};

static void next(struct reading *r)
{
    h1_say(&r->text, "%s", r->any ? " | " : "");
    r->any = true;
}

static void say_message(struct reading *r, const char *what, unsigned version, bool keep)
{
    next(r);
    h1_say(&r->text, "%s %u.%u%s", what, version / 10, version % 10, keep ? " keep" : "");
    if (r->body.len) {
        h1_say(&r->text, " ");
        r->text.data = true; /* told letter by letter */
        h1_say_bytes(&r->text, r->body.at, r->body.len);
        r->text.data = false;
    }
    r->body.len = 0;
}

/* What the start line says: its text to compare. */
static char *what_of(unsigned status, const char *method, const void *target, size_t len)
{
    struct h1_text t = {.data = true};
    if (status)
        h1_say(&t, "%u", status);
    else
        h1_say(&t, "%s ", method);
    h1_say_bytes(&t, target, status ? 0 : len);
    return t.at;
}

/* ours */

static struct nu_http_head *ours_event(struct reading *r, struct nu_http_head *head,
                                       enum nu_h1_event event, const struct nu_h1_out *out)
{
    if (event == NU_H1_DATA)
        h1_append(&r->body, (const char *)out->data.data, out->data.len);
    struct nu_http_head *told = event == NU_H1_INTERIM ? out->head : head;
    if (event == NU_H1_HEAD && out->head->body == NU_BODY_TUNNEL)
        told = out->head;
    else if (event != NU_H1_END && event != NU_H1_INTERIM)
        return event == NU_H1_HEAD ? out->head : head;
    if (!told)
        return NULL;
    char *method = NULL; /* not strndup: it may look for a NUL behind the name */
    assert_true(asprintf(&method, "%.*s", (int)told->method.len,
                         told->method.at ? told->method.at : "") >= 0);
    char *what = what_of(told->status, method, told->target.at, told->target.len);
    say_message(r, what, told->version, told->keep_alive);
    free(what);
    free(method);
    return event == NU_H1_INTERIM ? head : NULL;
}

static void say_tunnel(struct reading *r, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    next(r);
    h1_say(&r->text, "tunnel ");
    h1_say_bytes(&r->text, bytes, len);
}

static void begin_ours(struct nu_h1_parser *p, const struct h1_kit *kit, struct nu_arena *arena)
{
    if (kit->response)
        nu_h1_begin_response(p, arena, kit->method, kit->upgrade);
    else
        nu_h1_begin_request(p, arena);
}

static bool tunnels(const struct h1_kit *kit, const struct nu_http_head *head)
{
    bool asks = head->method_id == NU_METHOD_CONNECT || head->upgrade.len > 0;
    return head->body == NU_BODY_TUNNEL || (!kit->response && kit->upgrade && asks);
}

static char *read_ours(const struct message *m)
{
    static const struct nu_h1_limits limits = NU_H1_LIMITS_DEFAULT;
    struct h1_kit kit = h1_kit_side(m->side);
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_slice in = {(const uint8_t *)m->bytes, m->len, NULL};
    struct reading r = {0};
    struct nu_http_head *head = NULL;
    struct nu_h1_parser p;
    enum nu_h1_event event;
    bool tunnel = false;
    nu_h1_init(&p, &limits);
    begin_ours(&p, &kit, arena);
    do {
        struct nu_h1_out out;
        event = nu_h1_read(&p, &in, &out);
        if (event == NU_H1_MORE)
            event = nu_h1_eof(&p, &out);
        tunnel = event == NU_H1_HEAD ? tunnels(&kit, out.head) : tunnel;
        head = ours_event(&r, head, event, &out);
        if (tunnel && !head)
            break;
        if (event == NU_H1_END && in.len)
            begin_ours(&p, &kit, arena);
    } while (event != NU_H1_ERROR && event != NU_H1_MORE && (event != NU_H1_END || in.len));
    if (tunnel && !head)
        say_tunnel(&r, in.data, in.len);
    if (event == NU_H1_ERROR) {
        next(&r);
        h1_say(&r.text, "ERROR");
    }
    h1_say(&r.text, "%s", "");
    nu_arena_free(arena);
    free(r.body.at);
    return r.text.at;
}

/* libhttp-parser */

struct theirs {
    const struct h1_kit *kit;
    struct reading r;
    struct h1_text target;
    bool tunnel;
};

static int on_target(http_parser *p, const char *at, size_t len)
{
    h1_append(&((struct theirs *)p->data)->target, at, len);
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t len)
{
    h1_append(&((struct theirs *)p->data)->r.body, at, len);
    return 0;
}

/* 1: no body comes, 2: nor another message (http_parser.h). */
static int on_head(http_parser *p)
{
    struct theirs *t = p->data;
    bool connect = t->kit->method == NU_METHOD_CONNECT && p->status_code / 100 == 2;
    t->tunnel = t->kit->response ? connect || p->status_code == 101 : p->upgrade && t->kit->upgrade;
    if (t->kit->response && t->tunnel)
        return 2;
    return t->kit->response && t->kit->method == NU_METHOD_HEAD ? 1 : 0;
}

static int on_end(http_parser *p)
{
    struct theirs *t = p->data;
    const char *method = t->kit->response ? "" : http_method_str(p->method);
    char *what =
        what_of(t->kit->response ? p->status_code : 0, method, t->target.at, t->target.len);
    bool keep = !(t->kit->response && t->tunnel) && http_should_keep_alive(p);
    say_message(&t->r, what, p->http_major * 10u + p->http_minor, keep);
    t->target.len = 0;
    free(what);
    return 0;
}

static char *read_http_parser(const struct message *m)
{
    struct h1_kit kit = h1_kit_side(m->side);
    struct theirs t = {.kit = &kit};
    http_parser_settings settings;
    http_parser p;
    http_parser_settings_init(&settings);
    settings.on_url = on_target;
    settings.on_body = on_body;
    settings.on_headers_complete = on_head;
    settings.on_message_complete = on_end;
    http_parser_init(&p, kit.response ? HTTP_RESPONSE : HTTP_REQUEST);
    p.data = &t;
    size_t n = m->len ? http_parser_execute(&p, &settings, m->bytes, m->len) : 0;
    if (t.tunnel && p.http_errno == HPE_OK)
        say_tunnel(&t.r, m->bytes + n, m->len - n);
    else if (p.http_errno == HPE_OK && !p.upgrade)
        http_parser_execute(&p, &settings, "", 0);
    if (p.http_errno != HPE_OK) {
        next(&t.r);
        h1_say(&t.r.text, "ERROR");
    }
    h1_say(&t.r.text, "%s", "");
    free(t.r.body.at);
    free(t.target.at);
    return t.r.text.at;
}

/* comparing */

/* In a word: what they make of it that we do not. */
static const char *verdict(const char *ours, const char *theirs)
{
    bool we = strstr(ours, "ERROR") == NULL, they = strstr(theirs, "ERROR") == NULL;
    if (we == they)
        return strcmp(ours, theirs) == 0 || !we ? NULL : "reads";
    return we ? "refuses" : "accepts";
}

/* A row for "node" is about all its versions. */
static bool is_of(const struct difference *d, const char *parser)
{
    return strncmp(parser, d->parser, strlen(d->parser)) == 0;
}

static bool explained(const char *parser, const char *name, const char *does)
{
    for (size_t i = 0; i < difference_count; i++) {
        struct difference *d = &differences[i];
        if (!is_of(d, parser) || fnmatch(d->name, name, 0) != 0)
            continue;
        d->used++;
        return strcmp(d->does, does) == 0;
    }
    return false;
}

static unsigned compare(const char *parser, const struct message *m, const char *theirs)
{
    const char *does = verdict(m->ours, theirs);
    if (!does || explained(parser, m->name, does))
        return 0;
    print_message("%s %s %s\n  ours    %.300s\n  theirs  %.300s\n", parser, m->name, does, m->ours,
                  theirs);
    return 1;
}

static void all_used(const char *parser)
{
    for (size_t i = 0; i < difference_count; i++)
        if (is_of(&differences[i], parser) && !differences[i].used)
            fail_msg("%s does not differ in %s any more", parser, differences[i].name);
}

static void http_parser_differs_only_where_explained(void **state)
{
    unsigned unknown = 0;
    for (size_t i = 0; i < message_count; i++) {
        char *theirs = read_http_parser(&messages[i]);
        unknown += compare("http_parser", &messages[i], theirs);
        free(theirs);
    }
    assert_int_equal(unknown, 0);
    all_used("http_parser");
}

static void write_questions(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < message_count; i++) {
        fprintf(file, "%s\t%s\t", messages[i].name, messages[i].side);
        for (size_t k = 0; k < messages[i].len; k++)
            fprintf(file, "%02x", (uint8_t)messages[i].bytes[k]);
        fprintf(file, "\n");
    }
    fclose(file);
}

/* "node18", or skips: not installed, or a version that nobody has looked at. */
static void node_name(char name[static 16])
{
    unsigned major = 0;
    FILE *said = popen("node --version 2>&1", "r");
    assert_non_null(said);
    if (fscanf(said, "v%u.", &major) != 1)
        major = 0;
    pclose(said);
    snprintf(name, 16, "node%u", major % 1000);
    if (major != 18 && major != 20) {
        print_message("Node 18 or 20 is needed, not %s\n", name);
        skip();
    }
}

static void node_differs_only_where_explained(void **state)
{
    char path[] = "/tmp/h1-XXXXXX", command[128], node[16]; /* lint: made unique by mkstemp */
    struct h1_row row = {0};
    unsigned unknown = 0, at = 0;
    node_name(node);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_questions(path);
    snprintf(command, sizeof command, "node " DATA "node_parser.js <%s", path);
    FILE *answers = popen(command, "r");
    assert_non_null(answers);
    while (at < message_count && h1_kit_row(answers, &row)) {
        assert_string_equal(row.column[0], messages[at].name);
        unknown += compare(node, &messages[at++], row.column[1]);
    }
    free(row.text);
    unlink(path);
    assert_int_equal(pclose(answers), 0);
    assert_int_equal(at, message_count);
    assert_int_equal(unknown, 0);
    all_used(node);
}

static void load_messages(const char *path)
{
    struct h1_row row = {0};
    FILE *file = h1_kit_open(path);
    while (h1_kit_row(file, &row)) {
        nu_assert(message_count < ROWS_MAX);
        struct message *m = &messages[message_count++];
        m->name = strdup(row.column[0]);
        m->side = strdup(row.column[2]);
        m->len = h1_kit_unescape(row.column[3], &m->bytes);
        m->ours = read_ours(m);
    }
    fclose(file);
}

static int load(void **state)
{
    struct h1_row row = {0};
    FILE *file = h1_kit_open(DATA "differences.tsv");
    while (h1_kit_row(file, &row)) {
        nu_assert(difference_count < ROWS_MAX && row.columns == 4);
        differences[difference_count++] =
            (struct difference){strdup(row.column[0]), strdup(row.column[1]), strdup(row.column[2]),
                                strdup(row.column[3]), 0};
    }
    fclose(file);
    load_messages(DATA "accepted.tsv");
    load_messages(DATA "refused.tsv");
    return 0;
}

static int unload(void **state)
{
    for (size_t i = 0; i < difference_count; i++) {
        free(differences[i].parser);
        free(differences[i].name);
        free(differences[i].does);
        free(differences[i].why);
    }
    for (size_t i = 0; i < message_count; i++) {
        free(messages[i].name);
        free(messages[i].side);
        free(messages[i].bytes);
        free(messages[i].ours);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_parser_differs_only_where_explained),
        cmocka_unit_test(node_differs_only_where_explained),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
