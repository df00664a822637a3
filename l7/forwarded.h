/* What a proxy tells about itself and about the client, and whom it believes: x-forwarded-*,
 * x-request-id, via, server, x-forwarded-client-cert. What a client outside may not say is taken
 * from its request before any filter sees it. Defaults and order are Envoy's (use_remote_address:
 * true). */
#ifndef NU_L7_FORWARDED_H
#define NU_L7_FORWARDED_H

#include "core/conf/schema.h"

struct nu_stream;
struct nu_http_head;

/* x-forwarded-client-cert, Envoy's five modes. */
enum nu_xfcc {
    NU_XFCC_SANITIZE,       /* remove what came */
    NU_XFCC_FORWARD_ONLY,   /* pass it on where the client showed a certificate */
    NU_XFCC_APPEND_FORWARD, /* and add the client's own to it */
    NU_XFCC_SANITIZE_SET,   /* replace it by the client's own */
    NU_XFCC_ALWAYS_FORWARD, /* pass it on from anybody */
};
const char *nu_xfcc_str(enum nu_xfcc mode);

/* A part of the http filter's config, parsed in place: nu_forwarded_fields are its keys. */
struct nu_forwarded_conf {
    int xfcc; /* enum nu_xfcc; key forward_client_cert */
    struct nu_vec
        xfcc_details;     /* which of subject, cert, chain, dns, uri; key client_cert_details */
    int64_t trusted_hops; /* proxies before us whose word counts; key trusted_hops */
    bool keep_request_id; /* x-request-id of a client stays; key preserve_request_id */
    bool request_id;      /* make one; key request_id, on by default */
    const char *via;      /* pseudonym for Via, both ways; NULL = none; key via */
    const char *server;   /* Server of responses; "" = as it came; key server_name */
};

#define NU_FORWARDED_FIELDS(type_, member_)                                                        \
    {                                                                                              \
        .key = "forward_client_cert", .type = NU_ENUM, .offset = offsetof(type_, member_.xfcc),    \
        .choices = nu_xfcc_names, .fallback = "sanitize",                                          \
        .doc = "What becomes of x-forwarded-client-cert."                                          \
    }
extern const char *const nu_xfcc_names[];

/* Once for each request, before routing: who the client is is decided here (facts->client of the
 * stream's chain is set by the caller from the return: the trusted address), and what it may not
 * say is removed. Adds x-forwarded-for, -proto, x-request-id, x-forwarded-client-cert. */
void nu_forwarded_request(const struct nu_forwarded_conf *conf, struct nu_stream *stream);
/* Once for each final response on its way to the client: server, via, x-request-id where asked. */
void nu_forwarded_response(const struct nu_forwarded_conf *conf, struct nu_stream *stream,
                           struct nu_http_head *response);

#endif
