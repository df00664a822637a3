/* Why a message was refused: a name for logs (response code details, as Envoy calls them), the
 * status that a client gets, and the clause it broke. A server's fault is always a 502. */
#ifndef NU_PROTOCOLS_HTTP_H1_ERROR_H
#define NU_PROTOCOLS_HTTP_H1_ERROR_H

/* Number, name, status, clause, what is wrong. */
#define NU_H1_ERROR_LIST(X)                                                                        \
    X(BARE_LF, "bare_lf", 400, "RFC 9112 2.2", "a line ends in LF without CR")                     \
    X(BARE_CR, "bare_cr", 400, "RFC 9112 2.2", "CR without LF")                                    \
    X(NUL, "nul", 400, "RFC 9110 5.5", "a NUL byte in the head")                                   \
    X(CONTROL, "control_character", 400, "RFC 9110 5.5", "a control character in the head")        \
    X(EMPTY_LINES, "too_many_empty_lines", 400, "RFC 9112 2.2",                                    \
      "empty lines before the request line")                                                       \
    X(METHOD, "invalid_method", 400, "RFC 9112 3.1",                                               \
      "the method is no token, or no space follows it")                                            \
    X(METHOD_LONG, "method_too_long", 501, "RFC 9112 3", "the method is longer than any known")    \
    X(REQUEST_LINE, "invalid_request_line", 400, "RFC 9112 3", "not METHOD SP TARGET SP VERSION")  \
    X(TARGET_LONG, "target_too_long", 414, "RFC 9112 3", "the request target is over its limit")   \
    X(TARGET, "invalid_target", 400, "RFC 9112 3.2", "a byte that no target may have")             \
    X(TARGET_FORM, "invalid_target_form", 400, "RFC 9112 3.2",                                     \
      "no target form that goes with the method")                                                  \
    X(SCHEME, "invalid_scheme", 400, "RFC 9112 3.2.2",                                             \
      "an absolute target that is not http or https")                                              \
    X(AUTHORITY, "invalid_authority", 400, "RFC 9110 4.2", "the target's host or port is wrong")   \
    X(VERSION, "invalid_version", 400, "RFC 9112 2.3", "no HTTP version")                          \
    X(VERSION_OTHER, "unsupported_version", 505, "RFC 9112 2.3",                                   \
      "a version other than 1.0 and 1.1")                                                          \
    X(STATUS_LINE, "invalid_status_line", 400, "RFC 9112 4", "not VERSION SP STATUS SP REASON")    \
    X(STATUS, "invalid_status", 400, "RFC 9110 15", "a status outside of 100 to 599")              \
    X(STATUS_LINE_LONG, "status_line_too_long", 400, "RFC 9112 4",                                 \
      "the status line is over its limit")                                                         \
    X(FOLD, "obsolete_line_folding", 400, "RFC 9112 5.2", "a header line begins with white space") \
    X(FIELD_LINE, "invalid_header_line", 400, "RFC 9112 5", "a header line without a colon")       \
    X(FIELD_SPACE, "space_before_colon", 400, "RFC 9112 5.1",                                      \
      "white space between name and colon")                                                        \
    X(FIELD_NAME, "invalid_header_name", 400, "RFC 9112 5.1", "the name is no token")              \
    X(FIELD_NAME_LONG, "header_name_too_long", 431, "RFC 6585 5", "a name is over its limit")      \
    X(HEAD_LARGE, "headers_too_large", 431, "RFC 6585 5", "the head is over its limit")            \
    X(FIELDS_MANY, "too_many_headers", 431, "RFC 6585 5", "more header lines than allowed")        \
    X(HOST_MISSING, "missing_host", 400, "RFC 9112 3.2", "an HTTP/1.1 request without Host")       \
    X(HOST_MANY, "multiple_hosts", 400, "RFC 9112 3.2", "more than one Host")                      \
    X(HOST, "invalid_host", 400, "RFC 9112 3.2", "Host is no host and port")                       \
    X(HOST_DIFFERS, "host_differs_from_target", 400, "RFC 9112 3.2.2", "target and Host disagree") \
    X(LENGTH, "invalid_content_length", 400, "RFC 9110 8.6", "Content-Length is no number")        \
    X(LENGTH_MANY, "multiple_content_lengths", 400, "RFC 9110 8.6", "Content-Length twice")        \
    X(LENGTH_RANGE, "content_length_overflow", 400, "RFC 9112 6.3",                                \
      "Content-Length is over 2^63 - 1")                                                           \
    X(LENGTH_AND_TE, "content_length_and_transfer_encoding", 400, "RFC 9112 6.3",                  \
      "both kinds of framing")                                                                     \
    X(LENGTH_BARRED, "content_length_not_allowed", 400, "RFC 9110 8.6", "in 1xx, 204 or CONNECT")  \
    X(TE, "invalid_transfer_encoding", 400, "RFC 9112 6.1",                                        \
      "chunked is not the last coding, once")                                                      \
    X(TE_UNKNOWN, "unknown_transfer_encoding", 501, "RFC 9112 6.1",                                \
      "a transfer coding besides chunked")                                                         \
    X(TE_BARRED, "transfer_encoding_not_allowed", 400, "RFC 9112 6.1",                             \
      "in 1xx, 204, CONNECT or HTTP/1.0")                                                          \
    X(BODY_LARGE, "payload_too_large", 413, "RFC 9110 15.5.14", "the body is over its limit")      \
    X(CONNECTION, "invalid_connection_option", 400, "RFC 9110 7.6.1", "an option is no token")     \
    X(CONNECTION_BARRED, "connection_option_not_allowed", 400, "RFC 9110 7.6.1",                   \
      "Connection names a field that is not for this connection only")                             \
    X(CONNECTION_MANY, "too_many_connection_options", 400, "RFC 9110 7.6.1",                       \
      "more options than allowed")                                                                 \
    X(UPGRADE, "invalid_upgrade", 400, "RFC 9110 7.8", "Upgrade lists no protocols")               \
    X(UPGRADE_UNASKED, "unexpected_upgrade", 400, "RFC 9110 15.2.2", "101 that was not asked for") \
    X(INTERIM_MANY, "too_many_interim_responses", 400, "RFC 9110 15.2", "more 1xx than allowed")   \
    X(CHUNK_SIZE, "invalid_chunk_size", 400, "RFC 9112 7.1", "a chunk size is not hexadecimal")    \
    X(CHUNK_RANGE, "chunk_size_overflow", 400, "RFC 9112 7.1", "a chunk size is over 2^63 - 1")    \
    X(CHUNK_EXT, "invalid_chunk_extension", 400, "RFC 9112 7.1.1", "a malformed chunk extension")  \
    X(CHUNK_EXT_LONG, "chunk_extension_too_long", 400, "RFC 9112 7.1.1",                           \
      "extensions are over their limit")                                                           \
    X(CHUNK_END, "invalid_chunk_end", 400, "RFC 9112 7.1", "no CRLF after a chunk's data")         \
    X(TRAILER_BARRED, "trailer_not_allowed", 400, "RFC 9110 6.5.1",                                \
      "a field barred from trailers")                                                              \
    X(TRAILERS_LARGE, "trailers_too_large", 431, "RFC 9112 7.1.2",                                 \
      "trailers are over their limit")                                                             \
    X(TRAILERS_MANY, "too_many_trailers", 431, "RFC 9112 7.1.2",                                   \
      "more trailer lines than allowed")                                                           \
    X(CUT_HEAD, "incomplete_head", 400, "RFC 9112 8", "the connection ended inside a head")        \
    X(CUT_BODY, "incomplete_body", 400, "RFC 9112 8", "the connection ended inside a body")

#define NU_H1_ERROR_NUMBER(id, name, status, clause, text) NU_H1_##id,
enum nu_h1_error { NU_H1_FINE = 0, NU_H1_ERROR_LIST(NU_H1_ERROR_NUMBER) NU_H1_ERRORS };
#undef NU_H1_ERROR_NUMBER

/* "http1.bare_lf"; "" for NU_H1_FINE. */
const char *nu_h1_error_str(enum nu_h1_error error);
/* What a client is told: 400, 413, 414, 431, 501 or 505. */
unsigned nu_h1_error_status(enum nu_h1_error error);
/* "RFC 9112 2.2". */
const char *nu_h1_error_clause(enum nu_h1_error error);
/* What is wrong, in words. */
const char *nu_h1_error_text(enum nu_h1_error error);

#endif
