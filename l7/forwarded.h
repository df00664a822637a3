/* What a proxy tells about itself and about the client, and whom it believes: x-forwarded-*,
 * x-request-id, via, server, x-forwarded-client-cert. What a client outside may not say is taken
 * from its request before any filter sees it. Defaults and order are Envoy's (use_remote_address:
 * true); where we are stricter stands in docs/internals/http-headers.md. */
#ifndef NU_L7_FORWARDED_H
#define NU_L7_FORWARDED_H

#include "core/conf/schema.h"
#include "protocols/http/head.h"

struct nu_facts;
struct nu_stream;

#define NU_FORWARDED_HOPS_MAX 32 /* proxies in a row; three are many */
/* Bytes of an x-request-id that is kept: it stands in every log on its way. A UUID has 36. */
#define NU_REQUEST_ID_MAX_BYTES 128

/* x-forwarded-client-cert, Envoy's five modes. */
enum nu_xfcc {
    NU_XFCC_SANITIZE,       /* remove what came */
    NU_XFCC_FORWARD_ONLY,   /* pass it on where the client showed a certificate */
    NU_XFCC_APPEND_FORWARD, /* and add the client's own to it */
    NU_XFCC_SANITIZE_SET,   /* replace it by the client's own */
    NU_XFCC_ALWAYS_FORWARD, /* pass it on from anybody */
};
const char *nu_xfcc_str(enum nu_xfcc mode);

/* What of the client's certificate is told besides its hash, in the order it is told. */
enum nu_xfcc_detail {
    NU_XFCC_CERT,
    NU_XFCC_CHAIN,
    NU_XFCC_SUBJECT,
    NU_XFCC_URI,
    NU_XFCC_DNS,
    NU_XFCC_DETAILS
};
const char *nu_xfcc_detail_str(enum nu_xfcc_detail detail);

/* A part of the http filter's config, parsed in place: NU_FORWARDED_FIELDS are its keys. */
struct nu_forwarded_conf {
    int xfcc;                   /* enum nu_xfcc; key forward_client_cert */
    struct nu_vec xfcc_details; /* of int, enum nu_xfcc_detail; key client_cert_details */
    int64_t trusted_hops;       /* proxies before us whose word counts; key trusted_hops */
    bool keep_request_id;       /* x-request-id of a client stays; key preserve_request_id */
    bool request_id;            /* make one; key request_id, on by default */
    bool show_request_id;       /* the client is told it; key request_id_in_response */
    const char *via;            /* pseudonym for Via, both ways; NULL = none; key via */
    const char *server;         /* Server of responses; "" = as it came; key server_name */
};

extern const char *const nu_xfcc_names[], *const nu_xfcc_detail_names[];

struct nu_addr;
struct nu_facts;
/* These facts are a client's whom a header has named; whom the connection is from is not lost. */
void nu_forwarded_client(struct nu_facts *facts, struct nu_arena *arena,
                         const struct nu_addr *client);
/* Rows of a struct nu_field table; `member_` is a struct nu_forwarded_conf in `type_`. */
#define NU_FORWARDED_FIELDS(type_, member_)                                                        \
    {.key = "forward_client_cert",                                                                 \
     .type = NU_ENUM,                                                                              \
     .offset = offsetof(type_, member_.xfcc),                                                      \
     .choices = nu_xfcc_names,                                                                     \
     .fallback = "sanitize",                                                                       \
     .doc = "What becomes of `x-forwarded-client-cert`: removed; or passed on where the client "   \
            "showed a certificate, with what that says added in the third mode; or made anew "     \
            "from that; or passed on from anybody."},                                              \
        {.key = "client_cert_details",                                                             \
         .type = NU_ENUM,                                                                          \
         .flags = NU_LIST,                                                                         \
         .offset = offsetof(type_, member_.xfcc_details),                                          \
         .choices = nu_xfcc_detail_names,                                                          \
         .doc = "What `x-forwarded-client-cert` says of the client's certificate besides its "     \
                "hash."},                                                                          \
        {.key = "trusted_hops",                                                                    \
         .type = NU_INT,                                                                           \
         .offset = offsetof(type_, member_.trusted_hops),                                          \
         .max = NU_FORWARDED_HOPS_MAX,                                                             \
         .doc = "Proxies of one's own between the clients and this one. With 1 or more the "       \
                "client is who stands that far from the right in `x-forwarded-for`, and what the " \
                "last of them says about the request is believed."},                               \
        {.key = "request_id",                                                                      \
         .type = NU_BOOL,                                                                          \
         .offset = offsetof(type_, member_.request_id),                                            \
         .fallback = "true",                                                                       \
         .doc = "Gives each request an `x-request-id`, a random UUID."},                           \
        {.key = "preserve_request_id",                                                             \
         .type = NU_BOOL,                                                                          \
         .offset = offsetof(type_, member_.keep_request_id),                                       \
         .doc = "Keeps the `x-request-id` that a client sent, if it did; one behind trusted hops " \
                "is always kept."},                                                                \
        {.key = "request_id_in_response",                                                          \
         .type = NU_BOOL,                                                                          \
         .offset = offsetof(type_, member_.show_request_id),                                       \
         .doc = "Sets `x-request-id` on responses too."},                                          \
        {.key = "via",                                                                             \
         .type = NU_STRING,                                                                        \
         .flags = NU_NONEMPTY,                                                                     \
         .offset = offsetof(type_, member_.via),                                                   \
         .doc = "This proxy's name in `Via`, which is added to requests and responses then."},     \
    {                                                                                              \
        .key = "server_name", .type = NU_STRING, .offset = offsetof(type_, member_.server),        \
        .fallback = "nuncio",                                                                      \
        .doc = "`Server` of all responses; \"\" leaves it as the server sent it."                  \
    }

/* For the check of the schema that the fields stand in, once they are stored: reports what no
 * header may hold, and has TLS provide what the modes need. `node` is the map of the keys. */
enum nu_err nu_forwarded_check(struct nu_conf *conf, const struct nu_node *node,
                               const struct nu_forwarded_conf *c);

/* Once for each request, before routing; the stream needs `request` and `arena`. `facts` are those
 * its chain is going to have, a copy of the connection's: where trusted hops say so, the client in
 * them becomes the one that they name, and the peer `more->direct`, in a copy of its own. Removes
 * what the client may not say. Adds x-forwarded-for, -proto, x-request-id, x-forwarded-client-cert,
 * via. */
void nu_forwarded_request(const struct nu_forwarded_conf *conf, struct nu_stream *stream,
                          struct nu_facts *facts);
/* After the authority of a request was rewritten: tells the server which host and port it was in
 * x-forwarded-host (behind what trusted hops said) and x-forwarded-port. */
void nu_forwarded_host(struct nu_http_head *request, struct nu_text original);
/* Whether the client's own connection was TLS, as far as we know: of a request that
 * nu_forwarded_request has seen. */
bool nu_forwarded_https(const struct nu_http_head *request);
/* Once for each final response on its way to the client, local ones too: server, via, date where
 * the server sent none (RFC 9110 6.6.1), x-request-id where asked. */
void nu_forwarded_response(const struct nu_forwarded_conf *conf, struct nu_stream *stream,
                           struct nu_http_head *response);

#endif
