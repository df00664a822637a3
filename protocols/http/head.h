/* The head of an HTTP message, the same for both versions: what codecs fill, filters read and edit,
 * routes match on. Trailers use it too, then only the fields count.
 *
 * A head lives in the arena of its message. Texts are slices: they point into received bytes that
 * `wire` holds a share of, or into the arena; none ends in NUL. Edits go to the arena; pointers to
 * fields are good until one is added. One thread. */
#ifndef NU_PROTOCOLS_HTTP_HEAD_H
#define NU_PROTOCOLS_HTTP_HEAD_H

#include "core/err.h"
#include "core/event.h"
#include "core/text.h"
#include "protocols/http/names.h"

struct nu_arena;

/* A name goes to logs, and no honest one is longer; nghttp2 and most servers stop far below. */
#define NU_HTTP_NAME_MAX_BYTES 1024
/* Fields of one head, received and added; codecs stop peers much earlier. */
#define NU_HTTP_FIELDS_MAX 4096

/* But for the case of letters; `is` has only small ones, digits and hyphens. */
bool nu_text_is_fold(struct nu_text text, const char *is);
/* A host and a port that is not 0, as CONNECT names what it wants (RFC 9110 9.3.6). */
bool nu_http_is_host_port(struct nu_text text);

enum {
    NU_HTTP_FIELD_GONE = 1,   /* removed */
    NU_HTTP_FIELD_HOP = 2,    /* for this connection only: not forwarded */
    NU_HTTP_FIELD_SHARED = 4, /* another field has the same known name */
};

struct nu_http_field {
    const char *name;
    const char *value; /* without white space around it; control characters none but tabs */
    uint32_t value_len;
    uint16_t name_len;
    uint8_t id;    /* enum nu_hdr */
    uint8_t flags; /* NU_HTTP_FIELD_* */
};

enum nu_http_version { NU_HTTP_1_0 = 10, NU_HTTP_1_1 = 11, NU_HTTP_2 = 20 };
const char *nu_http_version_str(enum nu_http_version version);

/* What follows the head. */
enum nu_http_body {
    NU_BODY_NONE,    /* nothing */
    NU_BODY_LENGTH,  /* content_length bytes */
    NU_BODY_CHUNKED, /* any number of bytes, known to be complete at their end */
    NU_BODY_CLOSE,   /* until the server closes (RFC 9112 6.3, rule 8) */
    NU_BODY_TUNNEL,  /* no message any more: 101, or 2xx to CONNECT */
};
const char *nu_http_body_str(enum nu_http_body body);

/* How the target was written (RFC 9112 3.2). */
enum nu_http_form { NU_FORM_ORIGIN, NU_FORM_ABSOLUTE, NU_FORM_AUTHORITY, NU_FORM_ASTERISK };
const char *nu_http_form_str(enum nu_http_form form);

struct nu_http_head {
    struct nu_head head; /* first member: events lend a head by this */
    struct nu_arena *arena;
    struct nu_slice wire; /* received bytes that texts point into; len 0 = all is in the arena */

    /* --- requests --- */
    struct nu_text method;
    struct nu_text target;    /* as received */
    struct nu_text scheme;    /* of the absolute form, else empty */
    struct nu_text authority; /* the target's, else Host's value; empty: 1.0 without Host */
    struct nu_text path;      /* with the query; "*" asterisk; empty: authority form */
    struct nu_text upgrade;   /* Upgrade's value where Connection asks for it, also in a 101 */
    struct nu_text protocol;  /* of an extended CONNECT (RFC 8441), else empty: `upgrade` has it,
                                 too, and the method is GET (rule U1) */

    /* --- responses --- */
    struct nu_text reason;
    uint16_t status; /* 100 to 599; 0 in requests and trailers */

    /* --- both --- */
    uint8_t method_id; /* enum nu_method; in a response that of the request it answers */
    uint8_t version;   /* enum nu_http_version, of the sender */
    uint8_t form;      /* enum nu_http_form */
    uint8_t body;      /* enum nu_http_body */
    bool has_length;   /* Content-Length was sent: content_length; also where body is NONE */
    bool keep_alive;   /* this connection may carry another message after this one */
    bool expect_100;   /* Expect: 100-continue */
    bool expect_other; /* Expect asks for what nobody knows: 417 is the answer (RFC 9110 10.1.1) */
    bool te_trailers;  /* TE has trailers: the client takes them */
    uint64_t content_length;

    struct nu_http_field *fields;
    uint16_t count, cap;          /* of fields, with the removed ones */
    uint16_t known[NU_HDR_COUNT]; /* 1 + index of the first field by that name; 0 = none */
};

/* An empty head in the arena. Never NULL. */
struct nu_http_head *nu_http_head_new(struct nu_arena *arena);
/* Another head with the same facts and fields, for edits of its own (a try of a retried request).
 * Texts are shared: the first one's arena must live as long. Each is dropped by itself. */
struct nu_http_head *nu_http_head_clone(const struct nu_http_head *head, struct nu_arena *arena);
/* Lets go of the received bytes. Texts that point into them are void; the rest is the arena's. */
void nu_http_head_drop(struct nu_http_head *head);
/* E6: a head kept past the turn holds no received bytes: what `wire` covers moves to the arena. */
void nu_http_head_keep(struct nu_http_head *head);

/* The first field by a known name, or NULL. Not for NU_HDR_OTHER. */
static inline const struct nu_http_field *nu_http_get(const struct nu_http_head *head,
                                                      enum nu_hdr id)
{
    unsigned at = head->known[id];
    return at ? &head->fields[at - 1] : NULL;
}
static inline struct nu_text nu_http_field_value(const struct nu_http_field *field)
{
    return nu_text(field->value, field->value_len);
}
/* Its value, or an empty text. */
static inline struct nu_text nu_http_value(const struct nu_http_head *head, enum nu_hdr id)
{
    const struct nu_http_field *field = nu_http_get(head, id);
    return field ? nu_http_field_value(field) : nu_text("", 0);
}
/* The first by any name, in any case of letters; linear for names that are not known. */
const struct nu_http_field *nu_http_find(const struct nu_http_head *head, struct nu_text name);
/* The next with the same name, or NULL. */
const struct nu_http_field *nu_http_next(const struct nu_http_head *head,
                                         const struct nu_http_field *field);
/* The first (after = NULL) or next field that is not removed, in order; NULL at the end. */
const struct nu_http_field *nu_http_each(const struct nu_http_head *head,
                                         const struct nu_http_field *after);

/* Whether bytes may stand in a field: a token, a value (without white space at its ends). */
bool nu_http_name_ok(struct nu_text name);
bool nu_http_value_ok(struct nu_text value);

/* Adds a field; name and value are copied to the arena. NU_ERR_SYNTAX: bytes that must not stand
 * there, so that no edit can forge a line. NU_ERR_LIMIT: NU_HTTP_FIELDS_MAX or the name's length.
 * Framing is not in the fields: change `body` and its kin instead. */
enum nu_err nu_http_add(struct nu_http_head *head, struct nu_text name, struct nu_text value);
enum nu_err nu_http_add_known(struct nu_http_head *head, enum nu_hdr id, struct nu_text value);
/* Removes all by that name, then adds one. On an error nothing has changed. */
enum nu_err nu_http_set(struct nu_http_head *head, struct nu_text name, struct nu_text value);
enum nu_err nu_http_set_known(struct nu_http_head *head, enum nu_hdr id, struct nu_text value);
/* Removes all by that name; how many there were. */
unsigned nu_http_remove(struct nu_http_head *head, struct nu_text name);
unsigned nu_http_remove_known(struct nu_http_head *head, enum nu_hdr id);

/* For codecs: appends a field whose texts were checked and live as long as the head. False at
 * NU_HTTP_FIELDS_MAX. */
bool nu_http_append(struct nu_http_head *head, enum nu_hdr id, struct nu_text name,
                    struct nu_text value);

/* Takes the next element off a comma-separated list (RFC 9110 5.6.1), without white space around
 * it; empty elements are passed over, commas in quoted strings do not count. False at its end. */
bool nu_http_list_next(struct nu_text *rest, struct nu_text *element);

#endif
