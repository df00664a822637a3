/* Which stream's DATA goes first (RFC 9218): what requests and PRIORITY_UPDATE say of it. The order
 * itself is nghttp2's, which also takes PRIORITY_UPDATE of streams that it knows. */
#include "protocols/http2/h2_priv.h"

#include <string.h>

/* "u=3, i": what is not understood does not count, parameters neither (RFC 9218 4, RFC 8941 3.2).
 */
static bool read_priority(struct nu_text rest, nghttp2_extpri *out)
{
    struct nu_text item;
    bool any = false;
    while (nu_http_list_next(&rest, &item)) {
        const char *parameter = memchr(item.at, ';', item.len);
        if (parameter)
            item.len = (size_t)(parameter - item.at);
        bool inc = nu_text_is(item, "i") || nu_text_is(item, "i=?1");
        if (item.len == 3 && item.at[0] == 'u' && item.at[1] == '=' && item.at[2] >= '0' &&
            item.at[2] <= '7')
            out->urgency = (uint32_t)(item.at[2] - '0');
        else if (inc || nu_text_is(item, "i=?0"))
            out->inc = inc;
        any = true;
    }
    return any;
}

static bool was_updated(const struct nu_h2 *h2, int32_t id)
{
    for (size_t i = 0; i < H2_UPDATED_KNOWN; i++)
        if (h2->updated[i] == id)
            return true;
    return false;
}

/* Streams of a client that says nothing share the connection alike. What a frame said before the
 * request stays: it is the later word (RFC 9218 7). */
void h2_priority_set(const struct nu_h2_stream *st)
{
    nghttp2_extpri priority = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 0};
    if (was_updated(st->h2, st->id))
        return;
    if (!read_priority(nu_http_value(st->head, NU_HDR_PRIORITY), &priority))
        priority.inc = 1;
    nghttp2_session_change_extpri_stream_priority(st->h2->session, st->id, &priority, 0);
}

int h2_priority_update(struct nu_h2 *h2, const nghttp2_frame *frame)
{
    const nghttp2_ext_priority_update *update = frame->ext.payload;
    if (update->stream_id == 0) /* RFC 9218 7.1; nghttp2 passes over it */
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!h2->client && update->stream_id > h2->last_id)
        h2->updated[h2->updated_at++ % H2_UPDATED_KNOWN] = update->stream_id;
    return 0;
}
