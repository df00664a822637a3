/* What was loaded from files: certificates (cert.h) and trust (trust.h). One object for all who
 * name the same files, as long as the files stay the same.
 *
 * Made on the main thread; immutable afterwards, but for `stale`. Whoever refers to one holds a
 * reference and may drop it on any thread. Inside of tls/. */
#ifndef NU_TLS_LOADED_H
#define NU_TLS_LOADED_H

#include "core/arena.h"
#include "tls/file.h"

#define TLS_WARNINGS_MAX 8 /* of one object: each check has at most one or two */

enum tls_loaded_kind { TLS_LOADED_CERT, TLS_LOADED_TRUST };

struct tls_loaded {
    struct nu_arena *arena; /* it lives in */
    enum tls_loaded_kind kind;
    unsigned refs;     /* under the lock of loaded.c */
    const char *id;    /* kind and files as written */
    bool stale;        /* main: a file has changed; who asks for these files gets a new object */
    const char **path; /* all that was read, absolute */
    struct tls_stamp *stamp;
    unsigned path_count;
    struct tls_problem *warning; /* good enough to be used, worth a word; NULL: none */
    unsigned warning_count;
    void (*unload)(struct tls_loaded *loaded); /* frees what is not of the arena */
};

/* An object in an arena of its own, with one reference, `size` bytes, for these files (NULLs are
 * left out). The caller loads it, then publishes or puts it. Main thread, as the next four. */
struct tls_loaded *tls_loaded_new(size_t size, enum tls_loaded_kind kind, const char *const *files,
                                  unsigned count, void (*unload)(struct tls_loaded *));
/* The object of these files (NULLs included) with one more reference; NULL: there is none, or the
 * files have changed. */
struct tls_loaded *tls_loaded_find(enum tls_loaded_kind kind, const char *const *files,
                                   unsigned count);
/* From now on it is found. */
void tls_loaded_publish(struct tls_loaded *loaded);
/* One more file that it depends on; before it is read. */
void tls_loaded_add_path(struct tls_loaded *loaded, const char *path);
void tls_loaded_warn(struct tls_loaded *loaded, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Makes those stale that were read from the path. Main thread, as the next two. */
void tls_loaded_changed(const char *path);
/* Looks at the files again; false, and stale from then on: one has changed. */
bool tls_loaded_check(struct tls_loaded *loaded);
/* Calls fn for each that is published and alive. */
void tls_loaded_each(void (*fn)(struct tls_loaded *loaded, void *ctx), void *ctx);

/* Any thread. */
struct tls_loaded *tls_loaded_ref(struct tls_loaded *loaded);
/* NULL is fine. */
void tls_loaded_put(struct tls_loaded *loaded);

#endif
