/* Accept-Encoding, whatever stands in it. Input: a line for each field of that name. What is chosen
 * is on offer; codings that nobody offers change nothing; what the client refuses by q=0 in the
 * first place is not chosen; an offer of one is taken only if an offer of both takes any. */
#include "core/arena.h"
#include "core/assert.h"
#include "protocols/coding/accept.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const enum nu_coding both[] = {NU_CODING_BROTLI, NU_CODING_GZIP};

static void add(struct nu_http_head *head, const char *text, size_t len)
{
    if (len > 0 && nu_http_value_ok(nu_text(text, len)))
        nu_http_add_known(head, NU_HDR_ACCEPT_ENCODING, nu_text(text, len));
}

static void add_lines(struct nu_http_head *head, const char *text, size_t len)
{
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        add(head, text, n);
        n += end != NULL;
        text += n;
        len -= n;
    }
}

static void judge(struct nu_http_head *head)
{
    enum nu_accept_why why, other;
    enum nu_coding chosen = nu_accept_coding(nu_accept_copy(head, head->arena), both, 2, &why);
    enum nu_coding br = nu_accept_coding(nu_accept_copy(head, head->arena), both, 1, &other);
    enum nu_coding gzip = nu_accept_coding(nu_accept_copy(head, head->arena), both + 1, 1, &other);
    bool none = chosen == NU_CODING_IDENTITY;
    nu_assert(chosen < NU_CODING_COUNT &&
              none == (why == NU_ACCEPT_NONE || why >= NU_ACCEPT_IDENTITY));
    nu_assert(none == (br == NU_CODING_IDENTITY && gzip == NU_CODING_IDENTITY));
    nu_assert(none || chosen == br || chosen == gzip);
    nu_field_has(head, NU_HDR_ACCEPT_ENCODING, "gzip");
    if (!nu_http_get(head, NU_HDR_ACCEPT_ENCODING))
        return;
    add(head, "zstd, deflate;q=0.9", 19);
    nu_assert(nu_accept_coding(nu_accept_copy(head, head->arena), both, 2, &other) == chosen &&
              other == why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_http_head *head = nu_http_head_new(arena), *first = nu_http_head_new(arena);
    enum nu_accept_why why;
    add_lines(head, (const char *)data, len);
    judge(head);
    add(first, "gzip;q=0, br;q=0.0", 18);
    add_lines(first, (const char *)data, len);
    nu_assert(nu_accept_coding(nu_accept_copy(first, arena), both, 2, &why) == NU_CODING_IDENTITY);
    nu_arena_free(arena);
    return 0;
}
