/* Filter types with nothing in them, and a config from a string, for tests of what may stand in a
 * config. */
#ifndef TESTS_L4_CONF_TYPES_H
#define TESTS_L4_CONF_TYPES_H

#include "core/generation.h"
#include "core/registry.h"
#include "tests/unit/core/conf/conf_help.h"

struct trial_conf {
    int64_t size;
    const char *word;
    unsigned prepared;
};

static inline enum nu_err trial_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                        struct nu_arena *arena, const struct nu_node *node,
                                        void *parsed)
{
    struct trial_conf *c = parsed;
    c->prepared++;
    if (strcmp(c->word, "wrong") != 0)
        return NU_OK;
    nu_conf_error(conf, node, "prepare says no");
    return NU_ERR_CONFIG;
}

static const struct nu_field trial_fields[] = {
    {.key = "word",
     .type = NU_STRING,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct trial_conf, word)},
    {.key = "size",
     .type = NU_SIZE,
     .offset = offsetof(struct trial_conf, size),
     .fallback = "1KiB"},
    {0              }
};
static const struct nu_schema trial_schema = {
    .name = "trial", .size = sizeof(struct trial_conf), .fields = trial_fields};

/* An end that takes all and answers nothing. */
static inline void swallow(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    bool end = ev->kind == NU_END;
    nu_ev_free(ev);
    if (end) {
        nu_done(f, dir);
        nu_forward_end(f, NU_REV, nu_result_of(NU_CAUSE_CLIENT_FIN));
    }
}

#define TRIAL(name_, left, right)                                                                  \
    .name = name_, .doc = "Of a test.", .size = sizeof(struct nu_filter),                          \
    .face = NU_FACES(left, right)
static const struct nu_filter_type trial = {
    TRIAL("trial", NU_SAME, NU_SAME),
    .schema = &trial_schema,
    .prepare = trial_prepare,
};
static const struct nu_filter_type plain = {TRIAL("plain", NU_SAME, NU_SAME)};
static const struct nu_filter_type bytes_end = {
    TRIAL("bytes_end", NU_FACE_BYTES, NU_FACE_NONE),
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), 0},
    .event = swallow,
};
static const struct nu_filter_type to_http = {TRIAL("to_http", NU_FACE_BYTES, NU_FACE_HTTP)};
static const struct nu_filter_type of_http = {TRIAL("of_http", NU_FACE_HTTP, NU_FACE_HTTP)};
static const struct nu_filter_type inside = {TRIAL("inside", NU_SAME, NU_SAME),
                                             .flags = NU_F_INTERNAL};

static inline void register_trials(void)
{
    static const struct nu_filter_type *const types[] = {&trial,   &plain,   &bytes_end,
                                                         &to_http, &of_http, &inside};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        nu_registry_add(types[i]);
    nu_registry_add_later("websocket");
}

#endif
