/* What `compress` is told by its config, and what both it and `decompress` do to a head. */
#ifndef NU_L7_FILTERS_COMPRESS_CONF_H
#define NU_L7_FILTERS_COMPRESS_CONF_H

#include "core/conf/schema.h"
#include "core/stats.h"
#include "protocols/coding/accept.h"

struct nu_generation;

/* Envoy's names. */
enum compress_stat {
    COMPRESS_COMPRESSED,
    COMPRESS_NOT_COMPRESSED,
    COMPRESS_TOTAL_UNCOMPRESSED_BYTES,
    COMPRESS_TOTAL_COMPRESSED_BYTES,
    COMPRESS_NO_ACCEPT_HEADER,
    COMPRESS_HEADER_IDENTITY,
    COMPRESS_HEADER_COMPRESSOR_USED,
    COMPRESS_HEADER_WILDCARD,
    COMPRESS_HEADER_NOT_VALID,
    COMPRESS_CONTENT_LENGTH_TOO_SMALL,
    COMPRESS_NOT_COMPRESSED_ETAG,
    COMPRESS_STAT_COUNT
};

/* How one coding is to be made: as read, and as the encoder takes it. */
struct compress_how {
    int64_t level, window_bits, memory_level;
    struct nu_encoder_conf how;
};

struct compress_conf {
    struct nu_vec codings;      /* int: index of a coding's name */
    struct nu_vec content_type; /* const char * */
    int64_t min_content_length;
    bool disable_on_etag, remove_accept_encoding;
    struct compress_how gzip, brotli;

    /* --- prepared --- */
    enum nu_coding offered[NU_CODING_COUNT];
    struct nu_text *types; /* of content_type */
    struct nu_stats *stats;
};

extern const struct nu_schema compress_schema;
enum nu_err compress_prepare(struct nu_generation *gen, struct nu_conf *conf,
                             struct nu_arena *arena, const struct nu_node *node, void *parsed);

/* The names of codings in configs, as NU_ENUM wants them, and what they stand for. */
extern const char *const compress_codings[];
/* Reads a list of such names into `offered`, each once at most; reports. */
enum nu_err compress_offer(struct nu_conf *conf, const struct nu_node *options,
                           const struct nu_vec *codings, enum nu_coding *offered);

/* A strong validator is of bytes that are no more (RFC 9110 8.8.1). */
void compress_weaken_etag(struct nu_http_head *head);
/* Neither its length nor its ranges are known any more. */
void compress_unframe(struct nu_http_head *head);

#endif
