/* header_edit: sets, adds and removes headers of requests and responses, as a route's
 * request_headers and response_headers do (head_edit.h), but in the place of a filter: what stands
 * to its right sees the request so, what stands to its left the response, answers of the proxy's
 * own as well.
 *
 * Faces: HTTP. Sees: HEAD of the directions that it has edits for. Stores nothing, holds nothing,
 * has nothing to flush at END and nothing to cancel in `close`. */
#include "core/chain.h"
#include "core/conf/schema.h"
#include "l7/filters/filters.h"
#include "l7/head_edit.h"
#include "protocols/http/head.h"

struct header_edit_conf {
    const struct nu_head_edits *edits[2]; /* by direction; NULL = none */
};

struct header_edit {
    struct nu_filter filter;
    const struct header_edit_conf *conf;
};

static enum nu_open header_edit_open(struct nu_filter *f, const void *opaque)
{
    const struct header_edit_conf *conf = opaque;
    ((struct header_edit *)f)->conf = conf;
    for (enum nu_dir dir = NU_FWD; dir <= NU_REV; dir++)
        if (!conf->edits[dir])
            nu_narrow(f, dir, 0);
    return NU_OPEN;
}

static void header_edit_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    const struct header_edit_conf *conf = ((struct header_edit *)f)->conf;
    nu_head_edits_apply(conf->edits[dir], (struct nu_http_head *)ev->u.head, f->chain);
    nu_forward(f, dir, ev);
}

static const struct nu_field fields[] = {
    {.key = "request",
     .type = NU_CUSTOM,
     .offset = offsetof(struct header_edit_conf, edits[NU_FWD]),
     .parse = nu_head_edits_field,
     .sub = &nu_head_edits_schema,
     .shown = "map",
     .doc = "Edits of the request's head. Its route was chosen before."},
    {.key = "response",
     .type = NU_CUSTOM,
     .offset = offsetof(struct header_edit_conf, edits[NU_REV]),
     .parse = nu_head_edits_field,
     .sub = &nu_head_edits_schema,
     .shown = "map",
     .doc = "Edits of the response's head, also where the proxy or a filter to the right answers "
            "by itself."},
    {0              }
};

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    if (nu_node_get(node, "request") || nu_node_get(node, "response"))
        return NU_OK;
    nu_conf_error(conf, node, "needs \"request\" or \"response\", edits of headers");
    return NU_ERR_CONFIG;
}

static const struct nu_schema schema = {
    .name = "header_edit",
    .doc = "Sets, adds and removes headers of requests and responses, at this place among the "
           "filters.",
    .size = sizeof(struct header_edit_conf),
    .fields = fields,
    .check = check,
};

const struct nu_filter_type nu_filter_header_edit = {
    .name = "header_edit",
    .doc = "Sets, adds and removes headers of requests and responses.",
    .size = sizeof(struct header_edit),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD), NU_SEES(NU_HEAD)},
    .schema = &schema,
    .open = header_edit_open,
    .event = header_edit_event,
};
