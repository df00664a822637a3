/* What an onlooker tells of a handshake, as text that logs can take. All of it is the peers' word:
 * nothing but printable ASCII comes out, and no more than so much. */
#include "protocols/tls/ja3.h"
#include "protocols/tls/ja4.h"
#include "tls/cert.h"
#include "tls/peer.h"
#include "tls/unseal_priv.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define ARENA_FIRST_BYTES 512 /* names of most handshakes */
#define SNI_FRONT         5   /* of server_name: list's length, type, name's length */

const char *nu_unseal_reason_str(enum nu_unseal_reason reason)
{
    static const char *const text[] = {
        [NU_UNSEAL_OPEN] = "open",
        [NU_UNSEAL_NO_DATA] = "no data",
        [NU_UNSEAL_NO_KEYS] = "no keys",
        [NU_UNSEAL_WRONG_KEYS] = "wrong keys",
        [NU_UNSEAL_GAP] = "gap",
        [NU_UNSEAL_SNAP_LENGTH] = "snap length",
        [NU_UNSEAL_MISSED_START] = "missed start",
        [NU_UNSEAL_VERSION_UNKNOWN] = "version unknown",
        [NU_UNSEAL_CIPHER_UNKNOWN] = "cipher unknown",
        [NU_UNSEAL_RC4] = "RC4 is not read",
        [NU_UNSEAL_NOT_SEALED] = "cipher without encryption",
        [NU_UNSEAL_COMPRESSED] = "compression is not read",
        [NU_UNSEAL_BAD_RECORD] = "bad record",
        [NU_UNSEAL_MEMORY] = "memory",
    };
    return (unsigned)reason < NU_UNSEAL_REASONS ? text[reason] : "?";
}

const char *nu_tls_version_str(uint16_t version)
{
    static const char *const text[] = {"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    return version >= 0x0300 && version <= 0x0304 ? text[version - 0x0300] : "?";
}

/* RFC 8446 6, 5246 7.2 and their extensions. */
const char *nu_tls_alert_str(uint8_t code)
{
    static const char *const text[256] = {
        [0] = "close_notify",
        [10] = "unexpected_message",
        [20] = "bad_record_mac",
        [21] = "decryption_failed",
        [22] = "record_overflow",
        [30] = "decompression_failure",
        [40] = "handshake_failure",
        [41] = "no_certificate",
        [42] = "bad_certificate",
        [43] = "unsupported_certificate",
        [44] = "certificate_revoked",
        [45] = "certificate_expired",
        [46] = "certificate_unknown",
        [47] = "illegal_parameter",
        [48] = "unknown_ca",
        [49] = "access_denied",
        [50] = "decode_error",
        [51] = "decrypt_error",
        [60] = "export_restriction",
        [70] = "protocol_version",
        [71] = "insufficient_security",
        [80] = "internal_error",
        [86] = "inappropriate_fallback",
        [90] = "user_canceled",
        [100] = "no_renegotiation",
        [109] = "missing_extension",
        [110] = "unsupported_extension",
        [111] = "certificate_unobtainable",
        [112] = "unrecognized_name",
        [113] = "bad_certificate_status_response",
        [114] = "bad_certificate_hash_value",
        [115] = "unknown_psk_identity",
        [116] = "certificate_required",
        [120] = "no_application_protocol",
        [121] = "ech_required",
    };
    return text[code] ? text[code] : "?";
}

/* --- text --- */

static struct nu_arena *arena_of(struct nu_unseal *u)
{
    if (!u->arena)
        u->arena = nu_arena_new(ARENA_FIRST_BYTES);
    return u->arena;
}

static void count_arena(struct nu_unseal *u)
{
    size_t now = nu_arena_bytes(u->arena);
    u->all->memory += now - u->arena_bytes;
    u->arena_bytes = now;
}

/* Of at most 255 bytes: both kinds of names have their length in one. */
static const char *printable(struct nu_unseal *u, const uint8_t *bytes, size_t len)
{
    char text[4 * 255 + 1], *out = text;
    for (size_t i = 0; i < len && i < 255; i++)
        if (bytes[i] > ' ' && bytes[i] < 0x7f && bytes[i] != '\\' && bytes[i] != '"')
            *out++ = (char)bytes[i];
        else
            out += sprintf(out, "\\x%02x", bytes[i]);
    *out = 0;
    const char *kept = nu_arena_strdup(arena_of(u), text);
    count_arena(u);
    return kept;
}

/* --- hellos --- */

/* A name that is an address is against RFC 6066 3, which sniffers mind and readers do not. */
static const char *address_name(struct nu_unseal *u, const struct nu_client_hello *ch)
{
    struct nu_hello_ext ext;
    for (unsigned at = 0; nu_hello_ext_next(ch, &at, &ext);)
        if (ext.type == 0 && ext.body.len > SNI_FRONT)
            return printable(u, nu_hello_bytes(ch, ext.body) + SNI_FRONT,
                             ext.body.len - (size_t)SNI_FRONT);
    return NULL;
}

void unseal_fact_hello(struct nu_unseal *u, const uint8_t *message, size_t len)
{
    struct nu_client_hello ch;
    struct nu_hello_span name;
    unsigned at = 0;
    nu_client_hello_init(&ch);
    if (nu_client_hello_message(&ch, message, len) == NU_OK) {
        if (ch.sni.len)
            u->facts.sni = printable(u, nu_hello_bytes(&ch, ch.sni), ch.sni.len);
        else if (ch.sni_is_ip)
            u->facts.sni = address_name(u, &ch);
        while (u->facts.alpn_count < NU_UNSEAL_ALPN_MAX && nu_hello_alpn_next(&ch, &at, &name))
            u->facts.alpn[u->facts.alpn_count++] =
                printable(u, nu_hello_bytes(&ch, name), name.len);
        nu_ja3(&ch, u->facts.ja3);
        nu_ja4(&ch, NU_JA4_TCP, u->facts.ja4);
    }
    nu_client_hello_free(&ch);
}

/* The server's list holds one name (RFC 7301 3.1). */
void unseal_fact_chosen(struct nu_unseal *u, const uint8_t *extension, size_t len)
{
    if (len >= 4 && extension[2] == len - 3 && !u->facts.alpn_chosen)
        u->facts.alpn_chosen = printable(u, extension + 3, len - 3);
}

void unseal_fact_cipher(struct nu_unseal *u, uint16_t code)
{
    const struct unseal_suite *suite = unseal_suite(code);
    const struct unseal_unread *unread = unseal_unread(code);
    u->facts.cipher = code;
    u->facts.cipher_name = suite    ? suite->name
                           : unread ? unread->name
                                    : nu_arena_printf(arena_of(u), "0x%04x", (unsigned)code);
    if (u->arena)
        count_arena(u);
}

/* --- certificates --- */

static size_t u24(const uint8_t *p)
{
    return (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
}

static const char *subject(struct nu_unseal *u, const uint8_t *der, size_t len)
{
    char text[NU_TLS_PEER_NAME_MAX];
    X509 *cert = d2i_X509(NULL, &der, (long)len);
    const char *kept = NULL;
    if (cert) {
        kept = nu_arena_strdup(arena_of(u), tls_subject(cert, text, sizeof text));
        count_arena(u);
    }
    X509_free(cert);
    ERR_clear_error();
    return kept;
}

/* Of the first, the peer's own (RFC 5246 7.4.2; in 8446 4.4.2 a context stands in front). */
void unseal_fact_certificate(struct nu_unseal *u, int dir, const uint8_t *body, size_t len)
{
    const char **fact = dir == UNSEAL_CLIENT ? &u->facts.client_subject : &u->facts.server_subject;
    size_t front = 0;
    if (u->facts.version == UNSEAL_TLS13)
        front = len ? 1u + body[0] : 1;
    if (*fact || len < front + 6)
        return;
    size_t size = u24(body + front + 3);
    if (size <= len - front - 6)
        *fact = subject(u, body + front + 6, size);
}
