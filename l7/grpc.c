/* What gRPC changes in a stream; see grpc.h. */
#include "l7/grpc.h"

#include "l4/cluster.h"
#include "l7/route/route.h"

#include <stdio.h>
#include <string.h>

/* --- deadlines --- */

bool nu_grpc_has_own_timeout(const struct nu_stream *s)
{
    return s->grpc && s->route->max_grpc_timeout_ms >= 0;
}

/* What the server is told is what will be enforced. */
static void tell(struct nu_stream *s, int64_t ms)
{
    nu_http_set_known(s->request, NU_HDR_GRPC_TIMEOUT, nu_grpc_timeout_write(s->arena, ms));
}

void nu_grpc_begin(struct nu_stream *s)
{
    int64_t ms, most = s->route->max_grpc_timeout_ms;
    if (!s->grpc)
        return;
    bool asked = nu_grpc_timeout_read(nu_http_value(s->request, NU_HDR_GRPC_TIMEOUT), &ms) == NU_OK;
    if (most > 0 && (!asked || ms > most)) {
        ms = most;
        asked = true;
        tell(s, ms);
    }
    if (asked)
        nu_stream_deadline(s, s->start_ms + ms);
}

/* --- answers --- */

/* A status below 300 is what somebody wrote who knows; a redirect is none of gRPC's, but says more
 * as it is. What could not be read as HTTP/1 is answered in its words. */
bool nu_grpc_is_answer(const struct nu_stream *s, unsigned status)
{
    bool unread = s->flags >> NU_FLAG_CLIENT_ERROR & 1 && s->request->version != NU_HTTP_2;
    return s->grpc && status >= 400 && !unread;
}

static void add_status(struct nu_http_head *head, enum nu_grpc_status status, struct nu_text text)
{
    char number[4];
    int len = snprintf(number, sizeof number, "%u", (unsigned)status);
    nu_http_add_known(head, NU_HDR_GRPC_STATUS, nu_text(number, (size_t)len));
    if (text.len > 0)
        nu_http_add_known(head, NU_HDR_GRPC_MESSAGE, nu_grpc_message_write(head->arena, text));
}

void nu_grpc_answer(const struct nu_stream *s, struct nu_http_head *head, unsigned status,
                    struct nu_text text)
{
    bool late = s->flags >> NU_FLAG_TIMEOUT & 1;
    nu_http_append(head, NU_HDR_CONTENT_TYPE, NU_TEXT("content-type"), NU_TEXT("application/grpc"));
    add_status(head, late ? NU_GRPC_DEADLINE_EXCEEDED : nu_grpc_status_of_http(status), text);
    head->has_length = s->request->version != NU_HTTP_2; /* else END_STREAM says it */
}

struct nu_http_head *nu_grpc_late(const struct nu_stream *s, struct nu_text text)
{
    if (!s->grpc || s->request->version != NU_HTTP_2 || !s->response || s->response->has_length)
        return NULL;
    struct nu_http_head *head = nu_http_head_new(s->arena);
    add_status(head, NU_GRPC_DEADLINE_EXCEEDED, text);
    return head;
}

/* --- how it ended --- */

static int status_in(const struct nu_http_head *head)
{
    return head ? nu_grpc_status_read(nu_http_value(head, NU_HDR_GRPC_STATUS)) : -1;
}

/* Without a word, as gRPC's libraries understand it. */
static int status_without(const struct nu_stream *s)
{
    if (s->flags >> NU_FLAG_CLIENT_GONE & 1)
        return NU_GRPC_CANCELLED;
    if (s->flags >> NU_FLAG_TIMEOUT & 1)
        return NU_GRPC_DEADLINE_EXCEEDED;
    return s->response ? (int)nu_grpc_status_of_http(s->response->status) : -1;
}

int nu_grpc_status_of(const struct nu_stream *s)
{
    if (!s->grpc)
        return -1;
    int status = status_in(s->trailers);
    if (status < 0)
        status = status_in(s->response);
    return status < 0 ? status_without(s) : status;
}

void nu_grpc_count(const struct nu_stream *s, unsigned shard)
{
    if (!s->grpc || !s->cluster)
        return;
    int status = nu_grpc_status_of(s);
    bool good = status == NU_GRPC_OK;
    struct nu_stats *stats = s->cluster->stats;
    nu_stat_add(stats, shard, NU_CLUSTER_GRPC_TOTAL, 1);
    nu_stat_add(stats, shard, good ? NU_CLUSTER_GRPC_SUCCESS : NU_CLUSTER_GRPC_FAILURE, 1);
    if (status >= 0 && status < NU_GRPC_STATUS_COUNT)
        nu_stat_add(stats, shard, NU_CLUSTER_GRPC_0 + (unsigned)status, 1);
}
