/* Heads of messages: fields, their edits, and where their bytes live; see head.h. */
#include "protocols/http/head.h"

#include "core/arena.h"
#include "core/assert.h"
#include "protocols/http/chars_priv.h"
#include "protocols/http/head_priv.h"

/* A program's request, with what we add. More would be better for browsers, but two heads, a stream
 * and what filters keep just fit the block that a stream's arena lies in. */
#define FIRST_FIELDS 12

bool nu_text_is_fold(struct nu_text text, const char *is)
{
    return text.len == strlen(is) && ch_is_name(text.at, is, text.len);
}

struct nu_http_head *nu_http_head_new(struct nu_arena *arena)
{
    struct {
        struct nu_http_head head;
        struct nu_http_field fields[FIRST_FIELDS];
    } *it = nu_arena_alloc(arena, sizeof *it);
    it->head.arena = arena;
    it->head.fields = it->fields;
    it->head.cap = FIRST_FIELDS;
    return &it->head;
}

struct nu_http_head *nu_http_head_clone(const struct nu_http_head *head, struct nu_arena *arena)
{
    struct nu_http_head *clone = nu_arena_alloc(arena, sizeof *clone);
    *clone = *head;
    clone->arena = arena;
    clone->wire = nu_slice_dup(head->wire);
    clone->fields = nu_arena_alloc(arena, head->cap * sizeof *head->fields);
    memcpy(clone->fields, head->fields, head->count * sizeof *head->fields);
    return clone;
}

void nu_http_head_drop(struct nu_http_head *head)
{
    nu_slice_drop(&head->wire);
}

static void move_text(const char **at, const struct nu_http_move *move)
{
    uintptr_t is = (uintptr_t)*at, from = (uintptr_t)move->from;
    if (is >= from && is - from < move->len)
        *at = move->to + (is - from);
}

void nu_http_head_move(struct nu_http_head *head, const struct nu_http_move *move)
{
    struct nu_text *const texts[] = {&head->method,    &head->target, &head->scheme,
                                     &head->authority, &head->path,   &head->upgrade,
                                     &head->protocol,  &head->reason};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        move_text(&texts[i]->at, move);
    for (unsigned i = 0; i < head->count; i++) {
        move_text(&head->fields[i].name, move);
        move_text(&head->fields[i].value, move);
    }
}

void nu_http_head_keep(struct nu_http_head *head)
{
    if (head->wire.len == 0)
        return;
    const char *from = (const char *)head->wire.data;
    const char *to = nu_arena_strndup(head->arena, from, head->wire.len);
    nu_http_head_move(head, &(struct nu_http_move){from, head->wire.len, to});
    nu_slice_drop(&head->wire);
}

static bool same_name(const struct nu_http_field *field, enum nu_hdr id, struct nu_text name)
{
    if (field->flags & NU_HTTP_FIELD_GONE || field->id != id)
        return false;
    return id != NU_HDR_OTHER ||
           (field->name_len == name.len && ch_equal_fold(field->name, name.at, name.len));
}

static struct nu_http_field *scan(const struct nu_http_head *head, unsigned from, enum nu_hdr id,
                                  struct nu_text name)
{
    for (unsigned i = from; i < head->count; i++)
        if (same_name(&head->fields[i], id, name))
            return &head->fields[i];
    return NULL;
}

const struct nu_http_field *nu_http_find(const struct nu_http_head *head, struct nu_text name)
{
    enum nu_hdr id = nu_hdr_find(name.at, name.len);
    return id != NU_HDR_OTHER ? nu_http_get(head, id) : scan(head, 0, id, name);
}

const struct nu_http_field *nu_http_next(const struct nu_http_head *head,
                                         const struct nu_http_field *field)
{
    if (field->id != NU_HDR_OTHER && !(field->flags & NU_HTTP_FIELD_SHARED))
        return NULL;
    return scan(head, (unsigned)(field - head->fields) + 1, field->id,
                nu_text(field->name, field->name_len));
}

const struct nu_http_field *nu_http_each(const struct nu_http_head *head,
                                         const struct nu_http_field *after)
{
    size_t i = after ? (size_t)(after - head->fields) + 1 : 0;
    while (i < head->count && head->fields[i].flags & NU_HTTP_FIELD_GONE)
        i++;
    return i < head->count ? &head->fields[i] : NULL;
}

bool nu_http_head_grow(struct nu_http_head *head)
{
    if (head->cap == NU_HTTP_FIELDS_MAX)
        return false;
    unsigned cap = head->cap < NU_HTTP_FIELDS_MAX / 2 ? head->cap * 2u : NU_HTTP_FIELDS_MAX;
    struct nu_http_field *fields = nu_arena_alloc(head->arena, cap * sizeof *fields);
    memcpy(fields, head->fields, head->count * sizeof *fields);
    head->fields = fields;
    head->cap = (uint16_t)cap;
    return true;
}

bool nu_http_append(struct nu_http_head *head, enum nu_hdr id, struct nu_text name,
                    struct nu_text value)
{
    return nu_http_push(head, id, name, value);
}

bool nu_http_name_ok(struct nu_text name)
{
    return name.len > 0 && ch_span(name.at, name.len, CH_TOKEN) == name.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool nu_http_value_ok(struct nu_text value)
{
    if (value.len == 0)
        return true;
    return !is_blank(value.at[0]) && !is_blank(value.at[value.len - 1]) &&
           ch_text(value.at, value.len) == value.len;
}

static enum nu_err check(const struct nu_http_head *head, struct nu_text name, struct nu_text value)
{
    if (!nu_http_name_ok(name) || !nu_http_value_ok(value))
        return NU_ERR_SYNTAX;
    if (name.len > NU_HTTP_NAME_MAX_BYTES || value.len > UINT32_MAX)
        return NU_ERR_LIMIT;
    return head->count < NU_HTTP_FIELDS_MAX ? NU_OK : NU_ERR_LIMIT;
}

static struct nu_text copy(struct nu_http_head *head, struct nu_text text)
{
    return nu_text(nu_arena_strndup(head->arena, text.at, text.len), text.len);
}

/* A known name is the table's own text. */
static enum nu_err add(struct nu_http_head *head, enum nu_hdr id, struct nu_text name,
                       struct nu_text value)
{
    enum nu_err err = check(head, name, value);
    if (err != NU_OK)
        return err;
    name = id != NU_HDR_OTHER ? nu_text(nu_hdr_str(id), name.len) : copy(head, name);
    nu_assert(nu_http_append(head, id, name, copy(head, value)));
    return NU_OK;
}

static struct nu_text known_name(enum nu_hdr id)
{
    nu_assert(id != NU_HDR_OTHER);
    return nu_text(nu_hdr_str(id), nu_hdr_len(id));
}

enum nu_err nu_http_add(struct nu_http_head *head, struct nu_text name, struct nu_text value)
{
    return add(head, nu_hdr_find(name.at, name.len), name, value);
}

enum nu_err nu_http_add_known(struct nu_http_head *head, enum nu_hdr id, struct nu_text value)
{
    return add(head, id, known_name(id), value);
}

static unsigned remove_all(struct nu_http_head *head, enum nu_hdr id, struct nu_text name)
{
    unsigned count = 0;
    struct nu_http_field *field = scan(head, 0, id, name);
    for (; field; field = scan(head, (unsigned)(field - head->fields) + 1, id, name)) {
        field->flags |= NU_HTTP_FIELD_GONE;
        count++;
    }
    if (id != NU_HDR_OTHER)
        head->known[id] = 0;
    return count;
}

unsigned nu_http_remove(struct nu_http_head *head, struct nu_text name)
{
    return remove_all(head, nu_hdr_find(name.at, name.len), name);
}

unsigned nu_http_remove_known(struct nu_http_head *head, enum nu_hdr id)
{
    return head->known[id] ? remove_all(head, id, known_name(id)) : 0;
}

/* The new value may lie in a field that goes: bytes stay where they are until the arena does. */
static enum nu_err set(struct nu_http_head *head, enum nu_hdr id, struct nu_text name,
                       struct nu_text value)
{
    enum nu_err err = check(head, name, value);
    if (err != NU_OK)
        return err;
    remove_all(head, id, name);
    return add(head, id, name, value);
}

enum nu_err nu_http_set(struct nu_http_head *head, struct nu_text name, struct nu_text value)
{
    return set(head, nu_hdr_find(name.at, name.len), name, value);
}

enum nu_err nu_http_set_known(struct nu_http_head *head, enum nu_hdr id, struct nu_text value)
{
    return set(head, id, known_name(id), value);
}

/* Where the element that begins at `text` ends: at a comma outside of quoted strings. */
static size_t element_end(struct nu_text text)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < text.len && (quoted || text.at[i] != ','); i++) {
        if (text.at[i] == '"')
            quoted = !quoted;
        else if (quoted && text.at[i] == '\\' && i + 1 < text.len)
            i++;
    }
    return i;
}

bool nu_http_list_next(struct nu_text *rest, struct nu_text *element)
{
    while (rest->len && (is_blank(*rest->at) || *rest->at == ','))
        *rest = nu_text(rest->at + 1, rest->len - 1);
    if (!rest->len) { /* its bytes may be NULL, of which there is no part */
        *element = *rest;
        return false;
    }
    size_t end = element_end(*rest);
    *element = nu_text(rest->at, end);
    *rest = nu_text(rest->at + end, rest->len - end);
    while (element->len && is_blank(element->at[element->len - 1]))
        element->len--;
    return element->len > 0;
}

const char *nu_http_version_str(enum nu_http_version version)
{
    if (version == NU_HTTP_1_0)
        return "HTTP/1.0";
    return version == NU_HTTP_1_1 ? "HTTP/1.1" : "HTTP/2";
}

const char *nu_http_body_str(enum nu_http_body body)
{
    static const char *const names[] = {"none", "length", "chunked", "close", "tunnel"};
    nu_assert((unsigned)body < sizeof names / sizeof *names);
    return names[body];
}

const char *nu_http_form_str(enum nu_http_form form)
{
    static const char *const names[] = {"origin", "absolute", "authority", "asterisk"};
    nu_assert((unsigned)form < sizeof names / sizeof *names);
    return names[form];
}
