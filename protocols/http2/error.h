/* Why an HTTP/2 message was refused: a name for logs, the status that a client gets (0: none, its
 * stream is reset with PROTOCOL_ERROR), and the clause it broke. */
#ifndef NU_PROTOCOLS_HTTP2_ERROR_H
#define NU_PROTOCOLS_HTTP2_ERROR_H

#include <stdint.h>

/* Number, name, status, clause, what is wrong. */
#define NU_H2_ERROR_LIST(X)                                                                        \
    X(NAME, "invalid_header_name", 0, "RFC 9113 8.2.1",                                            \
      "a name that is empty, has capitals, or is no token")                                        \
    X(NAME_LONG, "header_name_too_long", 431, "RFC 6585 5", "a name is over its limit")            \
    X(VALUE, "invalid_header_value", 0, "RFC 9113 8.2.1",                                          \
      "a value with control characters, or white space at an end")                                 \
    X(CONNECTION, "connection_header", 0, "RFC 9113 8.2.2",                                        \
      "a field that is for an HTTP/1 connection only")                                             \
    X(TE, "invalid_te", 0, "RFC 9113 8.2.2", "TE other than trailers")                             \
    X(PSEUDO, "invalid_pseudo_header", 0, "RFC 9113 8.3", "a pseudo-header that is not defined")   \
    X(PSEUDO_LATE, "late_pseudo_header", 0, "RFC 9113 8.3", "a pseudo-header behind a header")     \
    X(PSEUDO_TWICE, "repeated_pseudo_header", 0, "RFC 9113 8.3", "a pseudo-header twice")          \
    X(PSEUDO_MISSING, "missing_pseudo_header", 0, "RFC 9113 8.3.1",                                \
      "a pseudo-header that must be there is not")                                                 \
    X(PSEUDO_BARRED, "unexpected_pseudo_header", 0, "RFC 9113 8.5",                                \
      "CONNECT with :scheme or :path, :protocol without CONNECT, or any in trailers")              \
    X(PROTOCOL, "invalid_protocol", 0, "RFC 8441 4", ":protocol is no token")                      \
    X(METHOD, "invalid_method", 0, "RFC 9110 9.1", "the method is no token")                       \
    X(METHOD_LONG, "method_too_long", 501, "RFC 9110 9.1", "the method is longer than any known")  \
    X(SCHEME, "invalid_scheme", 0, "RFC 9113 8.3.1", "a scheme that is not http or https")         \
    X(PATH, "invalid_path", 0, "RFC 9113 8.3.1",                                                   \
      "a path that does not begin with a slash, or has a byte that none may have")                 \
    X(PATH_LONG, "path_too_long", 414, "RFC 9110 15.5.15", "the path is over its limit")           \
    X(AUTHORITY, "invalid_authority", 0, "RFC 9113 8.3.1", ":authority is no host and port")       \
    X(HOST_MISSING, "missing_host", 0, "RFC 9113 8.3.1", "neither :authority nor Host")            \
    X(HOST, "invalid_host", 0, "RFC 9110 7.2", "Host is no host and port, or there are two")       \
    X(HOST_DIFFERS, "host_differs_from_authority", 0, "RFC 9113 8.3.1",                            \
      ":authority and Host disagree")                                                              \
    X(LENGTH, "invalid_content_length", 0, "RFC 9110 8.6",                                         \
      "Content-Length is no number, or is there twice")                                            \
    X(LENGTH_DIFFERS, "content_length_differs", 0, "RFC 9113 8.1.1",                               \
      "Content-Length and the DATA received disagree")                                             \
    X(BODY_LARGE, "payload_too_large", 413, "RFC 9110 15.5.14", "the body is over its limit")      \
    X(HEAD_LARGE, "headers_too_large", 431, "RFC 6585 5", "the head is over its limit")            \
    X(FIELDS_MANY, "too_many_headers", 431, "RFC 6585 5", "more fields than allowed")              \
    X(STATUS, "invalid_status", 0, "RFC 9113 8.3.2", "a :status that no response may have")        \
    X(DATA_EARLY, "data_before_head", 0, "RFC 9113 8.1", "DATA before the final head")             \
    X(INTERIM_LAST, "interim_ends_stream", 0, "RFC 9113 8.1", "a 1xx head that ends the stream")   \
    X(INTERIM_MANY, "too_many_interim_heads", 0, "RFC 9110 15.2", "more 1xx heads than allowed")   \
    X(TUNNEL_HEADERS, "headers_in_tunnel", 0, "RFC 9113 8.5",                                      \
      "header fields where CONNECT leaves room for DATA only")                                     \
    X(TRAILERS_OPEN, "trailers_without_end", 0, "RFC 9113 8.1",                                    \
      "trailers that do not end the stream")                                                       \
    X(TRAILER_BARRED, "trailer_not_allowed", 0, "RFC 9110 6.5.1", "a field barred from trailers")  \
    X(TRAILERS_LARGE, "trailers_too_large", 0, "RFC 9110 6.5", "trailers are over their limit")

#define NU_H2_ERROR_NUMBER(id, name, status, clause, text) NU_H2_##id,
enum nu_h2_error { NU_H2_FINE = 0, NU_H2_ERROR_LIST(NU_H2_ERROR_NUMBER) NU_H2_ERRORS };
#undef NU_H2_ERROR_NUMBER

/* "http2.invalid_path"; "" for NU_H2_FINE. */
const char *nu_h2_error_str(enum nu_h2_error error);
/* 413, 414, 431, 501; 0: malformed, its stream is reset. */
unsigned nu_h2_error_status(enum nu_h2_error error);
/* "RFC 9113 8.3.1". */
const char *nu_h2_error_clause(enum nu_h2_error error);
/* What is wrong, in words. */
const char *nu_h2_error_text(enum nu_h2_error error);

/* Codes of RST_STREAM and GOAWAY (RFC 9113 7). */
#define NU_H2_CODE_LIST(X)                                                                         \
    X(NO_ERROR, 0x0)                                                                               \
    X(PROTOCOL_ERROR, 0x1)                                                                         \
    X(INTERNAL_ERROR, 0x2)                                                                         \
    X(FLOW_CONTROL_ERROR, 0x3)                                                                     \
    X(SETTINGS_TIMEOUT, 0x4)                                                                       \
    X(STREAM_CLOSED, 0x5)                                                                          \
    X(FRAME_SIZE_ERROR, 0x6)                                                                       \
    X(REFUSED_STREAM, 0x7)                                                                         \
    X(CANCEL, 0x8)                                                                                 \
    X(COMPRESSION_ERROR, 0x9)                                                                      \
    X(CONNECT_ERROR, 0xa)                                                                          \
    X(ENHANCE_YOUR_CALM, 0xb)                                                                      \
    X(INADEQUATE_SECURITY, 0xc)                                                                    \
    X(HTTP_1_1_REQUIRED, 0xd)

#define NU_H2_CODE_NUMBER(name, number) NU_H2_CODE_##name = (number),
enum nu_h2_code { NU_H2_CODE_LIST(NU_H2_CODE_NUMBER) NU_H2_CODES };
#undef NU_H2_CODE_NUMBER
/* "CANCEL"; "unknown" for what RFC 9113 does not define. */
const char *nu_h2_code_str(uint32_t code);

#endif
