/* Bodies that claim to be compressed, through the whole proxy, in both directions and cut as the
 * input says. Input: a byte of options (1 br, 2 a response, 4 who takes it holds for a while), a
 * byte for the size of the pieces, then the body. What is a whole stream within the limits arrives
 * whole; all else is refused or cut, and never looks whole. Nothing stays behind. */
#include "core/registry.h"
#include "l7/filters/filters.h"
#include "protocols/coding/coder.h"
#include "tests/unit/l7/proxy_kit.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SIZE_MAX_PLAIN (32 * 1024)
#define WINDOW         (64 * 1024)

static const char conf[] = "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"
                           "filters: [{decompress: {max_size: 32KiB, max_window: 64KiB}}]\n"
                           "routes: [{cluster: c}]\n";

/* By one call, into room for more than is allowed. */
static bool is_good(enum nu_coding coding, const uint8_t *body, size_t len)
{
    static uint8_t out[SIZE_MAX_PLAIN + 1];
    struct nu_coder *coder = nu_decoder_new(coding, WINDOW);
    struct nu_code_io io = {body, len, out, sizeof out};
    enum nu_code_state state = nu_code(coder, NU_CODE_FINISH, &io);
    nu_coder_free(coder);
    return state == NU_CODE_END;
}

static void say_body(struct kit_peer *peer, const uint8_t *body, size_t len, size_t step)
{
    for (size_t at = 0; at < len; at += step)
        kit_say_bytes(peer, body + at, len - at < step ? len - at : step);
    kit_turn();
}

static void hold(struct kit_peer *peer, enum nu_dir dir, bool on)
{
    if (peer->probe.self && !nu_chain_ended(peer->probe.self->chain) && !peer->ends)
        nu_outside_hold(peer->probe.self, dir, on);
    kit_turn();
}

static bool is_whole(const struct kit_peer *peer)
{
    return peer->len >= 5 && memcmp(peer->got + peer->len - 5, "0\r\n\r\n", 5) == 0;
}

static void judge_request(bool good)
{
    const struct kit_peer *leg = kit.legs ? &kit.leg[kit.legs - 1] : NULL;
    nu_assert(good == (leg && is_whole(leg) && kit.client.len == 0));
    if (good)
        return;
    nu_assert(memcmp(kit.client.got, "HTTP/1.1 400 ", 13) == 0 ||
              memcmp(kit.client.got, "HTTP/1.1 413 ", 13) == 0);
    nu_assert(!leg || leg->len < SIZE_MAX_PLAIN + 4 * NU_BLOCK_SMALL);
}

static void judge_response(bool good)
{
    nu_assert(memcmp(kit.client.got, "HTTP/1.1 200 ", 13) == 0);
    nu_assert(good == (kit.client.ends == 0));
    nu_assert(!good || is_whole(&kit.client));
    nu_assert(kit.client.len < SIZE_MAX_PLAIN + 4 * NU_BLOCK_SMALL);
}

static void run(uint8_t options, size_t step, const uint8_t *body, size_t len)
{
    enum nu_coding coding = options & 1 ? NU_CODING_BROTLI : NU_CODING_GZIP;
    bool good = is_good(coding, body, len), response = options & 2;
    char head[256];
    snprintf(head, sizeof head,
             "%s\r\nDate: x\r\nHost: h\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
             response ? "HTTP/1.1 200 OK" : "PUT / HTTP/1.1", nu_coding_str(coding), len);
    if (response) {
        client_says("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        kit_heard(&kit.leg[0]);
        hold(&kit.client, NU_REV, options & 4);
        kit_say(&kit.leg[0], head);
        say_body(&kit.leg[0], body, len, step);
        hold(&kit.client, NU_REV, false);
        judge_response(good);
    } else {
        client_says(head);
        if (kit.legs && options & 4)
            hold(&kit.leg[0], NU_FWD, true);
        say_body(&kit.client, body, len, step);
        if (kit.legs)
            hold(&kit.leg[kit.legs - 1], NU_FWD, false);
        judge_request(good);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 3 || len > 16384)
        return 0;
    if (!nu_registry_find("decompress"))
        nu_registry_add(&nu_filter_decompress);
    kit_begin(conf);
    kit_client();
    run(data[0], data[1] * 4u + 1, data + 2, len - 2);
    kit_end();
    return 0;
}
