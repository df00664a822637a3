/* OpenSSL's allocator, with short lists of record buffers and of crumbs for each thread; see
 * buffers.h.
 *
 * A connection gets one for each record that it reads or writes and gives it back behind it, so
 * that it has none while it is idle. Through malloc that is a fifth of what a small TLS request
 * costs in user space, and a heap whose top is trimmed and grown in turn. While it writes one it
 * asks four times for a few bytes, and gives them back at once. On any thread. */
#include "tls/buffers.h"

#include "core/assert.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

/* A record of 16 KiB with its head, tag and padding, and OpenSSL's room for alignment: it asks for
 * 16.3 to 16.7 KiB. One size serves all. */
#define BUFFER_LEAST 16384
#define BUFFER_BYTES 17408
#define BUFFER_SLACK 64 /* what malloc may give beyond that */
#define KEEP         4  /* one that is read into and one that is written, twice */
#define CRUMB_BYTES  40 /* the most that malloc gives in its smallest piece but one */
#define CRUMB_LESS   24 /* the most in the smallest: those live long, and are many */
#define KEEP_CRUMBS  8

struct kept {
    void *buffer[KEEP], *crumb[KEEP_CRUMBS];
    unsigned count, crumbs;
    bool told; /* of the thread's end */
};

static _Thread_local struct kept kept;
static pthread_key_t at_exit_key;

static void *get(size_t size, const char *file, int line)
{
    if (size <= CRUMB_BYTES && size > CRUMB_LESS)
        return kept.crumbs ? kept.crumb[--kept.crumbs] : malloc(CRUMB_BYTES);
    if (size <= BUFFER_LEAST || size > BUFFER_BYTES)
        return size ? malloc(size) : NULL;
    return kept.count ? kept.buffer[--kept.count] : malloc(BUFFER_BYTES);
}

static void keep(void **list, unsigned *count, void *p)
{
    if (!kept.told)
        kept.told = pthread_setspecific(at_exit_key, &kept) == 0;
    list[(*count)++] = p;
}

static void put(void *p, const char *file, int line)
{
    size_t bytes = p ? malloc_usable_size(p) : 0;
    if (bytes == CRUMB_BYTES && kept.crumbs < KEEP_CRUMBS)
        keep(kept.crumb, &kept.crumbs, p);
    else if (bytes - BUFFER_BYTES < BUFFER_SLACK && kept.count < KEEP)
        keep(kept.buffer, &kept.count, p);
    else
        free(p);
}

static void *resize(void *p, size_t size, const char *file, int line)
{
    if (size)
        return realloc(p, size);
    free(p);
    return NULL;
}

/* Of a thread that ends; what it frees even later has it called again. */
static void drop(void *arg)
{
    struct kept *mine = arg;
    mine->told = false;
    while (mine->count)
        free(mine->buffer[--mine->count]);
    while (mine->crumbs)
        free(mine->crumb[--mine->crumbs]);
}

bool nu_tls_buffers_install(void)
{
    if (CRYPTO_set_mem_functions(get, resize, put) != 1)
        return false;
    nu_assert(pthread_key_create(&at_exit_key, drop) == 0);
    return true;
}
