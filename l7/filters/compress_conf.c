/* The config of `compress`; see compress_conf.h. Main thread. */
#include "l7/filters/compress_conf.h"
#include "l7/filters/filters.h"

#include <string.h>

static const struct nu_stat_def defs[COMPRESS_STAT_COUNT] = {
    [COMPRESS_COMPRESSED] = {"compressed",               NU_COUNTER, NULL,    "Responses compressed."},
    [COMPRESS_NOT_COMPRESSED] = {"not_compressed",           NU_COUNTER, NULL,
                             "Responses that passed as they were."                                   },
    [COMPRESS_TOTAL_UNCOMPRESSED_BYTES] = {"total_uncompressed_bytes", NU_COUNTER, "bytes",
                             "Of bodies, before they were compressed."                               },
    [COMPRESS_TOTAL_COMPRESSED_BYTES] = {"total_compressed_bytes",   NU_COUNTER, "bytes",
                             "Of the same, after it."                                                },
    [COMPRESS_NO_ACCEPT_HEADER] = {"no_accept_header",         NU_COUNTER, NULL,
                             "Requests without Accept-Encoding."                                     },
    [COMPRESS_HEADER_IDENTITY] = {"header_identity",          NU_COUNTER, NULL,
                             "Requests that would rather have no coding."                            },
    [COMPRESS_HEADER_COMPRESSOR_USED] = {"header_compressor_used",   NU_COUNTER, NULL,
                             "Requests that name one of the codings."                                },
    [COMPRESS_HEADER_WILDCARD] = {"header_wildcard",          NU_COUNTER, NULL,
                             "Requests for which `*` stands for one."                                },
    [COMPRESS_HEADER_NOT_VALID] = {"header_not_valid",         NU_COUNTER, NULL,
                             "Requests that take none of the codings."                               },
    [COMPRESS_CONTENT_LENGTH_TOO_SMALL] = {"content_length_too_small", NU_COUNTER, NULL,
                             "Responses shorter than min_content_length."                            },
    [COMPRESS_NOT_COMPRESSED_ETAG] = {"not_compressed_etag",      NU_COUNTER, NULL,
                             "Responses left alone for their ETag."                                  },
};

const struct nu_stat_group nu_compress_stats =
    NU_STAT_GROUP("http.<name>.compressor",
                  "The compress filters of an http filter. What clients take is counted where a "
                  "response may be compressed.",
                  defs);

const char *const compress_codings[] = {"gzip", "brotli", NULL};

enum nu_err compress_offer(struct nu_conf *conf, const struct nu_node *options,
                           const struct nu_vec *codings, enum nu_coding *offered)
{
    const int *index = codings->items;
    unsigned seen = 0;
    for (size_t i = 0; i < codings->count; i++) {
        if (seen >> index[i] & 1) {
            nu_conf_error(conf, options, "codings: \"%s\" stands there twice",
                          compress_codings[index[i]]);
            return NU_ERR_CONFIG;
        }
        seen |= 1u << index[i];
        offered[i] = index[i] ? NU_CODING_BROTLI : NU_CODING_GZIP;
    }
    return NU_OK;
}

static void settle(struct compress_how *how)
{
    how->how = (struct nu_encoder_conf){
        .level = (int)how->level,
        .window_bits = (int)how->window_bits,
        .memory_level = (int)how->memory_level,
    };
}

enum nu_err compress_prepare(struct nu_generation *gen, struct nu_conf *conf,
                             struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct compress_conf *c = parsed;
    const char *const *type = c->content_type.items;
    settle(&c->gzip);
    settle(&c->brotli);
    c->types = nu_arena_alloc(arena, (c->content_type.count + 1) * sizeof *c->types);
    for (size_t i = 0; i < c->content_type.count; i++)
        c->types[i] = nu_text(type[i], strlen(type[i]));
    c->stats = nu_http_filter_stats(&nu_compress_stats, arena, node, "compressor");
    return compress_offer(conf, node, &c->codings, c->offered);
}

static const struct nu_field gzip_fields[] = {
    {.key = "level",
     .type = NU_INT,
     .offset = offsetof(struct compress_how, level),
     .fallback = "6",
     .min = 1,
     .max = 9,
     .doc = "1 is fastest, 9 smallest."},
    {.key = "window_bits",
     .type = NU_INT,
     .offset = offsetof(struct compress_how, window_bits),
     .fallback = "12",
     .min = 9,
     .max = 15,
     .doc = "How far back repetitions are found, as a power of two. A stream takes four times that "
            "in memory."},
    {.key = "memory_level",
     .type = NU_INT,
     .offset = offsetof(struct compress_how, memory_level),
     .fallback = "5",
     .min = 1,
     .max = 9,
     .doc = "A stream takes 512 bytes, as many times doubled, besides."},
    {0                              }
};

static const struct nu_schema gzip_schema = {
    .name = "gzip",
    .doc = "How gzip is made.",
    .size = sizeof(struct compress_how),
    .fields = gzip_fields,
};

static const struct nu_field brotli_fields[] = {
    {.key = "quality",
     .type = NU_INT,
     .offset = offsetof(struct compress_how, level),
     .fallback = "3",
     .min = 0,
     .max = 11,
     .doc = "0 is fastest, 11 smallest. A stream takes up to 1 MiB of memory with 3, 4 MiB with 5, "
            "tens of MiB from 9 on."},
    {.key = "window_bits",
     .type = NU_INT,
     .offset = offsetof(struct compress_how, window_bits),
     .fallback = "18",
     .min = 10,
     .max = 24,
     .doc = "How far back repetitions are found, as a power of two."},
    {0                       }
};

static const struct nu_schema brotli_schema = {
    .name = "brotli",
    .doc = "How brotli is made.",
    .size = sizeof(struct compress_how),
    .fields = brotli_fields,
};

#define TYPES                                                                                      \
    "[application/javascript, application/json, application/xhtml+xml, image/svg+xml, text/css, "  \
    "text/html, text/plain, text/xml]"

static const struct nu_field fields[] = {
    {.key = "codings",
     .type = NU_ENUM,
     .flags = NU_LIST | NU_NONEMPTY,
     .offset = offsetof(struct compress_conf, codings),
     .fallback = "[brotli, gzip]",
     .choices = compress_codings,
     .doc = "Those on offer. The client's weights decide, of equal ones the order here."},
    {.key = "content_type",
     .type = NU_STRING,
     .flags = NU_LIST,
     .offset = offsetof(struct compress_conf, content_type),
     .fallback = TYPES,
     .doc = "Types that are compressed; also what has none."},
    {.key = "min_content_length",
     .type = NU_SIZE,
     .offset = offsetof(struct compress_conf, min_content_length),
     .fallback = "30",
     .doc = "What is shorter stays as it is. What does not say its length is compressed."},
    {.key = "disable_on_etag",
     .type = NU_BOOL,
     .offset = offsetof(struct compress_conf, disable_on_etag),
     .fallback = "false",
     .doc = "Leave responses with an ETag alone. Otherwise a strong ETag becomes a weak one."},
    {.key = "remove_accept_encoding",
     .type = NU_BOOL,
     .offset = offsetof(struct compress_conf, remove_accept_encoding),
     .fallback = "false",
     .doc = "Take Accept-Encoding off requests, so that servers leave the work to this filter."},
    {.key = "gzip",
     .type = NU_OBJECT,
     .offset = offsetof(struct compress_conf, gzip),
     .sub = &gzip_schema,
     .doc = "How gzip is made."},
    {.key = "brotli",
     .type = NU_OBJECT,
     .offset = offsetof(struct compress_conf, brotli),
     .sub = &brotli_schema,
     .doc = "How brotli is made."},
    {0                      }
};

const struct nu_schema compress_schema = {
    .name = "compress",
    .doc = "Compresses responses for clients that take it (Accept-Encoding). Those to HEAD, 204, "
           "206, 304, those with Content-Encoding or `Cache-Control: no-transform` stay as they "
           "are. What comes in pieces leaves in pieces.",
    .size = sizeof(struct compress_conf),
    .fields = fields,
    .scalar = "codings",
};
