/* CA certificates and CRLs from files; see trust.h. Everything is read when it is loaded: nothing
 * is looked up in folders later, on a worker. Main thread. */
#include "tls/trust.h"

#include "core/assert.h"
#include "tls/cert.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FOLDER_FILES_MAX 4096 /* files read of a folder; Debian's /etc/ssl/certs has some 300 */

/* Being loaded. */
struct load {
    struct tls_trust *trust;
    STACK_OF(X509) * cas; /* borrowed by the store, too */
    STACK_OF(X509_CRL) * crls;
    EVP_MD_CTX *hash;
    struct tls_problem *problem;
};

static void hash_der(struct load *l, unsigned char *der, int len)
{
    if (len > 0)
        EVP_DigestUpdate(l->hash, der, (size_t)len);
    OPENSSL_free(der);
}

/* --- CAs --- */

/* Owns the certificate. The same one twice is one. */
static void add_ca(struct load *l, X509 *ca)
{
    unsigned char *der = NULL;
    int len = i2d_X509(ca, &der);
    hash_der(l, der, len);
    X509_STORE_add_cert(l->trust->store, ca);
    sk_X509_push(l->cas, ca);
}

/* All certificates of a PEM file; how many, or -1: told. */
static int read_cas(struct load *l, const char *path)
{
    X509 *ca;
    int count = 0;
    BIO *in = tls_file_open(path, "ca", l->problem);
    if (!in)
        return -1;
    ERR_clear_error();
    for (; (ca = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL)); count++)
        add_ca(l, ca);
    BIO_free(in);
    if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
        ERR_clear_error();
        return count;
    }
    tls_problem(l->problem, "ca", "certificate %d in %s cannot be parsed: %s", count + 1, path,
                tls_openssl_reason());
    return -1;
}

static bool has_ending(const char *name)
{
    static const char *const endings[] = {".pem", ".crt", ".cer"};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (len > 4 && strcmp(name + len - 4, endings[i]) == 0)
            return true;
    return false;
}

static int wanted(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && has_ending(entry->d_name);
}

/* Files that hold no certificate are passed over; those with a broken one are not. */
static bool read_folder(struct load *l, const char *path)
{
    struct dirent **entry;
    int n = scandir(path, &entry, wanted, alphasort);
    bool good =
        n >= 0 || tls_problem(l->problem, "ca", "%s cannot be read: %s", path, strerror(errno));
    if (n > FOLDER_FILES_MAX)
        good = tls_problem(l->problem, "ca", "%s has more than %d files", path, FOLDER_FILES_MAX);
    for (int i = 0; i < n; i++) {
        const char *file = nu_arena_printf(l->trust->loaded.arena, "%s/%s", path, entry[i]->d_name);
        if (good) {
            tls_loaded_add_path(&l->trust->loaded, file);
            good = read_cas(l, file) >= 0;
        }
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
    return good;
}

/* Where distributions keep all roots in one file; SSL_CERT_FILE names another one, as for every
 * program that uses OpenSSL. */
static const char *system_file(void)
{
    static const char *const files[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
                                        "/etc/ssl/ca-bundle.pem"};
    struct stat st;
    const char *given = getenv(X509_get_default_cert_file_env());
    if (given && *given)
        return given;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (stat(files[i], &st) == 0)
            return files[i];
    return NULL;
}

static bool load_cas(struct load *l)
{
    struct stat st;
    const char *path = l->trust->files.ca ? l->trust->files.ca : system_file();
    if (!path)
        return tls_problem(l->problem, "ca",
                           "the system has no trusted certificates (package ca-certificates): name "
                           "a \"ca\"");
    if (!l->trust->files.ca)
        tls_loaded_add_path(&l->trust->loaded, path);
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (folder ? !read_folder(l, path) : read_cas(l, path) < 0)
        return false;
    if (sk_X509_num(l->cas) > 0)
        return true;
    return tls_problem(l->problem, "ca", "there is no certificate in %s (PEM%s)", path,
                       folder ? ", files *.pem, *.crt, *.cer" : "");
}

/* Only where there are few: a client that is told none sends what it has. */
static void take_names(struct load *l)
{
    l->trust->ca_count = (unsigned)sk_X509_num(l->cas);
    if (!l->trust->files.ca || l->trust->ca_count > TLS_CA_NAMES_MAX)
        return;
    l->trust->names = sk_X509_NAME_new_null();
    for (unsigned i = 0; i < l->trust->ca_count; i++)
        sk_X509_NAME_push(l->trust->names,
                          X509_NAME_dup(X509_get_subject_name(sk_X509_value(l->cas, (int)i))));
}

static void check_dates(struct load *l)
{
    char subject[128];
    int64_t now = time(NULL);
    l->trust->not_after_s = INT64_MAX;
    if (!l->trust->files.ca) /* not the config's author's */
        return;
    for (int i = 0; i < sk_X509_num(l->cas); i++) {
        X509 *ca = sk_X509_value(l->cas, i);
        int64_t end = tls_time_s(X509_get0_notAfter(ca));
        if (end < l->trust->not_after_s)
            l->trust->not_after_s = end;
        if (end >= now)
            continue;
        tls_name_text(X509_get_subject_name(ca), subject, sizeof subject);
        tls_loaded_warn(&l->trust->loaded, "ca", "the certificate %s has expired", subject);
    }
}

/* --- CRLs --- */

static void add_crl(struct load *l, X509_CRL *crl)
{
    unsigned char *der = NULL;
    int len = i2d_X509_CRL(crl, &der);
    hash_der(l, der, len);
    X509_STORE_add_crl(l->trust->store, crl);
    sk_X509_CRL_push(l->crls, crl);
}

static bool read_crls(struct load *l, BIO *in)
{
    const char *path = l->trust->files.crl;
    X509_CRL *crl;
    ERR_clear_error();
    while ((crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)))
        add_crl(l, crl);
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return tls_problem(l->problem, "crl", "list %d in %s cannot be parsed: %s",
                           sk_X509_CRL_num(l->crls) + 1, path, tls_openssl_reason());
    ERR_clear_error();
    (void)BIO_reset(in);
    if (sk_X509_CRL_num(l->crls) == 0 && (crl = d2i_X509_CRL_bio(in, NULL)))
        add_crl(l, crl);
    ERR_clear_error();
    return sk_X509_CRL_num(l->crls) > 0 ||
           tls_problem(l->problem, "crl", "there is no certificate revocation list in %s", path);
}

/* Who of the CAs signed it. */
static X509 *issuer_of(const struct load *l, X509_CRL *crl)
{
    for (int i = 0; i < sk_X509_num(l->cas); i++) {
        X509 *ca = sk_X509_value(l->cas, i);
        if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) == 0 &&
            X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1)
            return ca;
    }
    return NULL;
}

/* An outdated list is no mistake in the config, but as long as it is there nobody of that CA gets
 * in. */
static void check_crl(struct load *l, X509_CRL *crl)
{
    char name[128];
    const ASN1_TIME *until = X509_CRL_get0_nextUpdate(crl);
    tls_name_text(X509_CRL_get_issuer(crl), name, sizeof name);
    if (until && tls_time_s(until) < (int64_t)time(NULL))
        tls_loaded_warn(&l->trust->loaded, "crl",
                        "the list of %s is outdated since %lld days: its certificates are refused",
                        name, (long long)((int64_t)time(NULL) - tls_time_s(until)) / 86400);
    if (!issuer_of(l, crl))
        tls_loaded_warn(&l->trust->loaded, "crl", "the list of %s is signed by no CA in \"ca\"",
                        name);
}

static bool load_crls(struct load *l)
{
    if (!l->trust->files.crl)
        return true;
    BIO *in = tls_file_open(l->trust->files.crl, "crl", l->problem);
    if (!in)
        return false;
    bool good = read_crls(l, in);
    BIO_free(in);
    l->trust->crl_count = (unsigned)sk_X509_CRL_num(l->crls);
    for (int i = 0; i < sk_X509_CRL_num(l->crls); i++)
        check_crl(l, sk_X509_CRL_value(l->crls, i));
    ERR_clear_error();
    return good;
}

/* --- all --- */

static bool load(struct tls_trust *trust, struct tls_problem *problem)
{
    struct load l = {trust, sk_X509_new_null(), sk_X509_CRL_new_null(), EVP_MD_CTX_new(), problem};
    trust->store = X509_STORE_new();
    nu_assert(trust->store && l.cas && l.crls && l.hash);
    nu_assert(EVP_DigestInit_ex(l.hash, EVP_sha256(), NULL) == 1);
    bool good = load_cas(&l) && load_crls(&l);
    if (good) {
        take_names(&l);
        check_dates(&l);
        EVP_DigestFinal_ex(l.hash, trust->digest, NULL);
    }
    sk_X509_pop_free(l.cas, X509_free);
    sk_X509_CRL_pop_free(l.crls, X509_CRL_free);
    EVP_MD_CTX_free(l.hash);
    ERR_clear_error();
    return good;
}

static void unload(struct tls_loaded *loaded)
{
    struct tls_trust *trust = (struct tls_trust *)loaded;
    X509_STORE_free(trust->store);
    sk_X509_NAME_pop_free(trust->names, X509_NAME_free);
}

struct tls_trust *tls_trust_get(const struct tls_trust_files *f, struct tls_problem *problem)
{
    const char *const paths[] = {f->ca, f->crl};
    struct tls_trust *trust = (struct tls_trust *)tls_loaded_find(TLS_LOADED_TRUST, paths, 2);
    if (trust)
        return trust;
    trust = (struct tls_trust *)tls_loaded_new(sizeof *trust, TLS_LOADED_TRUST, paths, 2, unload);
    struct nu_arena *arena = trust->loaded.arena;
    trust->files.ca = f->ca ? nu_arena_strdup(arena, f->ca) : NULL;
    trust->files.crl = f->crl ? nu_arena_strdup(arena, f->crl) : NULL;
    if (!load(trust, problem)) {
        tls_trust_put(trust);
        return NULL;
    }
    tls_loaded_publish(&trust->loaded);
    return trust;
}
