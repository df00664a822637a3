/* basic_auth: lets in who gives the name and password of a known user (RFC 7617). Answers and
 * figures are Envoy's. Passwords are kept as {SHA}, compared at once, or as bcrypt, compared by a
 * thread apart (auth_verify.h) unless they were right lately (auth_users.h).
 *
 * Faces: HTTP. Sees: HEAD of the request. Stores: the head while its password is compared, and that
 * password in the ticket. A cut END waits as long. Holds FWD from a bcrypt comparison's beginning
 * to its end; stream_idle_timeout bounds it. `close` cancels the ticket. */
#include "core/assert.h"
#include "core/chain.h"
#include "core/conf/schema.h"
#include "l7/filters/auth_users.h"
#include "l7/filters/auth_verify.h"
#include "l7/filters/filters.h"
#include "l7/local_reply.h"
#include "l7/stream.h"
#include "protocols/http/basic.h"

#include <string.h>

#define PENDING_MAX 4096 /* comparisons that wait: with a cost of 5 that is ten seconds */

enum figure { ALLOWED, DENIED, OVERFLOW, UPDATE_SUCCESS, UPDATE_REJECTED };

static const struct nu_stat_def defs[] = {
    [ALLOWED] = {"allowed",         NU_COUNTER, NULL, "Requests of a user with the right password."},
    [DENIED] = {"denied",          NU_COUNTER, NULL, "Requests refused with 401."                 },
    [OVERFLOW] = {"overflow",        NU_COUNTER, NULL,
                 "Requests refused with 503: too many passwords waited to be compared."            },
    [UPDATE_SUCCESS] = {"update_success",  NU_COUNTER, NULL,
                 "Changed files of users that were put into service."                              },
    [UPDATE_REJECTED] = {"update_rejected", NU_COUNTER, NULL,
                 "Changed files that are wrong: the users before serve on."                        },
};

const struct nu_stat_group nu_basic_auth_stats =
    NU_STAT_GROUP("http.<name>.basic_auth", "The basic_auth filters of an http filter.", defs);

struct auth_conf {
    struct nu_vec lines; /* const char * */
    const char *file, *realm, *header;
    int64_t max_pending;

    /* --- prepared --- */
    struct nu_auth_users *users;
    struct nu_text challenge, header_text; /* of www-authenticate; "" = none */
    struct nu_stats *stats;
};

struct auth {
    struct nu_filter filter;
    const struct auth_conf *conf;
    struct nu_verify *ticket;
    struct nu_http_head *held; /* its request, while there is a ticket */
    const char *hash;          /* that it is compared with; in the stream's arena */
    bool is_user;              /* it is that of the user who is named */
    bool right;
};

static void count(const struct auth *a, enum figure figure)
{
    nu_stat_add(a->conf->stats, nu_filter_loop(&a->filter)->shard, figure, 1);
}

/* --- verdicts --- */

static void challenge(struct nu_filter *f, struct nu_http_head *head)
{
    nu_http_set_known(head, NU_HDR_WWW_AUTHENTICATE, ((struct auth *)f)->conf->challenge);
}

static void deny(struct auth *a, struct nu_text body, const char *details)
{
    count(a, DENIED);
    nu_stream_flag(nu_stream_of(&a->filter), NU_FLAG_DENIED);
    nu_local_reply_with(&a->filter, 401, body, details, challenge);
}

static void deny_wrong(struct auth *a)
{
    deny(a, NU_TEXT("User authentication failed. Invalid username/password combination."),
         "invalid_credential_for_basic_auth");
}

static void deny_busy(struct auth *a)
{
    count(a, OVERFLOW);
    nu_stream_flag(nu_stream_of(&a->filter), NU_FLAG_OVERFLOW);
    nu_local_reply(&a->filter, 503, NU_TEXT("too many logins"), "basic_auth_overflow");
}

static void allow(struct auth *a, struct nu_http_head *request, struct nu_text name)
{
    struct nu_ev ev = {.kind = NU_HEAD, .u.head = &request->head};
    count(a, ALLOWED);
    if (a->conf->header_text.len > 0)
        nu_http_set(request, a->conf->header_text, name);
    nu_forward(&a->filter, NU_FWD, &ev);
}

/* --- passwords --- */

static enum nu_basic read_request(const struct nu_http_head *request,
                                  char room[static NU_BASIC_MAX_BYTES], struct nu_text *name,
                                  struct nu_text *password)
{
    return nu_basic_read(nu_http_value(request, NU_HDR_AUTHORIZATION), room, name, password);
}

/* What the request said is read again: it is kept nowhere in between. The user may be gone, or have
 * another password by now. */
static void on_compared(struct nu_filter *f)
{
    struct auth *a = (struct auth *)f;
    unsigned shard = nu_filter_loop(f)->shard;
    char room[NU_BASIC_MAX_BYTES];
    struct nu_text name, password;
    nu_release(f, NU_FWD);
    read_request(a->held, room, &name, &password);
    const struct nu_htpasswd_user *user =
        nu_htpasswd_find(nu_auth_users_view(a->conf->users, shard), name);
    bool known = user && user->is_bcrypt && strcmp(user->u.bcrypt, a->hash) == 0;
    if (known && a->is_user && a->right) {
        nu_auth_remember(a->conf->users, shard, a->hash, password);
        allow(a, a->held, name);
    } else {
        deny_wrong(a);
    }
    explicit_bzero(room, sizeof room);
}

static void compared(void *ctx, bool same)
{
    struct auth *a = ctx;
    a->ticket = NULL;
    a->right = same;
    nu_call(&a->filter, on_compared);
}

static void compare(struct auth *a, struct nu_http_head *request, const char *hash,
                    struct nu_text password)
{
    struct nu_filter *f = &a->filter;
    a->ticket = nu_verify_start(nu_filter_loop(f), hash, password, (unsigned)a->conf->max_pending,
                                compared, a);
    if (!a->ticket) {
        deny_busy(a);
        return;
    }
    nu_http_head_keep(request);
    a->held = request;
    a->hash = nu_arena_strdup(nu_stream_of(f)->arena, hash);
    nu_hold(f, NU_FWD);
}

/* A name that nobody has takes as long as one that somebody has. */
static void judge(struct auth *a, struct nu_http_head *request, struct nu_text name,
                  struct nu_text password)
{
    unsigned shard = nu_filter_loop(&a->filter)->shard;
    const struct nu_htpasswd *table = nu_auth_users_view(a->conf->users, shard);
    const struct nu_htpasswd_user *user = nu_htpasswd_find(table, name);
    const char *hash = user && user->is_bcrypt ? user->u.bcrypt : nu_htpasswd_costliest(table);
    bool at_once = user && !user->is_bcrypt;
    a->is_user = user != NULL;
    if (at_once ? nu_htpasswd_is_sha1(user, password)
                : user && nu_auth_remembers(a->conf->users, shard, hash, password))
        allow(a, request, name);
    else if (at_once || !hash)
        deny_wrong(a);
    else
        compare(a, request, hash, password);
}

static void auth_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct auth *a = (struct auth *)f;
    struct nu_http_head *request = (struct nu_http_head *)ev->u.head;
    char room[NU_BASIC_MAX_BYTES];
    struct nu_text name, password;
    if (!nu_http_get(request, NU_HDR_AUTHORIZATION)) {
        deny(a, NU_TEXT("User authentication failed. Missing username and password."),
             "no_credential_found_for_basic_auth");
        return;
    }
    switch (read_request(request, room, &name, &password)) {
    case NU_BASIC_OK:
        judge(a, request, name, password);
        break;
    case NU_BASIC_OTHER:
        deny(a, NU_TEXT("User authentication failed. Expected 'Basic' authentication scheme."),
             "invalid_scheme_for_basic_auth");
        break;
    case NU_BASIC_BAD:
        deny(a, NU_TEXT("User authentication failed. Invalid basic credential format."),
             "invalid_format_for_basic_auth");
        break;
    }
    explicit_bzero(room, sizeof room);
}

static enum nu_open auth_open(struct nu_filter *f, const void *conf)
{
    ((struct auth *)f)->conf = conf;
    return NU_OPEN;
}

static void auth_close(struct nu_filter *f)
{
    nu_verify_cancel(((struct auth *)f)->ticket);
}

/* --- config --- */

static void free_users(void *users)
{
    nu_auth_users_free(users);
    nu_verifier_put();
}

static void report(struct nu_conf *conf, const struct auth_conf *c, const struct nu_node *node,
                   const struct nu_htpasswd_fault *fault)
{
    const struct nu_node *lines = nu_node_get(node, "users");
    if (c->file && fault->line)
        nu_conf_error(conf, nu_node_get(node, "users_file"), "%s:%u: %s", c->file, fault->line,
                      fault->what);
    else if (c->file)
        nu_conf_error(conf, nu_node_get(node, "users_file"), "%s: %s", c->file, fault->what);
    else
        nu_conf_error(conf, fault->line <= lines->count ? lines->child[fault->line - 1] : lines,
                      "%s", fault->what);
}

static enum nu_err make_users(struct auth_conf *c, struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node)
{
    struct nu_auth_figures figures = {c->stats, UPDATE_SUCCESS, UPDATE_REJECTED};
    struct nu_htpasswd_fault fault;
    const char *text = c->file ? NULL : "", *const *line = c->lines.items;
    for (size_t i = 0; !c->file && i < c->lines.count; i++)
        text = nu_arena_printf(arena, "%s%s\n", text, line[i]);
    c->users = nu_auth_users_new(text, c->file, &figures, &fault);
    if (!c->users) {
        report(conf, c, node, &fault);
        return NU_ERR_CONFIG;
    }
    nu_verifier_get();
    nu_arena_on_free(arena, free_users, c->users);
    return NU_OK;
}

static enum nu_err auth_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct auth_conf *c = parsed;
    if (!c->file == (c->lines.count == 0)) {
        nu_conf_error(conf, node, "needs either \"users\", a list of name:hash, or \"users_file\"");
        return NU_ERR_CONFIG;
    }
    const char *text = nu_arena_printf(arena, "Basic realm=\"%s\", charset=\"UTF-8\"", c->realm);
    c->challenge = nu_text(text, strlen(text));
    c->header_text = nu_text(c->header ? c->header : "", c->header ? strlen(c->header) : 0);
    c->stats = nu_http_filter_stats(&nu_basic_auth_stats, arena, node, "basic_auth");
    return make_users(c, conf, arena, node);
}

/* What may stand in quotes in a header. */
static enum nu_err parse_realm(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR ? node->text : "\"";
    *(const char **)out = nu_arena_strdup(arena, text);
    if (!text[strcspn(text, "\"\\")] && nu_http_value_ok(nu_text(text, strlen(text))))
        return NU_OK;
    nu_conf_error(conf, node, "expected a text without quotes and backslashes");
    return NU_ERR_CONFIG;
}

static enum nu_err parse_header(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node) ? node->text : "";
    size_t len = strlen(text);
    *(const char **)out = nu_arena_strdup(arena, text);
    if (nu_http_name_ok(nu_text(text, len)) &&
        !(nu_hdr_flags(nu_hdr_find(text, len)) & (NU_HDR_HOP | NU_HDR_FRAMING)))
        return NU_OK;
    nu_conf_error(conf, node, "expected the name of a header that is not for the connection alone");
    return NU_ERR_CONFIG;
}

static const struct nu_field fields[] = {
    {.key = "users",
     .type = NU_STRING,
     .flags = NU_LIST | NU_NONEMPTY,
     .offset = offsetof(struct auth_conf, lines),
     .doc = "Users as name:hash, where the hash is bcrypt (htpasswd -nB) or {SHA} (htpasswd -ns)."},
    {.key = "users_file",
     .type = NU_FILE,
     .offset = offsetof(struct auth_conf, file),
     .doc = "Instead, a file of such lines, as htpasswd -B writes them. It is watched: a changed "
            "file serves within a second, a wrong one is logged and changes nothing."},
    {.key = "realm",
     .type = NU_CUSTOM,
     .offset = offsetof(struct auth_conf, realm),
     .fallback = "restricted",
     .parse = parse_realm,
     .shown = "string",
     .doc = "What browsers are told it is the password for."},
    {.key = "forward_username_header",
     .type = NU_CUSTOM,
     .offset = offsetof(struct auth_conf, header),
     .parse = parse_header,
     .shown = "header name",
     .doc = "Header by which the server is told the user's name, in the place of those by that "
            "name that came. Without, it is not told but by Authorization, which stays."},
    {.key = "max_pending",
     .type = NU_INT,
     .offset = offsetof(struct auth_conf, max_pending),
     .fallback = "256",
     .min = 1,
     .max = PENDING_MAX,
     .doc = "Bcrypt comparisons of all filters that may wait for their turn; beyond, this one "
            "answers with 503."},
    {0                        }
};

static const struct nu_schema schema = {
    .name = "basic_auth",
    .doc = "Asks for name and password (HTTP Basic, RFC 7617), and answers with 401 who has not "
           "the right ones. Over plain HTTP anybody on the way can read them.",
    .size = sizeof(struct auth_conf),
    .fields = fields,
};

const struct nu_filter_type nu_filter_basic_auth = {
    .name = "basic_auth",
    .doc = "Asks for name and password.",
    .size = sizeof(struct auth),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD), 0},
    .schema = &schema,
    .prepare = auth_prepare,
    .open = auth_open,
    .event = auth_event,
    .close = auth_close,
};
