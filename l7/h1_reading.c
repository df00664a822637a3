/* What the HTTP/1 side towards clients keeps while it reads a request: the bytes, the parser, and
 * the arena that the request's stream lives in. Nothing of it is there between requests. */
#include "l7/h1_server_priv.h"

#include <string.h>

#define ARENA_BYTES NU_BLOCK_TINY /* a stream, and two heads of 16 fields that lie in one read */

static struct h1_reading *reading_new(const struct h1_server *s)
{
    struct nu_block *room = nu_block_get(nu_filter_loop(&s->filter)->blocks, ARENA_BYTES);
    struct nu_arena *arena = nu_arena_new_in(room);
    struct h1_reading *reading = nu_arena_alloc(arena, sizeof *reading);
    reading->arena = arena;
    return reading;
}

size_t h1_rest(const struct h1_server *s)
{
    return s->reading ? s->reading->rest.len : 0;
}

void h1_drop_rest(struct h1_server *s)
{
    if (s->reading)
        nu_slice_drop(&s->reading->rest);
}

/* Behind what has not been read, if there is any: that is rare, and copied together. */
void h1_take(struct h1_server *s, struct nu_slice data)
{
    if (!s->reading)
        s->reading = reading_new(s);
    struct nu_slice rest = s->reading->rest;
    if (rest.len == 0) {
        s->reading->rest = data;
        return;
    }
    struct nu_block *b = nu_block_get(nu_filter_loop(&s->filter)->blocks, rest.len + data.len);
    memcpy(b->data, rest.data, rest.len);
    memcpy(b->data + rest.len, data.data, data.len);
    s->reading->rest = nu_block_freeze(b, rest.len + data.len);
    nu_slice_drop(&rest);
    nu_slice_drop(&data);
    nu_block_unref(b);
}

void h1_reading_over(struct h1_server *s)
{
    struct nu_slice rest = s->reading->rest;
    nu_arena_free(s->reading->arena);
    s->reading = NULL;
    if (rest.len > 0)
        h1_take(s, rest);
    else
        nu_slice_drop(&rest);
}

void h1_reading_free(struct h1_server *s)
{
    if (!s->reading)
        return;
    nu_slice_drop(&s->reading->rest);
    nu_arena_free(s->reading->arena);
    s->reading = NULL;
}
