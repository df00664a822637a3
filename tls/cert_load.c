/* Certificates from PEM and PKCS#12 files: read, matched with their key, looked through for what
 * clients would stumble over; see cert.h. Main thread. */
#include "core/assert.h"
#include "core/table/domain.h"
#include "tls/cert.h"
#include "tls/params.h"

#include <ctype.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CHAIN_MAX      16           /* certificates behind the leaf: the largest record is 16 KiB */
#define NAMES_MAX      4096         /* DNS names of a certificate; public CAs stop at 100 or 1000 */
#define PASSPHRASE_MAX 1024         /* bytes, as OpenSSL's own limit (PEM_BUFSIZE) */
#define SOON_S         (14 * 86400) /* so shortly before its end a certificate is worth a word */

/* --- passphrase --- */

struct passphrase {
    char text[PASSPHRASE_MAX + 1];
    bool given, asked;
};

/* The file's first line. */
static bool read_passphrase(const struct tls_cert *cert, struct passphrase *out,
                            struct tls_problem *problem)
{
    *out = (struct passphrase){.given = cert->files.passphrase != NULL};
    if (!out->given)
        return true;
    BIO *in = tls_file_open(cert->files.passphrase, "passphrase_file", problem);
    if (!in)
        return false;
    int n = BIO_read(in, out->text, PASSPHRASE_MAX);
    BIO_free(in);
    out->text[n > 0 ? n : 0] = 0;
    out->text[strcspn(out->text, "\r\n")] = 0;
    if (*out->text)
        return true;
    return tls_problem(problem, "passphrase_file",
                       "%s begins with an empty line, expected a "
                       "passphrase",
                       cert->files.passphrase);
}

static int on_passphrase(char *buf, int size, int rwflag, void *ctx)
{
    struct passphrase *p = ctx;
    size_t len = strlen(p->text);
    p->asked = true;
    if (!p->given || (int)len > size)
        return -1;
    memcpy(buf, p->text, len);
    return (int)len;
}

/* --- PEM --- */

/* A PKCS#8 key, not encrypted. The decoder is kept: to make one takes OpenSSL 3.0 ten times as long
 * as to use it, and a config may name ten thousand keys. NULL: it is none. */
static EVP_PKEY *decode_key(const unsigned char *der, size_t len)
{
    static EVP_PKEY *key;
    static OSSL_DECODER_CTX *decoder;
    if (!decoder)
        decoder = OSSL_DECODER_CTX_new_for_pkey(&key, "DER", "PrivateKeyInfo", NULL,
                                                EVP_PKEY_KEYPAIR, NULL, NULL);
    nu_assert(decoder != NULL);
    key = NULL;
    if (OSSL_DECODER_from_data(decoder, &der, &len) != 1)
        return NULL;
    return key;
}

static bool no_pem(const char *path, const char *key, const char *what, BIO *in,
                   struct tls_problem *problem)
{
    unsigned char first = 0;
    unsigned long error = ERR_peek_last_error();
    bool none = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    const char *reason = tls_openssl_reason();
    (void)BIO_reset(in);
    if (none && BIO_read(in, &first, 1) == 1 && first == 0x30)
        return tls_problem(problem, key, "%s is DER, expected PEM", path);
    if (none)
        return tls_problem(problem, key, "there is no %s in %s (PEM)", what, path);
    return tls_problem(problem, key, "%s cannot be parsed: %s", path, reason);
}

/* The rest of the file's certificates; the end of the file is the error that ends them. */
static bool read_chain(struct tls_cert *cert, BIO *in, struct tls_problem *problem)
{
    X509 *next;
    while ((next = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
        sk_X509_push(cert->chain, next);
        if (sk_X509_num(cert->chain) > CHAIN_MAX)
            return tls_problem(problem, "cert", "%s holds more than %d certificates",
                               cert->files.cert, CHAIN_MAX + 1);
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
        ERR_clear_error();
        return true;
    }
    return tls_problem(problem, "cert", "certificate %d in %s cannot be parsed: %s",
                       sk_X509_num(cert->chain) + 2, cert->files.cert, tls_openssl_reason());
}

static bool read_certificates(struct tls_cert *cert, struct tls_problem *problem)
{
    BIO *in = tls_file_open(cert->files.cert, "cert", problem);
    if (!in)
        return false;
    ERR_clear_error();
    cert->leaf = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL);
    bool good = cert->leaf ? read_chain(cert, in, problem)
                           : no_pem(cert->files.cert, "cert", "certificate", in, problem);
    BIO_free(in);
    return good;
}

/* Whether a block of the file is a private key, and in the form that programs write today; goes
 * back to the first byte. */
static bool find_key(BIO *in, EVP_PKEY **plain)
{
    char *name, *header;
    unsigned char *data;
    long len;
    bool found = false;
    while (!found && PEM_read_bio(in, &name, &header, &data, &len) == 1) {
        size_t end = strlen(name), tail = strlen("PRIVATE KEY");
        found = end >= tail && strcmp(name + end - tail, "PRIVATE KEY") == 0;
        if (found && end == tail)
            *plain = decode_key(data, (size_t)len);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, (size_t)len);
    }
    ERR_clear_error();
    (void)BIO_reset(in);
    return found;
}

static bool bad_key(const struct tls_cert *cert, const char *path, const char *key,
                    const struct passphrase *pass, struct tls_problem *problem)
{
    const char *reason = tls_openssl_reason();
    if (pass->asked && !pass->given)
        return tls_problem(problem, key, "the key in %s is encrypted: name a \"passphrase_file\"",
                           path);
    if (pass->asked)
        return tls_problem(problem, "passphrase_file",
                           "the passphrase in %s does not open the key in %s",
                           cert->files.passphrase, path);
    return tls_problem(problem, key, "the key in %s cannot be parsed: %s", path, reason);
}

static bool read_key(struct tls_cert *cert, struct passphrase *pass, struct tls_problem *problem)
{
    const char *key = cert->files.key ? "key" : "cert";
    const char *path = cert->files.key ? cert->files.key : cert->files.cert;
    BIO *in = tls_file_open(path, key, problem);
    if (!in)
        return false;
    bool good = find_key(in, &cert->key);
    if (!good)
        tls_problem(problem, key, "there is no private key in %s (PEM)", path);
    if (good && !cert->key)
        cert->key = PEM_read_bio_PrivateKey(in, NULL, on_passphrase, pass);
    if (good && !cert->key)
        good = bad_key(cert, path, key, pass, problem);
    BIO_free(in);
    return good;
}

/* --- PKCS#12 --- */

/* None at all and an empty one are two things in PKCS#12; without a MAC only reading tells. */
static bool opens(PKCS12 *p12, const char *text)
{
    return !PKCS12_mac_present(p12) || PKCS12_verify_mac(p12, text, text ? -1 : 0) ||
           (!text && PKCS12_verify_mac(p12, "", 0));
}

/* RC2 and single DES, what others wrote by default until 2021; OpenSSL 3 has them no more. */
static const char *pkcs12_reason(void)
{
    bool old = ERR_GET_REASON(ERR_peek_error()) == ERR_R_UNSUPPORTED;
    const char *reason = tls_openssl_reason();
    return old ? "its encryption is outdated, export it anew (openssl pkcs12 -legacy reads it)"
               : reason;
}

static bool parse_pkcs12(struct tls_cert *cert, PKCS12 *p12, const struct passphrase *pass,
                         struct tls_problem *problem)
{
    const char *path = cert->files.pkcs12;
    const char *text = pass->given ? pass->text : NULL;
    STACK_OF(X509) *others = NULL;
    if (!opens(p12, text)) {
        ERR_clear_error();
        return pass->given ? tls_problem(problem, "passphrase_file",
                                         "the passphrase in %s does not open %s",
                                         cert->files.passphrase, path)
                           : tls_problem(problem, "pkcs12",
                                         "%s has a passphrase: name a \"passphrase_file\"", path);
    }
    if (!PKCS12_parse(p12, text, &cert->key, &cert->leaf, &others))
        return tls_problem(problem, "pkcs12", "%s cannot be read: %s", path, pkcs12_reason());
    while (others && sk_X509_num(others) > 0)
        sk_X509_push(cert->chain, sk_X509_shift(others));
    sk_X509_free(others);
    if (!cert->leaf || !cert->key)
        return tls_problem(problem, "pkcs12", "there is no certificate with its key in %s", path);
    return true;
}

static bool is_pem(BIO *in)
{
    char begin[] = "-----BEGIN ";
    char head[sizeof begin - 1];
    (void)BIO_reset(in);
    return BIO_read(in, head, sizeof head) == sizeof head && memcmp(head, begin, sizeof head) == 0;
}

static bool read_pkcs12(struct tls_cert *cert, struct passphrase *pass, struct tls_problem *problem)
{
    BIO *in = tls_file_open(cert->files.pkcs12, "pkcs12", problem);
    if (!in)
        return false;
    ERR_clear_error();
    PKCS12 *p12 = d2i_PKCS12_bio(in, NULL);
    bool pem = !p12 && is_pem(in);
    BIO_free(in);
    if (pem)
        return tls_problem(problem, "pkcs12", "%s is PEM, expected PKCS#12: name it in \"cert\"",
                           cert->files.pkcs12);
    if (!p12)
        return tls_problem(problem, "pkcs12", "%s is no PKCS#12 file: %s", cert->files.pkcs12,
                           tls_openssl_reason());
    bool good = parse_pkcs12(cert, p12, pass, problem);
    PKCS12_free(p12);
    return good;
}

/* --- what clients would stumble over --- */

/* Number of the certificate in the file that has the key's other half; 0 = none. */
static int owner_of_key(const struct tls_cert *cert)
{
    if (X509_check_private_key(cert->leaf, cert->key) == 1)
        return 1;
    for (int i = 0; i < sk_X509_num(cert->chain); i++)
        if (X509_check_private_key(sk_X509_value(cert->chain, i), cert->key) == 1)
            return i + 2;
    return 0;
}

static bool check_pair(const struct tls_cert *cert, struct tls_problem *problem)
{
    int owner = owner_of_key(cert);
    const char *key = cert->files.key ? "key" : cert->files.cert ? "cert" : "pkcs12";
    ERR_clear_error();
    if (owner == 1)
        return true;
    if (owner > 1)
        return tls_problem(problem, "cert",
                           "the key belongs to certificate %d in %s; the one with the key has to "
                           "be the first",
                           owner, cert->files.cert);
    if (cert->files.key)
        return tls_problem(problem, key, "the key in %s does not belong to the certificate in %s",
                           cert->files.key, cert->files.cert);
    return tls_problem(problem, key, "key and certificate in %s do not belong together",
                       cert->files.cert ? cert->files.cert : cert->files.pkcs12);
}

/* What OpenSSL would refuse in a handshake: short keys, signatures by SHA-1. */
static bool check_strength(const struct tls_cert *cert, struct tls_problem *problem)
{
    static SSL_CTX *ctx;
    if (!ctx) {
        ctx = SSL_CTX_new(TLS_method());
        nu_assert(ctx != NULL);
        SSL_CTX_set_security_level(ctx, TLS_SECURITY_LEVEL);
    }
    SSL *probe = SSL_new(ctx);
    nu_assert(probe != NULL);
    bool good = SSL_use_cert_and_key(probe, cert->leaf, cert->key, cert->chain, 1) == 1;
    SSL_free(probe);
    if (good)
        return true;
    return tls_problem(problem, cert->files.cert ? "cert" : "pkcs12",
                       "the certificate in %s "
                       "cannot be used: %s",
                       cert->files.cert ? cert->files.cert : cert->files.pkcs12,
                       tls_openssl_reason());
}

static void check_order(struct tls_cert *cert)
{
    char subject[128], other[128];
    X509 *below = cert->leaf;
    for (int i = 0; i < sk_X509_num(cert->chain); i++) {
        X509 *issuer = sk_X509_value(cert->chain, i);
        if (X509_check_issued(issuer, below) != X509_V_OK) {
            tls_loaded_warn(&cert->loaded, "cert",
                            "certificate %d in the chain (%s) did not issue the one "
                            "before it (%s): clients may not find their way",
                            i + 2, tls_subject(issuer, subject, sizeof subject),
                            tls_subject(below, other, sizeof other));
            return;
        }
        below = issuer;
    }
}

/* A CA in between that ends earlier takes the certificate with it. */
static void check_chain_dates(struct tls_cert *cert)
{
    char subject[128];
    int64_t now = time(NULL);
    for (int i = 0; i < sk_X509_num(cert->chain); i++) {
        X509 *ca = sk_X509_value(cert->chain, i);
        int64_t end = tls_time_s(X509_get0_notAfter(ca));
        if (X509_check_issued(ca, ca) == X509_V_OK) /* a root, which clients have or have not */
            continue;
        if (end < cert->not_after_s)
            cert->not_after_s = end;
        if (end <= now)
            tls_loaded_warn(&cert->loaded, cert->files.cert ? "cert" : "pkcs12",
                            "certificate %d in the chain, %s, expired %lld days ago", i + 2,
                            tls_subject(ca, subject, sizeof subject),
                            (long long)(now - end) / 86400);
    }
}

static void check_dates(struct tls_cert *cert)
{
    char subject[128];
    const char *key = cert->files.cert ? "cert" : "pkcs12";
    int64_t now = time(NULL), start = tls_time_s(X509_get0_notBefore(cert->leaf));
    cert->not_after_s = tls_time_s(X509_get0_notAfter(cert->leaf));
    tls_subject(cert->leaf, subject, sizeof subject);
    if (cert->not_after_s <= now)
        tls_loaded_warn(&cert->loaded, key, "the certificate %s expired %lld days ago", subject,
                        (long long)(now - cert->not_after_s) / 86400);
    else if (cert->not_after_s - now < SOON_S)
        tls_loaded_warn(&cert->loaded, key, "the certificate %s expires in %lld days", subject,
                        (long long)(cert->not_after_s - now) / 86400);
    if (start > now)
        tls_loaded_warn(&cert->loaded, key,
                        "the certificate %s is not valid before %lld days from now", subject,
                        (long long)(start - now + 86399) / 86400);
    check_chain_dates(cert);
}

/* --- names --- */

/* Only what a host name may be; whatever else a certificate says is never asked for by SNI. */
static void add_name(struct tls_cert *cert, const unsigned char *text, int len)
{
    const char *why;
    if (len <= 0 || cert->name_count == NAMES_MAX ||
        nu_domain_check((const char *)text, (size_t)len, &why) != NU_OK)
        return;
    char *name = nu_arena_strndup(cert->loaded.arena, (const char *)text, (size_t)len);
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    cert->names[cert->name_count++] = name;
}

static void add_common_name(struct tls_cert *cert)
{
    unsigned char *text = NULL;
    const X509_NAME *subject = X509_get_subject_name(cert->leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return;
    ASN1_STRING *cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    int len = ASN1_STRING_to_UTF8(&text, cn);
    add_name(cert, text, len);
    OPENSSL_free(text);
}

static void read_names(struct tls_cert *cert)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(cert->leaf, NID_subject_alt_name, NULL, NULL);
    int count = all ? sk_GENERAL_NAME_num(all) : 0;
    cert->names = nu_arena_alloc(cert->loaded.arena, (size_t)(count + 1) * sizeof *cert->names);
    for (int i = 0; i < count; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type == GEN_DNS)
            add_name(cert, ASN1_STRING_get0_data(name->d.dNSName),
                     ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(all);
    if (cert->name_count == 0)
        add_common_name(cert);
    ERR_clear_error();
}

/* --- all --- */

static bool read_files(struct tls_cert *cert, struct tls_problem *problem)
{
    struct passphrase pass;
    bool good = read_passphrase(cert, &pass, problem);
    if (good && cert->files.pkcs12)
        good = read_pkcs12(cert, &pass, problem);
    else if (good)
        good = read_certificates(cert, problem) && read_key(cert, &pass, problem);
    OPENSSL_cleanse(&pass, sizeof pass);
    return good;
}

static bool load(struct tls_cert *cert, struct tls_problem *problem)
{
    cert->chain = sk_X509_new_null();
    nu_assert(cert->chain != NULL);
    if (!read_files(cert, problem) || !check_pair(cert, problem) || !check_strength(cert, problem))
        return false;
    check_order(cert);
    check_dates(cert);
    read_names(cert);
    return !cert->files.ocsp || tls_ocsp_load(cert, problem);
}

static void unload(struct tls_loaded *loaded)
{
    struct tls_cert *cert = (struct tls_cert *)loaded;
    X509_free(cert->leaf);
    EVP_PKEY_free(cert->key);
    sk_X509_pop_free(cert->chain, X509_free);
}

static const char *copy(struct nu_arena *arena, const char *text)
{
    return text ? nu_arena_strdup(arena, text) : NULL;
}

struct tls_cert *tls_cert_get(const struct tls_cert_files *f, struct tls_problem *problem)
{
    const char *const paths[] = {f->cert, f->key, f->pkcs12, f->passphrase, f->ocsp};
    unsigned count = sizeof paths / sizeof *paths;
    struct tls_cert *cert = (struct tls_cert *)tls_loaded_find(TLS_LOADED_CERT, paths, count);
    if (cert)
        return cert;
    cert = (struct tls_cert *)tls_loaded_new(sizeof *cert, TLS_LOADED_CERT, paths, count, unload);
    struct nu_arena *arena = cert->loaded.arena;
    cert->files =
        (struct tls_cert_files){copy(arena, f->cert), copy(arena, f->key), copy(arena, f->pkcs12),
                                copy(arena, f->passphrase), copy(arena, f->ocsp)};
    if (!load(cert, problem)) {
        tls_cert_put(cert);
        return NULL;
    }
    tls_loaded_publish(&cert->loaded);
    return cert;
}
