/* Field names and methods that the program knows by number, so that looking one up in a head is an
 * array read. The numbers live in one process only. Both HTTP versions use them; a name that is
 * not here works all the same, it is found by comparing. */
#ifndef NU_PROTOCOLS_HTTP_NAMES_H
#define NU_PROTOCOLS_HTTP_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* What is special about a known field. */
enum {
    NU_HDR_HOP = 1, /* for this connection only, named by Connection or not (RFC 9110 7.6.1) */
    NU_HDR_NO_TRAIL =
        2,              /* must not come in trailers: framing, routing, who asks (RFC 9110 6.5.1) */
    NU_HDR_FRAMING = 4, /* the HTTP/1 writer makes it from the head's facts */
    NU_HDR_BOUND = 8,   /* Connection must not name it: the message means another without it */
};

#define NU_HDR_FRAME_HOP (NU_HDR_HOP | NU_HDR_NO_TRAIL | NU_HDR_FRAMING)

/* Number, name in lower case, what is special. protocols/http/names.py makes the hash table of
 * names_table.h from this list. */
#define NU_HDR_LIST(X)                                                                             \
    X(ACCEPT, "accept", 0)                                                                         \
    X(ACCEPT_CHARSET, "accept-charset", 0)                                                         \
    X(ACCEPT_ENCODING, "accept-encoding", 0)                                                       \
    X(ACCEPT_LANGUAGE, "accept-language", 0)                                                       \
    X(ACCEPT_RANGES, "accept-ranges", 0)                                                           \
    X(ALLOW_CREDENTIALS, "access-control-allow-credentials", 0)                                    \
    X(ALLOW_HEADERS, "access-control-allow-headers", 0)                                            \
    X(ALLOW_METHODS, "access-control-allow-methods", 0)                                            \
    X(ALLOW_ORIGIN, "access-control-allow-origin", 0)                                              \
    X(EXPOSE_HEADERS, "access-control-expose-headers", 0)                                          \
    X(CORS_MAX_AGE, "access-control-max-age", 0)                                                   \
    X(REQUEST_HEADERS, "access-control-request-headers", 0)                                        \
    X(REQUEST_METHOD, "access-control-request-method", 0)                                          \
    X(AGE, "age", 0)                                                                               \
    X(ALLOW, "allow", 0)                                                                           \
    X(ALT_SVC, "alt-svc", 0)                                                                       \
    X(AUTHORIZATION, "authorization", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                              \
    X(CACHE_CONTROL, "cache-control", NU_HDR_NO_TRAIL)                                             \
    X(CONNECTION, "connection", NU_HDR_FRAME_HOP)                                                  \
    X(CONTENT_DISPOSITION, "content-disposition", 0)                                               \
    X(CONTENT_ENCODING, "content-encoding", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                        \
    X(CONTENT_LANGUAGE, "content-language", 0)                                                     \
    X(CONTENT_LENGTH, "content-length", NU_HDR_NO_TRAIL | NU_HDR_FRAMING | NU_HDR_BOUND)           \
    X(CONTENT_LOCATION, "content-location", 0)                                                     \
    X(CONTENT_RANGE, "content-range", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                              \
    X(CONTENT_TYPE, "content-type", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                \
    X(COOKIE, "cookie", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                            \
    X(DATE, "date", 0)                                                                             \
    X(DNT, "dnt", 0)                                                                               \
    X(ETAG, "etag", 0)                                                                             \
    X(EXPECT, "expect", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                            \
    X(EXPIRES, "expires", 0)                                                                       \
    X(FORWARDED, "forwarded", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                      \
    X(FROM, "from", 0)                                                                             \
    X(GRPC_MESSAGE, "grpc-message", 0)                                                             \
    X(GRPC_STATUS, "grpc-status", 0)                                                               \
    X(GRPC_TIMEOUT, "grpc-timeout", 0)                                                             \
    X(HOST, "host", NU_HDR_NO_TRAIL | NU_HDR_FRAMING | NU_HDR_BOUND)                               \
    X(HTTP2_SETTINGS, "http2-settings", NU_HDR_HOP | NU_HDR_NO_TRAIL)                              \
    X(IF_MATCH, "if-match", NU_HDR_NO_TRAIL)                                                       \
    X(IF_MODIFIED_SINCE, "if-modified-since", NU_HDR_NO_TRAIL)                                     \
    X(IF_NONE_MATCH, "if-none-match", NU_HDR_NO_TRAIL)                                             \
    X(IF_RANGE, "if-range", NU_HDR_NO_TRAIL)                                                       \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since", NU_HDR_NO_TRAIL)                                 \
    X(KEEP_ALIVE, "keep-alive", NU_HDR_FRAME_HOP)                                                  \
    X(LAST_MODIFIED, "last-modified", 0)                                                           \
    X(LINK, "link", 0)                                                                             \
    X(LOCATION, "location", 0)                                                                     \
    X(MAX_FORWARDS, "max-forwards", NU_HDR_NO_TRAIL)                                               \
    X(ORIGIN, "origin", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                            \
    X(PRAGMA, "pragma", NU_HDR_NO_TRAIL)                                                           \
    X(PRIORITY, "priority", 0)                                                                     \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", NU_HDR_NO_TRAIL)                                   \
    X(PROXY_AUTHORIZATION, "proxy-authorization", NU_HDR_NO_TRAIL)                                 \
    X(PROXY_CONNECTION, "proxy-connection", NU_HDR_FRAME_HOP)                                      \
    X(RANGE, "range", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                              \
    X(REFERER, "referer", 0)                                                                       \
    X(RETRY_AFTER, "retry-after", 0)                                                               \
    X(SEC_CH_UA, "sec-ch-ua", 0)                                                                   \
    X(SEC_CH_UA_MOBILE, "sec-ch-ua-mobile", 0)                                                     \
    X(SEC_CH_UA_PLATFORM, "sec-ch-ua-platform", 0)                                                 \
    X(SEC_FETCH_DEST, "sec-fetch-dest", 0)                                                         \
    X(SEC_FETCH_MODE, "sec-fetch-mode", 0)                                                         \
    X(SEC_FETCH_SITE, "sec-fetch-site", 0)                                                         \
    X(SEC_FETCH_USER, "sec-fetch-user", 0)                                                         \
    X(WS_ACCEPT, "sec-websocket-accept", 0)                                                        \
    X(WS_EXTENSIONS, "sec-websocket-extensions", 0)                                                \
    X(WS_KEY, "sec-websocket-key", 0)                                                              \
    X(WS_PROTOCOL, "sec-websocket-protocol", 0)                                                    \
    X(WS_VERSION, "sec-websocket-version", 0)                                                      \
    X(SERVER, "server", 0)                                                                         \
    X(SET_COOKIE, "set-cookie", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                    \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security", 0)                                   \
    X(TE, "te", NU_HDR_HOP | NU_HDR_NO_TRAIL)                                                      \
    X(TRACEPARENT, "traceparent", 0)                                                               \
    X(TRACESTATE, "tracestate", 0)                                                                 \
    X(TRAILER, "trailer", NU_HDR_NO_TRAIL)                                                         \
    X(TRANSFER_ENCODING, "transfer-encoding", NU_HDR_FRAME_HOP | NU_HDR_BOUND)                     \
    X(UPGRADE, "upgrade", NU_HDR_FRAME_HOP)                                                        \
    X(UPGRADE_INSECURE, "upgrade-insecure-requests", 0)                                            \
    X(USER_AGENT, "user-agent", 0)                                                                 \
    X(VARY, "vary", 0)                                                                             \
    X(VIA, "via", 0)                                                                               \
    X(WWW_AUTHENTICATE, "www-authenticate", NU_HDR_NO_TRAIL)                                       \
    X(XFCC, "x-forwarded-client-cert", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                             \
    X(XFF, "x-forwarded-for", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                      \
    X(XFH, "x-forwarded-host", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                     \
    X(XFPORT, "x-forwarded-port", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                  \
    X(XFP, "x-forwarded-proto", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                    \
    X(X_REAL_IP, "x-real-ip", NU_HDR_NO_TRAIL | NU_HDR_BOUND)                                      \
    X(REQUEST_ID, "x-request-id", NU_HDR_NO_TRAIL | NU_HDR_BOUND)

#define NU_HDR_NUMBER(id, name, flags) NU_HDR_##id,
enum nu_hdr { NU_HDR_OTHER = 0, NU_HDR_LIST(NU_HDR_NUMBER) NU_HDR_COUNT };
#undef NU_HDR_NUMBER

/* The name in lower case; "" for NU_HDR_OTHER. */
const char *nu_hdr_str(enum nu_hdr id);
size_t nu_hdr_len(enum nu_hdr id);
/* Of NU_HDR_HOP and so on; 0 for NU_HDR_OTHER. */
static inline unsigned nu_hdr_flags(enum nu_hdr id)
{
    extern const uint8_t nu_hdr_flag_table[NU_HDR_COUNT];
    return nu_hdr_flag_table[id];
}
/* By name, in any case. NU_HDR_OTHER: none that is known; that says nothing about its bytes. */
enum nu_hdr nu_hdr_find(const char *name, size_t len);

/* Methods of RFC 9110 9.3 and 5789, number and name; case counts. */
#define NU_METHOD_LIST(X)                                                                          \
    X(GET)                                                                                         \
    X(HEAD)                                                                                        \
    X(POST)                                                                                        \
    X(PUT)                                                                                         \
    X(DELETE)                                                                                      \
    X(CONNECT)                                                                                     \
    X(OPTIONS)                                                                                     \
    X(TRACE)                                                                                       \
    X(PATCH)

#define NU_METHOD_NUMBER(name) NU_METHOD_##name,
enum nu_method { NU_METHOD_OTHER = 0, NU_METHOD_LIST(NU_METHOD_NUMBER) NU_METHOD_COUNT };
#undef NU_METHOD_NUMBER

/* "GET"; "" for NU_METHOD_OTHER. */
const char *nu_method_str(enum nu_method method);
enum nu_method nu_method_find(const char *name, size_t len);

#endif
