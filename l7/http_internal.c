/* An `http` filter that the program makes for itself; see http_internal.h. */
#include "l7/http_internal.h"

#include "core/assert.h"
#include "core/generation.h"
#include "l7/http_conf.h"
#include "l7/stream_in.h"

#include <string.h>

/* A config must have routes; this one is not looked at. */
#define ROUTES "routes: {respond: {status: 404}}\n"

const void *nu_http_internal(struct nu_arena *arena, const char *text, const struct nu_place *last)
{
    struct nu_generation none = {0};
    const char *whole = nu_arena_printf(arena, ROUTES "%s", text);
    struct nu_conf *conf = nu_conf_from_text("internal", ".", whole, strlen(whole));
    struct nu_node *root = nu_conf_root(conf);
    struct nu_http_conf *c = nu_arena_alloc(arena, sizeof *c);
    struct nu_place *places = nu_arena_alloc(arena, 2 * sizeof *places);
    nu_assert(root && nu_schema_parse(&nu_http_schema, conf, arena, root, c) == NU_OK);
    nu_assert(nu_http_prepare(&none, conf, arena, root, c) == NU_OK);
    nu_conf_free(conf);
    places[0] = (struct nu_place){&nu_stream_in, NULL};
    places[1] = *last;
    c->places = places;
    c->place_count = 2;
    c->routes = NULL;
    return c;
}
