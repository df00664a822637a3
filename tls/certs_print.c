/* What is loaded, for people: the certificates of all contexts, and when the first one ends. Main
 * thread. */
#include "core/assert.h"
#include "core/escape.h"
#include "core/worker.h"
#include "tls/context_priv.h"
#include "tls/peer.h"

#include <string.h>
#include <time.h>

#define DAY_S 86400

static int64_t days_until(int64_t then_s)
{
    int64_t left = then_s - (int64_t)time(NULL);
    return left < 0 ? 0 : left / DAY_S;
}

/* --- the first that ends --- */

static void first_cert(struct tls_loaded *loaded, void *ctx)
{
    int64_t *first_s = ctx, end_s = INT64_MAX;
    if (loaded->kind == TLS_LOADED_CERT)
        end_s = ((struct tls_cert *)loaded)->not_after_s;
    else
        end_s = ((struct tls_trust *)loaded)->not_after_s;
    if (end_s < *first_s)
        *first_s = end_s;
}

int64_t nu_tls_days_until_expiry(void)
{
    int64_t first_s = INT64_MAX;
    tls_loaded_each(first_cert, &first_s);
    return first_s == INT64_MAX ? INT64_MAX : days_until(first_s);
}

/* --- the list --- */

struct print {
    FILE *out;
    const char *comma; /* before the next item */
};

static void put_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
            fprintf(out, "\\u%04x", (unsigned char)*text);
        else
            fputc(*text, out);
    fputc('"', out);
}

/* A list of names as nu_tls_peer has it, which escapes commas inside of names. */
static void put_names(struct print *p, const char *kind, const char *names)
{
    while (*names) {
        char name[NU_TLS_PEER_NAMES_MAX];
        size_t len = strcspn(names, ",");
        snprintf(name, sizeof name, "%.*s", (int)len, names);
        fprintf(p->out, "%s{\"%s\": ", p->comma, kind);
        put_string(p->out, name);
        fputs("}", p->out);
        p->comma = ", ";
        names += len + (names[len] == ',');
    }
}

static void put_time(FILE *out, const char *key, int64_t when_s)
{
    struct tm tm;
    time_t t = (time_t)when_s;
    char text[32] = "";
    if (gmtime_r(&t, &tm))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    fprintf(out, ", \"%s\": \"%s\"", key, text);
}

static void put_cert(FILE *out, const char *path, const X509 *cert)
{
    struct nu_arena *scratch = nu_arena_new(4096);
    const struct nu_tls_peer *peer = nu_tls_peer_new(cert, false, scratch);
    struct print names = {out, ""};
    fputs("{\"path\": ", out);
    put_string(out, path);
    fputs(", \"subject\": ", out);
    put_string(out, peer->subject);
    fprintf(out, ", \"serial_number\": \"%s\", \"subject_alt_names\": [", peer->serial);
    put_names(&names, "dns", peer->dns);
    put_names(&names, "uri", peer->uri);
    put_names(&names, "email", peer->email);
    put_names(&names, "ip_address", peer->ip);
    fprintf(out, "], \"days_until_expiration\": \"%lld\"",
            (long long)days_until(peer->not_after_s));
    put_time(out, "valid_from", peer->not_before_s);
    put_time(out, "expiration_time", peer->not_after_s);
    fputs("}", out);
    nu_arena_free(scratch);
}

static void put_own(struct print *p, const struct tls_cert *cert)
{
    const char *path = cert->files.cert ? cert->files.cert : cert->files.pkcs12;
    fprintf(p->out, "%s  {\"ca_cert\": [], \"cert_chain\": [", p->comma);
    put_cert(p->out, path, cert->leaf);
    for (int i = 0; i < sk_X509_num(cert->chain); i++) {
        fputs(",\n    ", p->out);
        put_cert(p->out, path, sk_X509_value(cert->chain, i));
    }
    fputs("]}", p->out);
    p->comma = ",\n";
}

/* Those of the system are its own matter. */
static void put_trust(struct print *p, const struct tls_trust *trust)
{
    if (!trust->files.ca)
        return;
    STACK_OF(X509) *cas = X509_STORE_get1_all_certs(trust->store);
    fprintf(p->out, "%s  {\"ca_cert\": [", p->comma);
    for (int i = 0; cas && i < sk_X509_num(cas); i++) {
        fputs(i ? ",\n    " : "", p->out);
        put_cert(p->out, trust->files.ca, sk_X509_value(cas, i));
    }
    fputs("], \"cert_chain\": []}", p->out);
    sk_X509_pop_free(cas, X509_free);
    p->comma = ",\n";
}

static void put_loaded(struct tls_loaded *loaded, void *ctx)
{
    if (loaded->kind == TLS_LOADED_CERT)
        put_own(ctx, (struct tls_cert *)loaded);
    else
        put_trust(ctx, (struct tls_trust *)loaded);
}

void nu_tls_certs_print(FILE *out)
{
    struct print p = {out, ""};
    fputs("{\"certificates\": [\n", out);
    tls_loaded_each(put_loaded, &p);
    fputs("\n]}\n", out);
}
