/* A schema with every type and every flag, for the unit tests and the fuzz target of core/conf. */
#ifndef TESTS_CONF_SAMPLE_H
#define TESTS_CONF_SAMPLE_H

#include "core/conf/schema.h"

#include <stddef.h>
#include <string.h>

struct target {
    const char *name;
    int64_t weight;
};

struct limits {
    int64_t pending;
    struct target home;
};

struct sample {
    bool on;
    int64_t count, wait, size, rate;
    double share;
    const char *name, *path;
    int mode;
    struct nu_addr address, network;
    struct limits limits;
    struct limits *more;
    const struct nu_node *raw;
    char letter;
    struct nu_vec names, targets, maybes, raws, letters, waits;
    bool checked;
    void **ext;
};

/* One letter, for CUSTOM. */
static inline enum nu_err sample_letter(struct nu_conf *conf, struct nu_arena *arena,
                                        const struct nu_node *node, void *out)
{
    (void)arena;
    if (node->kind != NU_NODE_SCALAR || strlen(node->text) != 1) {
        nu_conf_error(conf, node, "not one letter");
        return NU_ERR_CONFIG;
    }
    *(char *)out = *node->text;
    return NU_OK;
}

static inline enum nu_err sample_check(struct nu_conf *conf, struct nu_arena *arena,
                                       const struct nu_node *node, void *out)
{
    struct sample *s = out;
    (void)arena;
    s->checked = true;
    if (s->count != 13)
        return NU_OK;
    nu_conf_error(conf, node, "13 brings bad luck");
    return NU_ERR_CONFIG;
}

static const char *const sample_modes[] = {"off", "require", "optional", NULL};

static const struct nu_field target_fields[] = {
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct target, name),
     .doc = "Its name."},
    {.key = "weight",
     .type = NU_INT,
     .offset = offsetof(struct target, weight),
     .fallback = "1",
     .doc = "Share of the whole.",
     .min = 1,
     .max = 100},
    {0              }
};
static const struct nu_schema target_schema = {.name = "target",
                                               .doc = "Where it goes.",
                                               .size = sizeof(struct target),
                                               .fields = target_fields,
                                               .scalar = "name"};

static const struct nu_field limits_fields[] = {
    {.key = "pending",
     .type = NU_INT,
     .offset = offsetof(struct limits, pending),
     .fallback = "1024",
     .doc = "Waiting ones."},
    {.key = "home",
     .type = NU_OBJECT,
     .offset = offsetof(struct limits, home),
     .fallback = "\"~\"",
     .doc = "The first target.",
     .sub = &target_schema},
    {0              }
};
static const struct nu_schema limits_schema = {
    .name = "limits", .doc = "How much.", .size = sizeof(struct limits), .fields = limits_fields};

#define SAMPLE(key_, type_, member, ...)                                                           \
    {                                                                                              \
        .key = key_, .type = type_, .offset = offsetof(struct sample, member), __VA_ARGS__         \
    }

static const struct nu_field sample_fields[] = {
    SAMPLE("on", NU_BOOL, on, .fallback = "yes", .doc = "Whether."),
    SAMPLE("count", NU_INT, count, .min = 1, .max = 65535, .fallback = "7", .doc = "How many."),
    SAMPLE("share", NU_PERCENT, share, .fallback = "10%"),
    SAMPLE("wait", NU_DURATION, wait, .fallback = "90s", .max = 86400000),
    SAMPLE("size", NU_SIZE, size, .min = 512),
    SAMPLE("rate", NU_RATE, rate),
    SAMPLE("name", NU_STRING, name, .flags = NU_NONEMPTY),
    SAMPLE("mode", NU_ENUM, mode, .choices = sample_modes, .fallback = "optional"),
    SAMPLE("address", NU_ADDRESS, address),
    SAMPLE("network", NU_CIDR, network),
    SAMPLE("path", NU_PATH, path, .fallback = "a.log"),
    SAMPLE("limits", NU_OBJECT, limits, .sub = &limits_schema),
    SAMPLE("more", NU_OBJECT, more, .flags = NU_PTR, .sub = &limits_schema),
    SAMPLE("raw", NU_NODE, raw, .shown = "filters"),
    SAMPLE("letter", NU_CUSTOM, letter, .parse = sample_letter, .shown = "letter"),
    SAMPLE("names", NU_STRING, names, .flags = NU_LIST, .fallback = "[a, b|c]"),
    SAMPLE("targets", NU_OBJECT, targets, .flags = NU_LIST | NU_NONEMPTY, .sub = &target_schema),
    SAMPLE("maybes", NU_OBJECT, maybes, .flags = NU_LIST | NU_PTR, .sub = &target_schema),
    SAMPLE("raws", NU_NODE, raws, .flags = NU_LIST),
    SAMPLE("letters", NU_CUSTOM, letters, .flags = NU_LIST, .parse = sample_letter, .item = 1),
    SAMPLE("waits", NU_DURATION, waits, .flags = NU_LIST, .fallback = "1s"),
    {.key = "tomorrow",  .type = NU_BOOL, .flags = NU_LATER},
    {0}
};

static struct nu_ext *sample_exts;
static const struct nu_schema sample_schema = {.name = "sample",
                                               .doc = "One of everything. It does nothing.",
                                               .size = sizeof(struct sample),
                                               .fields = sample_fields,
                                               .check = sample_check,
                                               .ext = &sample_exts,
                                               .ext_offset = offsetof(struct sample, ext)};

#endif
