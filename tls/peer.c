/* A certificate's subject, names, serial number and fingerprint in a form that logs and headers can
 * take. The bytes come from a peer, who may not even be verified. */
#include "tls/peer.h"

#include "core/assert.h"
#include "tls/cert.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define SERIAL_MAX 64 /* bytes of a serial number; RFC 5280 allows 20 */

static const char *hex(struct nu_arena *arena, const unsigned char *bytes, size_t len,
                       const char digits[static 16])
{
    char *text = nu_arena_alloc(arena, 2 * len + 1);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return text;
}

bool nu_tls_cert_sha256(const X509 *cert, unsigned char out[static 32])
{
    unsigned len = 0;
    return X509_digest(cert, EVP_sha256(), out, &len) == 1 && len == 32;
}

bool nu_tls_spki_sha256(const X509 *cert, unsigned char out[static 32])
{
    unsigned char *der = NULL;
    unsigned len = 0;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool good = n > 0 && EVP_Digest(der, (size_t)n, out, &len, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    return good && len == 32;
}

static const char *serial(const X509 *cert, struct nu_arena *arena)
{
    const ASN1_INTEGER *number = X509_get0_serialNumber(cert);
    int len = ASN1_STRING_length(number);
    return hex(arena, ASN1_STRING_get0_data(number),
               (size_t)(len < 0            ? 0
                        : len > SERIAL_MAX ? SERIAL_MAX
                                           : len),
               "0123456789ABCDEF");
}

static const char *name_text(X509_NAME *name, struct nu_arena *arena)
{
    char buf[NU_TLS_PEER_NAME_MAX];
    return nu_arena_strdup(arena, tls_name_text(name, buf, sizeof buf));
}

/* --- names --- */

/* Names of one kind, as far as there is room. */
struct list {
    char text[NU_TLS_PEER_NAMES_MAX];
    size_t len;
    bool full;
};

static bool is_plain(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != ',' && c != '\\';
}

static void add(struct list *list, const unsigned char *name, size_t len)
{
    size_t need = list->len > 0, room = sizeof list->text - sizeof ",...";
    for (size_t i = 0; i < len && need <= room; i++)
        need += is_plain(name[i]) ? 1 : 4;
    if (list->full)
        return;
    if (list->len + need > room) {
        list->full = true;
        list->len += (size_t)sprintf(list->text + list->len, list->len ? ",..." : "...");
        return;
    }
    if (list->len)
        list->text[list->len++] = ',';
    for (size_t i = 0; i < len; i++)
        if (is_plain(name[i]))
            list->text[list->len++] = (char)name[i];
        else
            list->len += (size_t)sprintf(list->text + list->len, "\\x%02x", name[i]);
}

static void add_ip(struct list *list, const ASN1_OCTET_STRING *ip)
{
    char text[INET6_ADDRSTRLEN];
    int len = ASN1_STRING_length(ip);
    if ((len == 4 || len == 16) &&
        inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof text))
        add(list, (unsigned char *)text, strlen(text));
}

static void add_string(struct list *list, const ASN1_STRING *name)
{
    int len = ASN1_STRING_length(name);
    if (len > 0)
        add(list, ASN1_STRING_get0_data(name), (size_t)len);
}

static const char *names_of(const GENERAL_NAMES *all, int type, struct nu_arena *arena)
{
    struct list list = {.len = 0};
    for (int i = 0; all && i < sk_GENERAL_NAME_num(all) && !list.full; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type == type && type == GEN_IPADD)
            add_ip(&list, name->d.iPAddress);
        else if (name->type == type)
            add_string(&list, name->d.ia5);
    }
    return nu_arena_strndup(arena, list.text, list.len);
}

struct nu_tls_peer *nu_tls_peer_new(const X509 *cert, bool verified, struct nu_arena *arena)
{
    struct nu_tls_peer *peer = nu_arena_alloc(arena, sizeof *peer);
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    unsigned char digest[32] = {0};
    nu_tls_cert_sha256(cert, digest);
    *peer = (struct nu_tls_peer){
        .subject = name_text(X509_get_subject_name(cert), arena),
        .issuer = name_text(X509_get_issuer_name(cert), arena),
        .serial = serial(cert, arena),
        .sha256 = hex(arena, digest, sizeof digest, "0123456789abcdef"),
        .dns = names_of(names, GEN_DNS, arena),
        .uri = names_of(names, GEN_URI, arena),
        .email = names_of(names, GEN_EMAIL, arena),
        .ip = names_of(names, GEN_IPADD, arena),
        .not_before_s = tls_time_s(X509_get0_notBefore(cert)),
        .not_after_s = tls_time_s(X509_get0_notAfter(cert)),
        .verified = verified,
    };
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return peer;
}

/* --- whole certificates --- */

/* What PEM is made of, safe in a header's value and in a URL. */
static const char *url_encoded(const char *text, size_t len, struct nu_arena *arena)
{
    size_t n = 0;
    char *out = nu_arena_alloc(arena, 3 * len + 1);
    for (size_t i = 0; i < len; i++)
        if (strchr("\n +/=", text[i]))
            n += (size_t)sprintf(out + n, "%%%02X", (unsigned)text[i]);
        else
            out[n++] = text[i];
    return out;
}

void nu_tls_peer_pem(struct nu_tls_peer *peer, X509 *cert, STACK_OF(X509) * chain,
                     struct nu_arena *arena)
{
    char *text;
    BIO *out = BIO_new(BIO_s_mem());
    nu_assert(out != NULL);
    bool good = PEM_write_bio_X509(out, cert) == 1;
    long leaf = BIO_get_mem_data(out, &text);
    if (good && leaf <= NU_TLS_PEER_PEM_MAX)
        peer->pem = url_encoded(text, (size_t)leaf, arena);
    for (int i = 0; good && i < sk_X509_num(chain); i++)
        if (X509_cmp(sk_X509_value(chain, i), cert) != 0)
            good = PEM_write_bio_X509(out, sk_X509_value(chain, i)) == 1;
    long all = BIO_get_mem_data(out, &text);
    if (good && all <= NU_TLS_PEER_PEM_MAX)
        peer->chain_pem = url_encoded(text, (size_t)all, arena);
    BIO_free(out);
    ERR_clear_error();
}
