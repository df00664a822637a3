/* What is compared of an exchange, taken out of its heads; see join_match.h. */
#include "tools/tap/join_match.h"

#include <string.h>

#define VALUE_LEAST 16 /* characters of a value that nobody sends by chance */

const char *join_by_str(enum join_by by)
{
    static const char *const names[] = {"none",  "request", "forwarded", "proxy",
                                        "proxy", "value",   "id"};
    return (unsigned)by < sizeof names / sizeof *names ? names[by] : "?";
}

/* --- targets --- */

static struct nu_text from(struct nu_text text, size_t at)
{
    return at < text.len ? nu_text(text.at + at, text.len - at) : nu_text("", 0);
}

static size_t find_char(struct nu_text text, char c)
{
    const char *at = text.len ? memchr(text.at, c, text.len) : NULL;
    return at ? (size_t)(at - text.at) : text.len;
}

/* The path of "http://host/path", too. */
static struct nu_text without_origin(struct nu_text target)
{
    size_t colon = find_char(target, ':');
    if (!target.len || *target.at == '/' || target.len < colon + 3 ||
        memcmp(target.at + colon, "://", 3) != 0)
        return target;
    struct nu_text rest = from(target, colon + 3);
    size_t slash = find_char(rest, '/');
    return slash < rest.len ? from(rest, slash) : NU_TEXT("/");
}

static void split_target(struct join_face *f)
{
    struct nu_text target = without_origin(f->x->target);
    size_t mark = find_char(target, '?'), end = mark, begin;
    f->path = nu_text(target.at, mark);
    f->query = from(target, mark);
    if (end && target.at[end - 1] == '/')
        end--;
    for (begin = end; begin && target.at[begin - 1] != '/';)
        begin--;
    f->last = from(nu_text(target.at, end), begin);
}

/* --- marks --- */

/* Fields that are there to know a request again. Of those with a separator only what stands before
 * it goes on unchanged: each hop has a number of its own behind it. */
struct id_field {
    const char *name;
    char until;
    bool version; /* begins with one, "00-" */
    enum join_mark_kind kind;
};
static const struct id_field id_fields[] = {
    {"x-request-id",          0,   false, JOIN_MARK_ID   },
    {"request-id",            0,   false, JOIN_MARK_ID   },
    {"x-unique-id",           0,   false, JOIN_MARK_ID   },
    {"x-correlation-id",      0,   false, JOIN_MARK_TRACE},
    {"traceparent",           '-', true,  JOIN_MARK_TRACE},
    {"x-b3-traceid",          0,   false, JOIN_MARK_TRACE},
    {"b3",                    '-', false, JOIN_MARK_TRACE},
    {"x-trace-id",            0,   false, JOIN_MARK_TRACE},
    {"x-amzn-trace-id",       0,   false, JOIN_MARK_TRACE},
    {"x-cloud-trace-context", '/', false, JOIN_MARK_TRACE},
    {"uber-trace-id",         ':', false, JOIN_MARK_TRACE},
};

static const struct id_field *id_field(struct nu_text name)
{
    for (size_t i = 0; i < sizeof id_fields / sizeof *id_fields; i++)
        if (nu_text_is_fold(name, id_fields[i].name))
            return &id_fields[i];
    return NULL;
}

static struct nu_text id_of(const struct id_field *id, struct nu_text value)
{
    if (id->version) {
        size_t at = find_char(value, id->until);
        value = from(value, at < value.len ? at + 1 : at);
    }
    return nu_text(value.at, id->until ? find_char(value, id->until) : value.len);
}

/* Long, without blanks, with a digit: made for this one request, maybe. */
static bool looks_unique(struct nu_text value)
{
    bool digit = false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] <= ' ' || value.at[i] == 0x7f)
            return false;
        digit |= value.at[i] >= '0' && value.at[i] <= '9';
    }
    return digit && value.len >= VALUE_LEAST;
}

/* Fields that the program knows by number say other things: who, what kind, since when. */
static bool make_mark(struct join_mark *mark, const struct nu_http_field *field, int dir)
{
    *mark = (struct join_mark){.name = nu_text(field->name, field->name_len),
                               .value = nu_http_field_value(field),
                               .dir = dir};
    const struct id_field *id = dir == 0 ? id_field(mark->name) : NULL;
    if (id) {
        mark->kind = id->kind;
        mark->value = id_of(id, mark->value);
        return mark->value.len > 0;
    }
    bool may = field->id == NU_HDR_OTHER || field->id == NU_HDR_SET_COOKIE;
    return may && looks_unique(mark->value);
}

/* Those that are there for it come first, so that others leave them room. */
static void find_marks(struct join_face *f, bool ids)
{
    for (int dir = 0; dir < 2; dir++) {
        const struct nu_http_head *head = f->x->message[dir].head;
        const struct nu_http_field *field = NULL;
        while (head && (field = nu_http_each(head, field)) && f->marks < JOIN_MARKS_MAX) {
            struct join_mark *mark = &f->mark[f->marks];
            f->marks += make_mark(mark, field, dir) && (mark->kind > JOIN_MARK_VALUE) == ids;
        }
    }
}

/* --- all of it --- */

static bool asks_for_ws(const struct nu_http_head *head)
{
    return head && (nu_text_is_fold(head->upgrade, "websocket") ||
                    nu_text_is_fold(head->protocol, "websocket"));
}

static int64_t end_of(const struct tap_exchange *x)
{
    return x->complete ? x->message[1].last_ns : x->conn->flow->last_ns;
}

void join_face_of(struct join_face *f, const struct tap_exchange *x, bool open)
{
    *f = (struct join_face){.x = x,
                            .client = nu_flow_from(x->conn->flow, 0),
                            .server = nu_flow_from(x->conn->flow, 1),
                            .open = open,
                            .end_ns = open ? INT64_MAX : end_of(x),
                            .ws = asks_for_ws(x->message[0].head)};
    split_target(f);
    find_marks(f, true);
    find_marks(f, false);
}
