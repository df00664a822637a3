/* ClientHello reader. The input is what is on the wire; it is read in one piece, in pieces whose
 * sizes come from the input, and byte by byte, and all must agree. */
#include "core/assert.h"
#include "protocols/tls/client_hello.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Every span lies in the message, every list walks to its end. */
static void touch(const struct nu_client_hello *ch)
{
    const struct nu_hello_span spans[] = {
        ch->random, ch->session_id, ch->compressions, ch->ciphers, ch->extensions, ch->versions,
        ch->groups, ch->signatures, ch->points,       ch->sni,     ch->alpn};
    static volatile uint8_t sum;
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        nu_assert((uint32_t)spans[i].at + spans[i].len <= ch->msg_len);
        for (unsigned k = 0; k < spans[i].len; k++)
            sum = (uint8_t)(sum + nu_hello_bytes(ch, spans[i])[k]);
    }
    struct nu_hello_ext ext;
    struct nu_hello_span name;
    unsigned bytes = 0;
    for (unsigned at = 0; nu_hello_ext_next(ch, &at, &ext);)
        bytes += 4u + ext.body.len;
    nu_assert(bytes == ch->extensions.len);
    bytes = 0;
    for (unsigned at = 0; nu_hello_alpn_next(ch, &at, &name);)
        bytes += 1u + name.len;
    nu_assert(bytes == ch->alpn.len);
    nu_assert(!ch->sni_is_ip || ch->sni.len == 0);
    nu_assert(memchr(nu_hello_bytes(ch, ch->sni), 0, ch->sni.len) == NULL);
}

static void read_in_pieces(struct nu_client_hello *ch, const uint8_t *data, size_t len, bool bytes)
{
    nu_client_hello_init(ch);
    for (size_t at = 0, take; at < len; at += take) {
        take = bytes ? 1 : 1 + data[at] % 61u;
        take = take < len - at ? take : len - at;
        nu_client_hello_feed(ch, data + at, take);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nu_client_hello once, cut;
    nu_client_hello_init(&once);
    nu_client_hello_feed(&once, data, len);
    nu_assert((once.result == NU_OK || once.result == NU_MORE) == (once.reason == NULL));
    nu_assert(once.wire_bytes <= NU_HELLO_MAX_WIRE_BYTES && once.wire_bytes <= len);
    if (once.result == NU_OK)
        touch(&once);
    for (int bytes = 0; bytes < 2; bytes++) {
        read_in_pieces(&cut, data, len, bytes);
        nu_assert(cut.result == once.result && cut.reason == once.reason);
        if (cut.result == NU_OK) {
            touch(&cut);
            nu_assert(cut.wire_bytes == once.wire_bytes);
            nu_assert(cut.msg_len == once.msg_len);
            nu_assert(memcmp(cut.msg, once.msg, cut.msg_len) == 0);
            nu_assert(memcmp(&cut.random, &once.random,
                             offsetof(struct nu_client_hello, grease) -
                                 offsetof(struct nu_client_hello, random)) == 0);
        }
        nu_client_hello_free(&cut);
    }
    nu_client_hello_free(&once);
    return 0;
}
