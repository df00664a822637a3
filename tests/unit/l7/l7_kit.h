/* What the tests of streams share: heads as the parser makes them of text, a stream with a chain of
 * three probes (left, mid, right) around it, and a config from a string. */
#ifndef NU_TESTS_L7_KIT_H
#define NU_TESTS_L7_KIT_H

#include "core/chain.h"
#include "l7/http.h"
#include "l7/stream.h"
#include "protocols/http/h1.h"
#include "tests/filters/probe.h"
#include "tests/unit/core/conf/conf_help.h"

static struct l7_kit {
    struct nu_loop loop;
    struct nu_arena *arena, *config; /* of the stream; of what is parsed for it */
    struct nu_http_conf conf;
    struct nu_facts facts;             /* of the stream's chain, before kit_stream */
    struct nu_facts_exchange exchange; /* theirs */
    struct nu_stream stream;
    struct nu_probe left, mid, right;
} kit;

static inline int kit_setup(void **state)
{
    memset(&kit, 0, sizeof kit);
    nu_loop_init(&kit.loop, 0);
    kit.arena = nu_arena_new(1024);
    kit.config = nu_arena_new(1024);
    kit.conf.forwarded.server = "nuncio";
    kit.stream = (struct nu_stream){.arena = kit.arena, .conf = &kit.conf, .start_ms = 1};
    assert_int_equal(nu_addr_parse(&kit.facts.client, "203.0.113.5:999", -1), NU_OK);
    kit.facts.start_ms = 1;
    return 0;
}

static inline int kit_teardown(void **state)
{
    if (kit.stream.chain && kit.loop.chain_count)
        nu_chain_abort(kit.stream.chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit.loop);
    if (kit.stream.request)
        nu_http_head_drop(kit.stream.request);
    if (kit.stream.response)
        nu_http_head_drop(kit.stream.response);
    nu_arena_free(kit.arena);
    nu_arena_free(kit.config);
    nu_loop_fini(&kit.loop);
    return 0;
}

#define KIT_TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

/* A head off the wire; `lines` end in LF. */
static inline struct nu_http_head *kit_head(const char *lines, bool response)
{
    static const struct nu_h1_limits limits = {1 << 20, 8192, 4000, 8192, 0};
    struct nu_h1_parser parser;
    struct nu_h1_out out = {.head = NULL};
    struct nu_block *block = nu_block_get(kit.loop.blocks, 2 * strlen(lines) + 2);
    size_t len = 0;
    for (const char *p = lines; *p; p++) {
        if (*p == '\n')
            block->data[len++] = '\r';
        block->data[len++] = (uint8_t)*p;
    }
    memcpy(block->data + len, "\r\n", 2);
    struct nu_slice in = nu_block_freeze(block, len + 2);
    nu_block_unref(block);
    nu_h1_init(&parser, &limits);
    if (response)
        nu_h1_begin_response(&parser, kit.arena, NU_METHOD_GET, false);
    else
        nu_h1_begin_request(&parser, kit.arena);
    assert_int_equal(nu_h1_read(&parser, &in, &out), NU_H1_HEAD);
    nu_slice_drop(&in);
    return out.head;
}

static inline void kit_request(const char *lines)
{
    kit.stream.request = kit_head(lines, false);
}

static inline void kit_response(const char *lines)
{
    kit.stream.response = kit_head(lines, true);
    kit.stream.status = kit.stream.response->status;
}

/* The stream's chain, with kit.facts. */
static inline struct nu_chain *kit_stream(void)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit.left },
        {&nu_probe,       &kit.mid  },
        {&nu_probe_right, &kit.right}
    };
    kit.exchange.stream = &kit.stream;
    kit.facts.exchange = &kit.exchange;
    kit.stream.chain = nu_chain_new(&kit.loop, places, 3, &kit.facts, NULL, &kit.stream);
    return kit.stream.chain;
}

/* Its fields as "name: value" lines; good until the next call. */
static inline const char *kit_fields(const struct nu_http_head *head)
{
    static char *text;
    size_t len = 0;
    free(text);
    FILE *out = open_memstream(&text, &len);
    for (const struct nu_http_field *f = nu_http_each(head, NULL); f; f = nu_http_each(head, f))
        fprintf(out, "%.*s: %.*s\n", f->name_len, f->name, (int)f->value_len, f->value);
    fclose(out);
    return text;
}

/* The value of a field by any name, NULL: there is none; the test fails if there are several. */
static inline const char *kit_value(const struct nu_http_head *head, const char *name)
{
    static char *copies[4];
    static unsigned turn;
    const struct nu_http_field *f = nu_http_find(head, nu_text(name, strlen(name)));
    if (!f)
        return NULL;
    assert_null(nu_http_next(head, f));
    char **copy = &copies[turn++ % 4];
    free(*copy);
    *copy = strndup(f->value, f->value_len);
    return *copy;
}

#endif
