/* The HTTP/2 codec, a server's or a client's: frames as a script, in pieces and over time, with
 * users that answer, keep, reset or leave. Whatever comes, what goes out is frames, and every block
 * is given back.
 *
 * The first byte chooses the user, the second how the bytes are cut, the side (2: a client, which
 * has asked three times), how time passes (4: up to a second from piece to piece), what answers
 * have (8: a 103 and trailers), and whether the server drains midway (16); then frames: type,
 * flags, stream, length, and so many bytes. A type of 255: the rest is bytes as they are. */
#include "tests/unit/protocols/http2/h2_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void script(struct kit_bytes *b, const uint8_t *data, size_t len)
{
    while (len >= 4 && data[0] != 255 && b->len < sizeof b->at / 2) {
        size_t n = data[3] < len - 4 ? data[3] : len - 4;
        kit_frame(b, data[0] % 20, data[1], data[2] % 16, data + 4, n);
        data += 4 + n;
        len -= 4 + n;
    }
    if (len > 1 && len < sizeof b->at / 4)
        kit_put(b, data + 1, len - 1);
}

static void check_frames(const struct kit *k)
{
    size_t at = k->client ? NU_H2_PREFACE_LEN : 0;
    while (at + 9 <= k->out_len) {
        const uint8_t *f = (const uint8_t *)k->out + at;
        size_t len = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        nu_assert(len <= 16384 && f[3] <= 9);
        at += 9 + len;
    }
    nu_assert(at == k->out_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct kit_bytes b;
    if (len < 2)
        return 0;
    struct kit *k = kit_new((enum kit_answer)(data[0] % 5));
    uint32_t seed = data[1];
    k->keep = data[0] & 8;
    k->rich = data[1] & 8;
    k->body = data[0] & 16 ? 100000 : 0;
    k->conf.streams = data[0] & 32 ? 2 : 100;
    k->conf.limits.head_bytes = data[0] & 64 ? 300 : 60000;
    k->conf.limits.body_bytes = data[0] & 128 ? 50 : 0;
    b.len = 0;
    if (data[1] & 2) {
        kit_begin_client(k);
        kit_ask(k, "GET", 0);
        kit_ask(k, "HEAD", 0);
        kit_ask(k, "POST", 1000);
        while (nu_h2_write(k->h2, 65536, k->now_ms))
            continue;
        kit_frame(&b, 4, 0, 0, "", 0);
    } else {
        kit_begin(k);
        kit_preface(&b);
    }
    script(&b, data + 2, len - 2);
    for (size_t at = 0, n; at < b.len; at += n) {
        seed = seed * 1103515245 + 12345;
        n = 1 + (seed >> 16) % (data[1] & 1 ? 9 : 2000);
        n = n < b.len - at ? n : b.len - at;
        k->now_ms += data[1] & 4 ? seed >> 22 : seed >> 30;
        nu_h2_expire(k->h2, k->now_ms);
        if (data[1] & 16 && !k->client && at > b.len / 2)
            nu_h2_drain(k->h2);
        kit_read(k, b.at + at, n);
    }
    check_frames(k);
    kit_free(k);
    return 0;
}
