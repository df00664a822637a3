/* For codecs that fill heads: bytes that move. */
#ifndef NU_PROTOCOLS_HTTP_HEAD_PRIV_H
#define NU_PROTOCOLS_HTTP_HEAD_PRIV_H

#include "protocols/http/head.h"

/* `len` bytes were copied from one place to another. */
struct nu_http_move {
    const char *from;
    size_t len;
    const char *to;
};
/* Texts that lay in the old place now point into the new one. */
void nu_http_head_move(struct nu_http_head *head, const struct nu_http_move *move);

/* Room for more fields; false at NU_HTTP_FIELDS_MAX. */
bool nu_http_head_grow(struct nu_http_head *head);

/* nu_http_append, for the loop that reads fields. */
static inline bool nu_http_push(struct nu_http_head *head, enum nu_hdr id, struct nu_text name,
                                struct nu_text value)
{
    if (head->count == head->cap && !nu_http_head_grow(head))
        return false;
    struct nu_http_field *field = &head->fields[head->count++];
    field->name = name.at;
    field->value = value.at;
    field->value_len = (uint32_t)value.len;
    field->name_len = (uint16_t)name.len;
    field->id = (uint8_t)id;
    field->flags = nu_hdr_flags(id) & NU_HDR_HOP ? NU_HTTP_FIELD_HOP : 0;
    if (id == NU_HDR_OTHER)
        return true;
    unsigned first = head->known[id];
    if (first == 0) {
        head->known[id] = head->count;
        return true;
    }
    head->fields[first - 1].flags |= NU_HTTP_FIELD_SHARED;
    field->flags |= NU_HTTP_FIELD_SHARED;
    return true;
}

#endif
