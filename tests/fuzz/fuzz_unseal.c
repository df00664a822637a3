/* Reading TLS along. The input is a list of operations, each a byte (its highest bit a
 * direction) and a length of two: bytes of
 * the client or the server, a gap, an end, text of a key log. It is fed as it is and byte by byte;
 * where nothing is missing both must tell the same, and all memory must come back. */
#include "core/assert.h"
#include "tls/unseal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SECRETS 2

enum { OP_CLIENT, OP_SERVER, OP_KEYS, OP_GAP, OP_END, OPS };

/* What is told of a connection. */
struct told {
    uint64_t plain[2], sum[2], gaps;
    unsigned ends[2];
    bool closed[2];
};

static void on_plain(void *ctx, int dir, const uint8_t *bytes, size_t len, int64_t time_ns)
{
    struct told *told = ctx;
    nu_assert(len > 0 && !told->closed[dir] && !told->ends[dir]);
    told->plain[dir] += len;
    for (size_t i = 0; i < len; i++)
        told->sum[dir] = told->sum[dir] * 31 + bytes[i];
}

static void on_gap(void *ctx, int dir, uint64_t bytes, bool exact, int64_t time_ns)
{
    struct told *told = ctx;
    nu_assert(!told->closed[dir] && !told->ends[dir]);
    told->gaps++;
}

static void on_end(void *ctx, int dir, int64_t time_ns)
{
    ((struct told *)ctx)->ends[dir]++;
}

static void on_closed(void *ctx, int dir, enum nu_unseal_reason reason, int64_t time_ns)
{
    struct told *told = ctx;
    nu_assert(!told->closed[dir] && reason != NU_UNSEAL_OPEN && reason != NU_UNSEAL_NO_DATA);
    told->closed[dir] = true;
}

static const struct nu_unseal_handler handler = {on_plain, on_gap, on_end, on_closed};

static void feed(struct nu_unseal *u, int dir, const uint8_t *bytes, size_t len, size_t piece)
{
    for (size_t at = 0, n; at < len; at += n) {
        n = len - at < piece ? len - at : piece;
        nu_unseal_feed(u, dir, bytes + at, n, 1);
    }
}

/* Whether all bytes were there. */
static bool run(struct nu_unseal *u, struct nu_secrets *secrets, const uint8_t *data, size_t len,
                size_t piece)
{
    bool ended[2] = {false, false}, whole = true;
    for (size_t n; len >= 3; data += n, len -= n) {
        unsigned op = (data[0] & 0x7f) % OPS, dir = data[0] >> 7;
        size_t size = (size_t)data[1] << 8 | data[2];
        bool bytes = op <= OP_KEYS;
        n = 3 + (bytes ? size : 0);
        n = n < len ? n : len;
        if (op == OP_KEYS)
            nu_secrets_feed(secrets, data + 3, n - 3);
        else if (bytes && !ended[op])
            feed(u, (int)op, data + 3, n - 3, piece);
        else if (op == OP_GAP && !ended[dir])
            nu_unseal_gap(u, (int)dir, size, NU_UNSEAL_GAP, 1);
        else if (op == OP_END && !ended[dir])
            nu_unseal_end(u, (int)dir, 1);
        ended[dir] = ended[dir] || op == OP_END;
        whole = whole && op != OP_GAP;
    }
    for (int dir = 0; dir < 2; dir++)
        if (!ended[dir])
            nu_unseal_end(u, dir, 1);
    nu_unseal_finish(u);
    return whole;
}

/* Every text is one. */
static void touch(const struct nu_unseal_facts *f, const struct nu_secrets *secrets)
{
    const char *texts[] = {f->sni ? f->sni : "",
                           f->cipher_name ? f->cipher_name : "",
                           f->server_subject ? f->server_subject : "",
                           nu_unseal_reason_str(f->reason),
                           nu_tls_version_str(f->version),
                           nu_tls_alert_str((uint8_t)f->alert[1])};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (const char *p = texts[i]; *p; p++)
            nu_assert(*p >= ' ' && *p < 0x7f);
    struct nu_secrets_figures figures = nu_secrets_figures(secrets);
    nu_assert(figures.randoms <= SECRETS && nu_secrets_memory(secrets) < 100000);
    nu_assert(strlen(nu_secret_str(NU_SECRET_MASTER)) > 0);
}

static struct told listen_to(const uint8_t *data, size_t len, size_t piece, bool *whole)
{
    struct told told = {.gaps = 0};
    struct nu_secrets *secrets = nu_secrets_new(SECRETS);
    struct nu_unseals *all = nu_unseals_new(secrets, 20000, 40000);
    size_t before = nu_unseals_memory(all);
    struct nu_unseal *u = nu_unseal_new(all, &handler, &told);
    *whole = run(u, secrets, data, len, piece);
    const struct nu_unseal_facts *facts = nu_unseal_facts(u);
    nu_assert(told.ends[0] == 1 && told.ends[1] == 1 && !nu_unseal_waits(u));
    nu_assert(facts->plain[0] == told.plain[0] && facts->plain[1] == told.plain[1]);
    nu_assert((facts->reason == NU_UNSEAL_OPEN || facts->reason == NU_UNSEAL_NO_DATA) ==
              (!told.closed[0] && !told.closed[1]));
    touch(facts, secrets);
    nu_unseal_free(u);
    nu_assert(nu_unseals_memory(all) == before);
    nu_unseals_free(all);
    nu_secrets_end(secrets);
    nu_secrets_free(secrets);
    return told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    bool whole;
    struct told once = listen_to(data, len, SIZE_MAX, &whole);
    struct told cut = listen_to(data, len, 1, &whole);
    for (int dir = 0; dir < 2; dir++)
        whole = whole && !once.closed[dir] && !cut.closed[dir];
    for (int dir = 0; dir < 2 && whole && !once.gaps && !cut.gaps; dir++)
        nu_assert(once.plain[dir] == cut.plain[dir] && once.sum[dir] == cut.sum[dir]);
    return 0;
}
