/* Growing text; see out.h. */
#include "l7/route/out.h"

#include <string.h>

#define FIRST_BYTES 128 /* most paths */

static void make_room(struct route_out *out, size_t more)
{
    size_t cap = out->cap ? out->cap : FIRST_BYTES;
    while (cap < out->len + more)
        cap *= 2;
    if (cap == out->cap)
        return;
    char *at = nu_arena_alloc(out->arena, cap);
    if (out->len)
        memcpy(at, out->at, out->len);
    out->at = at;
    out->cap = cap;
}

void route_put(struct route_out *out, struct nu_text text)
{
    out->too_long = out->too_long || text.len > out->max - out->len;
    if (out->too_long || text.len == 0)
        return;
    make_room(out, text.len);
    memcpy(out->at + out->len, text.at, text.len);
    out->len += text.len;
}

void route_put_str(struct route_out *out, const char *text)
{
    route_put(out, nu_text(text, strlen(text)));
}
