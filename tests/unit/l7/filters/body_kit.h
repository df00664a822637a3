/* For tests of filters that change bodies: coded texts, and messages off the proxy's bytes. */
#ifndef NU_TESTS_BODY_KIT_H
#define NU_TESTS_BODY_KIT_H

#include "protocols/coding/coder.h"
#include "tests/unit/l7/filters/filter_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BODY_MAX (4 << 20)

struct body {
    uint8_t *data;
    size_t len;
};

static inline void body_free(struct body *b)
{
    free(b->data);
    *b = (struct body){0};
}

static inline struct body body_run(struct nu_coder *coder, const void *in, size_t len,
                                   enum nu_code_what what, enum nu_code_state want)
{
    struct body b = {malloc(BODY_MAX), 0};
    struct nu_code_io io = {in, len, b.data, BODY_MAX};
    assert_int_equal(nu_code(coder, what, &io), want);
    b.len = (size_t)(io.out - b.data);
    return b;
}

static inline struct body body_coded(enum nu_coding coding, const void *in, size_t len)
{
    static const struct nu_encoder_conf conf = {9, 15, 8};
    struct nu_coder *coder = nu_encoder_new(coding, &conf);
    struct body b = body_run(coder, in, len, NU_CODE_FINISH, NU_CODE_END);
    nu_coder_free(coder);
    return b;
}

static inline struct body body_decoded(enum nu_coding coding, const void *in, size_t len)
{
    struct nu_coder *coder = nu_decoder_new(coding, 1 << 20);
    struct body b = body_run(coder, in, len, NU_CODE_FINISH, NU_CODE_END);
    nu_coder_free(coder);
    return b;
}

/* Chunks taken off the front of `at`, whole ones only; *whole: the last one was among them. */
static inline struct body body_dechunked(const char *at, size_t len, bool *whole)
{
    struct body b = {malloc(len + 1), 0};
    const char *end = at + len;
    *whole = false;
    while (at < end && !*whole) {
        char *line;
        size_t n = strtoul(at, &line, 16);
        if (line + 2 + n + 2 > end)
            break;
        assert_memory_equal(line, "\r\n", 2);
        *whole = n == 0;
        memcpy(b.data + b.len, line + 2, n);
        b.len += n;
        at = line + 2 + n + 2;
    }
    return b;
}

/* What a peer was sent, in two parts; `head` ends behind the empty line. Stays until it is sent
 * more. */
struct heard {
    char head[4096];
    const char *body;
    size_t len;
};

static inline struct heard heard_by(struct kit_peer *peer)
{
    struct heard h = {.body = peer->got};
    const char *end = memmem(peer->got, peer->len, "\r\n\r\n", 4);
    if (!end)
        return h;
    size_t len = (size_t)(end - peer->got) + 4;
    assert_true(len < sizeof h.head);
    memcpy(h.head, peer->got, len);
    h.body = peer->got + len;
    h.len = peer->len - len;
    return h;
}

static inline void forget(struct kit_peer *peer)
{
    peer->len = 0;
    peer->got[0] = 0;
}

static inline bool says(const struct heard *h, const char *line)
{
    return strcasestr(h->head, line) != NULL;
}

static inline void assert_says(const struct heard *h, const char *line, bool yes)
{
    if (says(h, line) != yes)
        fail_msg("%s\"%s\" in\n%s", yes ? "no " : "", line, h->head);
}

/* Words that are worth coding; another text for another seed. */
static inline void body_words(char *out, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        out[i] = "etaoin shrdlu\n<p>"[seed >> 28];
    }
}

/* Head, then bytes in pieces of so many. */
static inline void body_say(struct kit_peer *peer, const char *head, const void *body, size_t len,
                            size_t step)
{
    kit_say_bytes(peer, head, strlen(head));
    for (size_t at = 0; at < len; at += step)
        kit_say_bytes(peer, (const uint8_t *)body + at, len - at < step ? len - at : step);
    kit_turn();
}

#endif
