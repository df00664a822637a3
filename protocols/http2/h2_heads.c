/* Heads as nghttp2 wants them; see h2_priv.h. Texts are borrowed until the frame is sent: they are
 * the arena's of the stream. */
#include "core/arena.h"
#include "core/assert.h"
#include "protocols/http2/h2_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define MORE 7u /* fields that a head has besides its own */

static void nva_add(struct h2_nva *nva, struct nu_text name, struct nu_text value)
{
    nva->at[nva->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.at,
        .value = (uint8_t *)(uintptr_t)value.at,
        .namelen = name.len,
        .valuelen = value.len,
        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
    };
}

static void nva_begin(struct h2_nva *nva, const struct nu_http_head *head)
{
    nva->count = 0;
    nva->at = nva->few;
    if (head->count + MORE > H2_NV_FEW)
        nva->at = malloc((head->count + MORE) * sizeof *nva->at);
    nu_assert(nva->at != NULL);
}

void h2_nva_end(struct h2_nva *nva)
{
    if (nva->at != nva->few)
        free(nva->at);
}

/* Names of servers that speak HTTP/1 come in any case. */
static struct nu_text lower(struct nu_arena *arena, const struct nu_http_field *f)
{
    if (f->id != NU_HDR_OTHER)
        return nu_text(nu_hdr_str((enum nu_hdr)f->id), f->name_len);
    size_t i = 0;
    while (i < f->name_len && !(f->name[i] >= 'A' && f->name[i] <= 'Z'))
        i++;
    if (i == f->name_len)
        return nu_text(f->name, i);
    char *name = nu_arena_strndup(arena, f->name, f->name_len);
    for (; i < f->name_len; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] |= 0x20;
    return nu_text(name, f->name_len);
}

/* `but`: one that is not for HTTP/2; NU_HDR_OTHER: there is none. */
static void nva_fields(struct h2_nva *nva, struct nu_arena *arena, const struct nu_http_head *head,
                       unsigned barred, enum nu_hdr but)
{
    const struct nu_http_field *f = NULL;
    while ((f = nu_http_each(head, f)))
        if (!(f->flags & NU_HTTP_FIELD_HOP || nu_hdr_flags((enum nu_hdr)f->id) & barred) &&
            (but == NU_HDR_OTHER || f->id != but))
            nva_add(nva, lower(arena, f), nu_http_field_value(f));
}

static struct nu_text number(struct nu_arena *arena, uint64_t n)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    return nu_text(nu_arena_strndup(arena, text, (size_t)len), (size_t)len);
}

/* Content-Length where it was sent and means something (RFC 9110 8.6). */
static bool tells_length(const struct nu_http_head *head)
{
    unsigned status = head->status;
    if (status < 200 || status == 204 || head->body > NU_BODY_LENGTH)
        return false;
    return head->body == NU_BODY_LENGTH || head->has_length;
}

void h2_nva_response(struct h2_nva *nva, struct nu_arena *arena, const struct nu_http_head *head)
{
    bool upgraded = head->status == 101;
    nva_begin(nva, head);
    nva_add(nva, NU_TEXT(":status"), number(arena, upgraded ? 200 : head->status));
    nva_fields(nva, arena, head, NU_HDR_FRAMING | NU_HDR_HOP,
               upgraded ? NU_HDR_WS_ACCEPT : NU_HDR_OTHER);
    if (tells_length(head))
        nva_add(nva, NU_TEXT("content-length"), number(arena, head->content_length));
}

void h2_nva_trailers(struct h2_nva *nva, struct nu_arena *arena, const struct nu_http_head *head)
{
    nva_begin(nva, head);
    nva_fields(nva, arena, head, NU_HDR_NO_TRAIL | NU_HDR_HOP, NU_HDR_OTHER);
}

/* CONNECT has a host and a port, its extended form what others have (RFC 9113 8.5, RFC 8441 4). The
 * scheme is that of our own connection: servers judge it by theirs, and X-Forwarded-Proto tells
 * them what the client said. */
static void nva_target(struct h2_nva *nva, const struct nu_h2_stream *st)
{
    const struct nu_http_head *head = st->ours;
    bool upgrade = head->upgrade.len > 0, connect = head->method_id == NU_METHOD_CONNECT;
    nva_add(nva, NU_TEXT(":method"), upgrade ? NU_TEXT("CONNECT") : head->method);
    if (!connect)
        nva_add(nva, NU_TEXT(":scheme"), st->h2->secure ? NU_TEXT("https") : NU_TEXT("http"));
    nva_add(nva, NU_TEXT(":authority"), head->authority);
    if (!connect)
        nva_add(nva, NU_TEXT(":path"), head->path);
    if (upgrade)
        nva_add(nva, NU_TEXT(":protocol"), head->upgrade);
}

void h2_nva_request(struct h2_nva *nva, const struct nu_h2_stream *st)
{
    const struct nu_http_head *head = st->ours;
    nva_begin(nva, head);
    nva_target(nva, st);
    nva_fields(nva, st->arena, head, NU_HDR_FRAMING | NU_HDR_HOP,
               head->upgrade.len > 0 ? NU_HDR_WS_KEY : NU_HDR_OTHER);
    if (head->te_trailers)
        nva_add(nva, NU_TEXT("te"), NU_TEXT("trailers"));
    if (st->asks)
        return;
    if (head->body == NU_BODY_LENGTH || (head->has_length && head->body == NU_BODY_NONE))
        nva_add(nva, NU_TEXT("content-length"), number(st->arena, head->content_length));
}
