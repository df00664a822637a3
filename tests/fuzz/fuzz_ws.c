/* WebSocket frames. The first byte says how it is read, the second where; the rest is a stream of
 * frames: cut whole and in pieces, which must agree on every frame and on the first fault. */
#include "core/assert.h"
#include "protocols/ws/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    uint8_t *bytes;
    size_t len;
    unsigned frames;
    uint64_t begun; /* where the last frame began */
    enum nu_ws_error error;
    size_t wrong; /* frames before the fault */
};

static void look(struct seen *seen, struct nu_ws_check *check, const struct nu_ws_rules *rules,
                 struct nu_msg *msg)
{
    nu_assert(msg->data.len > 0 && msg->head <= msg->data.len);
    memcpy(seen->bytes + seen->len, msg->data.data, msg->data.len);
    if (msg->head)
        seen->frames++;
    seen->len += msg->data.len;
    if (!seen->error) {
        seen->error = nu_ws_check(check, rules, msg);
        seen->wrong = seen->frames;
    }
    nu_slice_drop(&msg->data);
}

/* In pieces of so many bytes. */
static void run(struct seen *seen, uint8_t how, const uint8_t *at, size_t len, size_t step)
{
    const struct nu_ws_rules rules = {
        .max_frame = how & 4 ? 300 : 0, .max_message = how & 8 ? 500 : 0, .validate = how & 16};
    struct nu_block_pool *pool = nu_block_pool_new();
    struct nu_ws_check check = {.masked = how & 1, .deflate = how & 2};
    struct nu_ws_cutter cutter = {0};
    struct nu_msg msg;
    seen->bytes = malloc(len + 1);
    for (size_t from = 0; from < len; from += step) {
        size_t n = len - from < step ? len - from : step;
        struct nu_slice in = nu_slice_copy(pool, at + from, n);
        while (nu_ws_cut(&cutter, pool, &in, &msg))
            look(seen, &check, &rules, &msg);
        nu_assert(in.len == 0 && !in.block);
    }
    nu_assert(cutter.held.len + seen->len == len);
    nu_assert(memcmp(seen->bytes, at, seen->len) == 0);
    nu_ws_cutter_free(&cutter);
    nu_assert(nu_block_pool_lent(pool) == 0);
    nu_block_pool_free(pool);
    free(seen->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct seen whole = {0}, pieces = {0};
    if (len < 2)
        return 0;
    run(&whole, data[0], data + 2, len - 2, len);
    run(&pieces, data[0], data + 2, len - 2, 1 + data[1] % 17);
    nu_assert(whole.error == pieces.error);
    nu_assert(!whole.error || whole.wrong == pieces.wrong);
    return 0;
}
