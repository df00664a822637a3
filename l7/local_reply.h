/* Answers that are our own: where no server was asked, or none could be. Their bodies and headers
 * can be chosen by the config (`local_replies`). */
#ifndef NU_L7_LOCAL_REPLY_H
#define NU_L7_LOCAL_REPLY_H

#include "core/conf/schema.h"
#include "core/filter.h"
#include "protocols/http/head.h"

struct nu_local_replies;
struct nu_stream;

/* Parses the list `local_replies: [{status: 503 | 5xx | list, flags: [UH], status_to, body,
 * body_file, content_type, headers}]`, first match wins. NULL node: *out is NULL. Main thread. */
enum nu_err nu_local_replies_parse(struct nu_conf *conf, struct nu_arena *arena,
                                   const struct nu_node *node, const struct nu_local_replies **out);
extern const struct nu_schema nu_local_reply_schema;

/* Answers a request in the place of a server, from the callback of a filter of its stream that has
 * forwarded no final head: forwards HEAD, body and END in REV, and discards the rest of the
 * request. Whatever the filter has forwarded of that, no server is asked any more, and what one has
 * said is discarded, too; filters to the right get END(CANCELLED) if they have not had END. The
 * caller still owns the event it was given. `body` is copied; "" for none. `details` is static or
 * the arena's. */
void nu_local_reply(struct nu_filter *f, unsigned status, struct nu_text body, const char *details);
/* The same, and `add` may put fields in the head before the config's edits. */
void nu_local_reply_with(struct nu_filter *f, unsigned status, struct nu_text body,
                         const char *details,
                         void (*add)(struct nu_filter *f, struct nu_http_head *head));
/* The same with fields of its own: nu_local_reply_head makes one, the caller adds to it, then
 * nu_local_reply_send sends it. No config changes the body of these. */
struct nu_http_head *nu_local_reply_head(struct nu_filter *f, unsigned status, size_t body_len);
/* A head for this body, of this type ("" for none); or, where the request is gRPC's and the status
 * an error, one that says so to gRPC (grpc.h): then its status is 200 and it has no body. Texts are
 * borrowed for the stream's life. */
struct nu_http_head *nu_local_reply_as(struct nu_filter *f, unsigned status, struct nu_text body,
                                       struct nu_text type);
void nu_local_reply_send(struct nu_filter *f, struct nu_http_head *head, struct nu_text body,
                         const char *details);

/* The body that Envoy gives an answer with the stream's status, flags and details: static; "" for
 * none. Of requests that are refused or too slow; what befalls a server is told by who knows it. */
const char *nu_local_reply_body(const struct nu_stream *s);

#endif
