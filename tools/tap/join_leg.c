/* Copies of exchanges; see join_leg.h. */
#include "tools/tap/join_leg.h"

#include "core/arena.h"
#include "core/assert.h"

#include <stdlib.h>

#define ARENA_FIRST 1024

static struct nu_text keep(struct nu_arena *arena, struct nu_text text)
{
    return text.len ? nu_text(nu_arena_strndup(arena, text.at, text.len), text.len)
                    : nu_text("", 0);
}

/* Facts and fields; the bytes that it came in stay where they are. */
static struct nu_http_head *copy_head(struct nu_arena *arena, const struct nu_http_head *from)
{
    const struct nu_http_field *f = NULL;
    if (!from)
        return NULL;
    struct nu_http_head *head = nu_http_head_new(arena);
    head->authority = keep(arena, from->authority);
    head->upgrade = keep(arena, from->upgrade);
    head->protocol = keep(arena, from->protocol);
    head->status = from->status;
    while ((f = nu_http_each(from, f)))
        nu_http_append(head, f->id, keep(arena, nu_text(f->name, f->name_len)),
                       keep(arena, nu_http_field_value(f)));
    return head;
}

static void copy_message(struct nu_arena *arena, struct tap_message *m)
{
    m->head = copy_head(arena, m->head);
    m->trailers = copy_head(arena, m->trailers);
    m->type = keep(arena, m->type);
    m->coding = keep(arena, m->coding);
    if (m->kept_len)
        m->kept = (const uint8_t *)nu_arena_strndup(arena, (const char *)m->kept, m->kept_len);
}

struct join_leg *join_leg_new(const struct tap_exchange *x, bool fits)
{
    struct join_leg *leg = calloc(1, sizeof *leg);
    nu_assert(leg != NULL);
    leg->arena = nu_arena_new(ARENA_FIRST);
    leg->fits = fits;
    leg->x = *x;
    leg->conn = *x->conn;
    leg->flow = *x->conn->flow;
    leg->conn.flow = &leg->flow;
    leg->x.conn = &leg->conn;
    leg->x.tie = &leg->tie;
    leg->x.method = keep(leg->arena, x->method);
    leg->x.host = keep(leg->arena, x->host);
    leg->x.target = keep(leg->arena, x->target);
    for (int dir = 0; dir < 2; dir++)
        copy_message(leg->arena, &leg->x.message[dir]);
    join_face_of(&leg->face, &leg->x, false);
    leg->bytes = sizeof *leg + nu_arena_bytes(leg->arena);
    return leg;
}

void join_leg_free(struct join_leg *leg)
{
    nu_arena_free(leg->arena);
    free(leg);
}
