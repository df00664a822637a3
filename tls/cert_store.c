/* The certificates in use by the process, by the files they came from; see cert.h. */
#include "tls/cert.h"

#include "core/assert.h"
#include "core/table/strmap.h"

#include <pthread.h>
#include <string.h>

#define ARENA_FIRST 1024 /* bytes: paths and a few names */

/* The lock is for references, which workers drop, and for the map, which the last one leaves. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nu_strmap *certs; /* id -> the newest of these files */

static const char *paths(const struct tls_cert_files *files, int i)
{
    const char *const path[TLS_CERT_FILES] = {files->cert, files->key, files->pkcs12,
                                              files->passphrase, files->ocsp};
    return path[i];
}

/* No path has a newline in it that a config could write without meaning it. */
static const char *make_id(const struct tls_cert_files *files, struct nu_arena *arena)
{
    const char *id = "";
    for (int i = 0; i < TLS_CERT_FILES; i++)
        id = nu_arena_printf(arena, "%s\n%s", id, paths(files, i) ? paths(files, i) : "");
    return id;
}

static void destroy(struct tls_cert *cert)
{
    tls_cert_unload(cert);
    nu_arena_free(cert->arena);
}

struct tls_cert *tls_cert_ref(struct tls_cert *cert)
{
    pthread_mutex_lock(&lock);
    cert->refs++;
    pthread_mutex_unlock(&lock);
    return cert;
}

void tls_cert_put(struct tls_cert *cert)
{
    if (!cert)
        return;
    pthread_mutex_lock(&lock);
    bool last = --cert->refs == 0;
    if (last && certs && nu_strmap_get_str(certs, cert->id) == cert)
        nu_strmap_del(certs, cert->id, strlen(cert->id));
    if (last && certs && nu_strmap_count(certs) == 0) {
        nu_strmap_free(certs);
        certs = NULL;
    }
    pthread_mutex_unlock(&lock);
    if (last)
        destroy(cert);
}

static bool unchanged(const struct tls_cert *cert)
{
    for (int i = 0; i < TLS_CERT_FILES; i++) {
        struct tls_stamp now = tls_stamp_of(paths(&cert->files, i));
        if (!tls_stamp_same(&now, &cert->stamp[i]))
            return false;
    }
    return true;
}

static struct tls_cert *find(const char *id)
{
    pthread_mutex_lock(&lock);
    struct tls_cert *cert = certs ? nu_strmap_get_str(certs, id) : NULL;
    if (cert)
        cert->refs++;
    pthread_mutex_unlock(&lock);
    return cert;
}

static void publish(struct tls_cert *cert)
{
    pthread_mutex_lock(&lock);
    if (!certs)
        certs = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    nu_strmap_put_str(certs, cert->id, cert);
    pthread_mutex_unlock(&lock);
}

static const char *copy(struct nu_arena *arena, const char *text)
{
    return text ? nu_arena_strdup(arena, text) : NULL;
}

static struct tls_cert *load(const struct tls_cert_files *files, const char *id,
                             struct tls_problem *problem)
{
    struct nu_arena *arena = nu_arena_new(ARENA_FIRST);
    struct tls_cert *cert = nu_arena_alloc(arena, sizeof *cert);
    cert->arena = arena;
    cert->refs = 1;
    cert->id = nu_arena_strdup(arena, id);
    cert->files = (struct tls_cert_files){copy(arena, files->cert), copy(arena, files->key),
                                          copy(arena, files->pkcs12),
                                          copy(arena, files->passphrase), copy(arena, files->ocsp)};
    for (int i = 0; i < TLS_CERT_FILES; i++) /* before reading: a change meanwhile is noticed */
        cert->stamp[i] = tls_stamp_of(paths(files, i));
    if (!tls_cert_load(cert, problem)) {
        destroy(cert);
        return NULL;
    }
    publish(cert);
    return cert;
}

struct tls_cert *tls_cert_get(const struct tls_cert_files *files, struct tls_problem *problem)
{
    struct nu_arena *scratch = nu_arena_new(1024);
    const char *id = make_id(files, scratch);
    struct tls_cert *cert = find(id);
    if (cert && (cert->stale || !unchanged(cert))) {
        tls_cert_put(cert);
        cert = NULL;
    }
    if (!cert)
        cert = load(files, id, problem);
    nu_arena_free(scratch);
    return cert;
}

void tls_cert_each(void (*fn)(struct tls_cert *cert, void *ctx), void *ctx)
{
    struct nu_strmap_iter it = {0};
    pthread_mutex_lock(&lock);
    while (certs && nu_strmap_next(certs, &it))
        fn(it.value, ctx);
    pthread_mutex_unlock(&lock);
}

static void note_change(struct tls_cert *cert, void *ctx)
{
    for (int i = 0; i < TLS_CERT_FILES; i++)
        if (paths(&cert->files, i) && strcmp(paths(&cert->files, i), ctx) == 0)
            cert->stale = true;
}

void tls_cert_changed(const char *path)
{
    tls_cert_each(note_change, (void *)path);
}
