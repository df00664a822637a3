/* Fields that log formats name; see log_field.h. */
#include "l7/log_field.h"

#include "core/assert.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum part { PART_FIELD, PART_METHOD, PART_PATH, PART_AUTHORITY, PART_SCHEME, PART_STATUS };

/* Which heads have it. */
enum { OF_REQUEST = 1, OF_RESPONSE = 2, OF_TRAILER = 4 };

struct field {
    enum part part;
    enum nu_hdr id;
    struct nu_text name; /* lower case */
};

struct fields {
    struct field either, or_else;
    bool has_else, service_time, original_path; /* what `either` asks for */
};

static const struct {
    const char *name;
    enum part part;
    unsigned of;
} parts[] = {
    {":method",    PART_METHOD,    OF_REQUEST },
    {":path",      PART_PATH,      OF_REQUEST },
    {":authority", PART_AUTHORITY, OF_REQUEST },
    {":scheme",    PART_SCHEME,    OF_REQUEST },
    {":status",    PART_STATUS,    OF_RESPONSE},
};

/* --- what is wanted --- */

/* Names that have no number; for good, as configs come and go with the same few. */
struct other {
    struct other *next;
    size_t len;
    char name[];
};

static atomic_bool wanted[2][NU_HDR_COUNT];
static struct other *_Atomic others;

static bool is_other(const char *name, size_t len)
{
    const struct other *o = atomic_load_explicit(&others, memory_order_acquire);
    while (o && (o->len != len || strncasecmp(o->name, name, len) != 0))
        o = o->next;
    return o != NULL;
}

/* Main thread. */
static void want(const struct field *field, unsigned of)
{
    enum nu_hdr id = field->part == PART_SCHEME ? NU_HDR_XFP : field->id;
    bool text = field->part == PART_FIELD || field->part == PART_SCHEME;
    if (text && of != OF_TRAILER)
        atomic_store_explicit(&wanted[of == OF_RESPONSE][id], true, memory_order_relaxed);
    if (!text || id != NU_HDR_OTHER || is_other(field->name.at, field->name.len))
        return;
    struct other *o = malloc(sizeof *o + field->name.len);
    nu_assert(o != NULL);
    *o = (struct other){.next = atomic_load(&others), .len = field->name.len};
    memcpy(o->name, field->name.at, o->len);
    atomic_store_explicit(&others, o, memory_order_release);
}

bool lf_is_wanted(bool of_response, const struct nu_http_field *field)
{
    return atomic_load_explicit(&wanted[of_response][field->id], memory_order_relaxed) &&
           (field->id != NU_HDR_OTHER || is_other(field->name, field->name_len));
}

/* NULL, or why there is no such field. */
static const char *read_field(struct nu_arena *arena, const char *text, size_t len, unsigned of,
                              struct field *out)
{
    char *name = nu_arena_strndup(arena, text, len);
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    *out = (struct field){.name = nu_text(name, len)};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].of & of && strcmp(parts[i].name, name) == 0) {
            out->part = parts[i].part;
            want(out, of);
            return NULL;
        }
    if (!nu_http_name_ok(out->name) || len > NU_HTTP_NAME_MAX_BYTES)
        return nu_arena_printf(arena, "\"%.60s\" is not the name of a header", name);
    out->id = nu_hdr_find(name, len);
    if (out->id == NU_HDR_HOST && of & OF_REQUEST)
        out->part = PART_AUTHORITY;
    want(out, of);
    return NULL;
}

enum nu_err lf_prepare_request_id(struct nu_arena *arena, const char *arg, const void **out,
                                  const char **error)
{
    want(&(struct field){.id = NU_HDR_REQUEST_ID}, OF_REQUEST);
    *out = NULL;
    return NU_OK;
}

static enum nu_err prepare(struct nu_arena *arena, const char *arg, const void **out,
                           const char **error, unsigned of)
{
    struct fields *fields = nu_arena_alloc(arena, sizeof *fields);
    size_t first = strcspn(arg, "?");
    *error = read_field(arena, arg, first, of, &fields->either);
    fields->has_else = arg[first] == '?';
    if (!*error && fields->has_else)
        *error = read_field(arena, arg + first + 1, strlen(arg + first + 1), of, &fields->or_else);
    fields->service_time = nu_text_is(fields->either.name, "x-envoy-upstream-service-time");
    fields->original_path = nu_text_is(fields->either.name, "x-envoy-original-path");
    *out = fields;
    return *error ? NU_ERR_CONFIG : NU_OK;
}

enum nu_err lf_prepare_request(struct nu_arena *arena, const char *arg, const void **out,
                               const char **error)
{
    return prepare(arena, arg, out, error, OF_REQUEST);
}

enum nu_err lf_prepare_response(struct nu_arena *arena, const char *arg, const void **out,
                                const char **error)
{
    return prepare(arena, arg, out, error, OF_RESPONSE);
}

enum nu_err lf_prepare_trailer(struct nu_arena *arena, const char *arg, const void **out,
                               const char **error)
{
    return prepare(arena, arg, out, error, OF_TRAILER);
}

enum nu_err lf_prepare_query(struct nu_arena *arena, const char *arg, const void **out,
                             const char **error)
{
    struct nu_text *name = nu_arena_alloc(arena, sizeof *name);
    *name = nu_text(nu_arena_strdup(arena, arg), strlen(arg));
    *out = name;
    return NU_OK;
}

static struct nu_text status_text(const struct nu_http_head *head)
{
    static _Thread_local char text[3];
    text[0] = (char)('0' + head->status / 100 % 10);
    text[1] = (char)('0' + head->status / 10 % 10);
    text[2] = (char)('0' + head->status % 10);
    return nu_text(text, sizeof text);
}

static struct nu_text value_of(const struct field *field, const struct nu_http_head *head)
{
    if (field->part == PART_METHOD)
        return head->method;
    if (field->part == PART_PATH)
        return head->path;
    if (field->part == PART_AUTHORITY)
        return head->authority;
    if (field->part == PART_SCHEME)
        return head->scheme.len ? head->scheme : nu_http_value(head, NU_HDR_XFP);
    if (field->part == PART_STATUS)
        return status_text(head);
    if (field->id != NU_HDR_OTHER)
        return nu_http_value(head, field->id);
    const struct nu_http_field *found = nu_http_find(head, field->name);
    return found ? nu_http_field_value(found) : nu_text("", 0);
}

struct nu_text lf_value(const void *prepared, const struct nu_http_head *head)
{
    const struct fields *fields = prepared;
    struct nu_text value = value_of(&fields->either, head);
    return value.len == 0 && fields->has_else ? value_of(&fields->or_else, head) : value;
}

/* The target without the scheme and the authority of its absolute form. */
static struct nu_text path_of(const struct nu_http_head *head)
{
    struct nu_text target = head->target;
    size_t skip = head->form == NU_FORM_ABSOLUTE ? head->scheme.len + strlen("://") : 0;
    const char *slash = skip < target.len ? memchr(target.at + skip, '/', target.len - skip) : NULL;
    return slash ? nu_text(slash, target.len - (size_t)(slash - target.at)) : nu_text("", 0);
}

struct nu_text lf_request_value(const void *prepared, const struct nu_http_head *head,
                                bool rewritten)
{
    const struct fields *fields = prepared;
    struct nu_text original = nu_text("", 0);
    if (fields->original_path && rewritten && !nu_http_find(head, fields->either.name))
        original = path_of(head);
    return original.len ? original : lf_value(prepared, head);
}

bool lf_is_service_time(const void *prepared)
{
    return ((const struct fields *)prepared)->service_time;
}

struct nu_text lf_query(const void *prepared, struct nu_text path)
{
    const struct nu_text *name = prepared;
    if (path.len == 0)
        return path;
    const char *end = path.at + path.len, *at = memchr(path.at, '?', path.len);
    while (at && ++at <= end) {
        const char *amp = at < end ? memchr(at, '&', (size_t)(end - at)) : NULL;
        size_t len = (size_t)((amp ? amp : end) - at);
        if (len > name->len && at[name->len] == '=' && memcmp(at, name->at, name->len) == 0)
            return nu_text(at + name->len + 1, len - name->len - 1);
        at = amp;
    }
    return nu_text("", 0);
}
