/* HTTP/1, both directions. The first byte chooses the side, the second how the rest is cut: however
 * it is cut the same must come out; what was read and is written again must read the same, and a
 * path normalized twice must be what it was once. */
#include "protocols/http/h1_write.h"
#include "protocols/http/path.h"
#include "tests/unit/protocols/http/h1_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t cut(void *ctx, size_t done, size_t left)
{
    uint32_t *seed = ctx;
    *seed = *seed * 1103515245 + 12345;
    size_t n = 1 + (*seed >> 16) % ((*seed >> 8 & 3) ? 7 : 400);
    return n < left ? n : left;
}

static struct h1_kit kit_of(uint8_t choice)
{
    static const char *const sides[] = {"req",      "res",         "req+upgrade", "res+upgrade",
                                        "res:HEAD", "res:CONNECT", "req",         "res"};
    return h1_kit_side(sides[choice & 7]);
}

/* A small limit of each kind, so that a fuzzer reaches it. */
static const struct nu_h1_limits tight = {
    .head_bytes = 300, .target_bytes = 40, .fields = 6, .trailer_bytes = 60, .body_bytes = 50};

static void path_is_stable(struct nu_text path, struct nu_arena *arena)
{
    for (unsigned i = 0; i < 6; i++) {
        struct nu_path_policy policy = {.slashes = (uint8_t)(i / 2), .merge = i % 2};
        struct nu_text once, twice;
        if (nu_path_normalize(policy, path, arena, &once) != NU_PATH_FINE)
            continue;
        nu_assert(once.len <= path.len);
        nu_assert(nu_path_normalize(policy, once, arena, &twice) == NU_PATH_FINE);
        nu_assert(once.at == twice.at && once.len == twice.len);
    }
}

/* What the writer changes on purpose, made equal: see h1_write.h. */
static char *essence(const struct nu_http_head *h)
{
    struct h1_text t = {0};
    h1_say(&t, "%u %u %s %s", h->status, h->method_id, nu_http_body_str(h->body),
           h->upgrade.len ? "upgrade " : "");
    h1_say_text(&t, "", h->method);
    h1_say_text(&t, " ", h->authority);
    h1_say_text(&t, " ", h->path);
    if (h->body == NU_BODY_LENGTH)
        h1_say(&t, " %llu", (unsigned long long)h->content_length);
    for (const struct nu_http_field *f = nu_http_each(h, NULL); f; f = nu_http_each(h, f)) {
        if (f->flags & NU_HTTP_FIELD_HOP || nu_hdr_flags(f->id) & NU_HDR_FRAMING)
            continue;
        h1_say_text(&t, "\n", nu_text(f->name, f->name_len));
        h1_say_text(&t, ": ", nu_http_field_value(f));
    }
    return t.at;
}

static void write_again(const struct h1_kit *kit, const struct nu_http_head *head)
{
    static const struct nu_h1_limits wide = {
        .head_bytes = 1 << 20, .target_bytes = 1 << 16, .fields = 200, .trailer_bytes = 1 << 16};
    struct nu_block_pool *pool = nu_block_pool_new();
    struct nu_block *block = nu_block_get(pool, nu_h1_head_room(head));
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_slice wire, in;
    struct nu_h1_parser p;
    struct nu_h1_out out;
    enum nu_err err =
        nu_h1_write_head(block, head, &(struct nu_h1_how){.close = !head->keep_alive}, &wire);
    nu_assert(err == NU_OK || (head->version == NU_HTTP_1_0 && head->authority.len == 0));
    if (err == NU_OK) {
        in = wire;
        nu_h1_init(&p, &wide);
        if (kit->response)
            nu_h1_begin_response(&p, arena, kit->method, kit->upgrade);
        else
            nu_h1_begin_request(&p, arena);
        enum nu_h1_event event = nu_h1_read(&p, &in, &out);
        nu_assert((event == NU_H1_HEAD || event == NU_H1_INTERIM) && in.len == 0);
        char *was = essence(head), *is = essence(out.head);
        nu_assert(strcmp(was, is) == 0);
        free(was);
        free(is);
        nu_http_head_drop(out.head);
        nu_slice_drop(&wire);
    }
    nu_arena_free(arena);
    nu_block_unref(block);
    nu_block_pool_free(pool);
}

/* The heads of the first message, one after the other. */
static void each_head(const struct h1_kit *kit, const uint8_t *data, size_t len)
{
    static const struct nu_h1_limits defaults = NU_H1_LIMITS_DEFAULT;
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_slice in = {data, len, NULL};
    struct nu_h1_parser p;
    struct nu_h1_out out;
    enum nu_h1_event event;
    nu_h1_init(&p, &defaults);
    if (kit->response)
        nu_h1_begin_response(&p, arena, kit->method, kit->upgrade);
    else
        nu_h1_begin_request(&p, arena);
    do {
        event = nu_h1_read(&p, &in, &out);
        nu_slice_drop(&out.data);
        if (event != NU_H1_HEAD && event != NU_H1_INTERIM)
            continue;
        path_is_stable(out.head->path, arena);
        write_again(kit, out.head);
    } while (event != NU_H1_MORE && event < NU_H1_END);
    nu_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    struct h1_kit kit = kit_of(data[0]), cuts;
    uint32_t seed = data[1];
    kit.limits = data[0] & 8 ? &tight : NULL;
    char *whole = h1_kit_read(&kit, data + 2, len - 2);
    cuts = kit;
    cuts.cut = cut;
    cuts.ctx = &seed;
    for (int i = 0; i < 3; i++) {
        cuts.keep = i & 1;
        cuts.pass = i & 2;
        char *parts = h1_kit_read(&cuts, data + 2, len - 2);
        nu_assert(strcmp(whole, parts) == 0);
        free(parts);
    }
    free(whole);
    each_head(&kit, data + 2, len - 2);
    return 0;
}
