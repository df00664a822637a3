/* What is called deflate: zlib's format or none, cut anywhere; and what is neither. */
#include "protocols/coding/coder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *in;
    size_t len;
    const char *out;
    enum nu_code_state end;
};
#define BYTES(text) (text), sizeof(text) - 1

static const struct row rows[] = {
    {BYTES("\x78\x9c\xcb\xc8\x04\0\x01\x3b\0\xd2"), "hi", NU_CODE_END},
    {BYTES("\xcb\xc8\x04\0"),                       "hi", NU_CODE_END},
    {BYTES(""),                                     "",   NU_CODE_END},
    {BYTES("\xcb\xc8\x04"),                         "hi", NU_CODE_BAD},
    {BYTES("\x78\x9c\xcb\xc8\x04\0\x01\x3b\0\xd3"), "hi", NU_CODE_BAD},
    {BYTES("\xcb\xc8\x04\0more"),                   "hi", NU_CODE_BAD},
    {BYTES("\xff\xff"),                             "",   NU_CODE_BAD},
};

/* In pieces of `step` bytes, with room for as many. */
static void decode(const struct row *r, size_t step)
{
    struct nu_coder *coder = nu_deflate_decoder_new();
    enum nu_code_state state = NU_CODE_MORE;
    uint8_t out[64];
    size_t len = 0;
    for (size_t at = 0; at <= r->len && state != NU_CODE_BAD; at += step) {
        size_t n = r->len - at < step ? r->len - at : step;
        struct nu_code_io io = {.in = (const uint8_t *)r->in + at, .in_len = n};
        do {
            io.out = out + len;
            io.out_len = step;
            state = nu_code(coder, at + step > r->len ? NU_CODE_FINISH : NU_CODE_RUN, &io);
            len += step - io.out_len;
        } while (state == NU_CODE_FULL);
    }
    assert_int_equal(state, r->end);
    assert_int_equal(len, strlen(r->out));
    assert_memory_equal(out, r->out, len);
    nu_coder_free(coder);
}

static void both_kinds_at_every_size(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step < 16; step++)
            decode(&rows[i], step);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_kinds_at_every_size)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
