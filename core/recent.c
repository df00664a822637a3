/* The ring of recent errors of each shard; see recent.h. A worker's ring is behind a lock of its
 * own, which only a reader ever contends for. */
#include "core/recent.h"

#include "core/assert.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHARDS_MAX 1025 /* more than any program has */

struct line {
    int64_t at_ms; /* since the epoch */
    enum nu_recent kind;
    char *json;
};

struct ring {
    pthread_mutex_t lock;
    struct line line[NU_RECENT_MAX];
    size_t next; /* where the oldest is, or none yet */
    struct nu_logbuf buf;
};

static struct nu_arena *arena;
static struct nu_logfmt *formats[NU_RECENT_KINDS];
static struct ring *_Atomic rings[SHARDS_MAX];

const char *nu_recent_str(enum nu_recent kind)
{
    static const char *const names[] = {"connection", "request"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

void nu_recent_format(enum nu_recent kind, const struct nu_logfmt_field *fields, size_t count)
{
    const char *why = NULL;
    size_t bad;
    if (!arena)
        arena = nu_arena_new(4096);
    enum nu_err err = nu_logfmt_json(&formats[kind], arena, fields, count, &bad, &why);
    nu_assert(err == NU_OK);
}

static int64_t wall_clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct ring *ring_of(unsigned shard)
{
    nu_assert(shard < SHARDS_MAX);
    struct ring *ring = atomic_load_explicit(&rings[shard], memory_order_acquire);
    if (ring)
        return ring;
    ring = calloc(1, sizeof *ring);
    nu_assert(ring != NULL);
    pthread_mutex_init(&ring->lock, NULL);
    atomic_store_explicit(&rings[shard], ring, memory_order_release);
    return ring;
}

/* A storm of errors costs no more than a ring full of them a second. */
static bool too_many(const struct ring *ring, int64_t now_ms)
{
    const struct line *oldest = &ring->line[ring->next];
    return oldest->json && now_ms - oldest->at_ms >= 0 && now_ms - oldest->at_ms < 1000;
}

void nu_recent_add(enum nu_recent kind, unsigned shard, const void *subject)
{
    if (!formats[kind])
        return;
    struct ring *ring = ring_of(shard);
    int64_t now_ms = wall_clock_ms();
    if (too_many(ring, now_ms))
        return;
    nu_logfmt_write(formats[kind], &ring->buf, subject);
    char *json = strndup(ring->buf.data, ring->buf.len);
    nu_assert(json != NULL);
    pthread_mutex_lock(&ring->lock);
    struct line *line = &ring->line[ring->next];
    ring->next = (ring->next + 1) % NU_RECENT_MAX;
    free(line->json);
    *line = (struct line){now_ms, kind, json};
    pthread_mutex_unlock(&ring->lock);
}

/* --- reading --- */

static size_t copy_ring(struct ring *ring, struct line *out)
{
    size_t n = 0;
    pthread_mutex_lock(&ring->lock);
    for (size_t i = 0; i < NU_RECENT_MAX; i++) {
        const struct line *line = &ring->line[(ring->next + i) % NU_RECENT_MAX];
        if (!line->json)
            continue;
        out[n] = *line;
        out[n].json = strdup(line->json);
        nu_assert(out[n].json != NULL);
        n++;
    }
    pthread_mutex_unlock(&ring->lock);
    return n;
}

static int newest_first(const void *left, const void *right)
{
    const struct line *a = left, *b = right;
    return (a->at_ms < b->at_ms) - (a->at_ms > b->at_ms);
}

static struct line *copy_all(size_t *count)
{
    struct line *all = NULL;
    *count = 0;
    for (size_t shard = 0; shard < SHARDS_MAX; shard++) {
        struct ring *ring = atomic_load_explicit(&rings[shard], memory_order_acquire);
        if (!ring)
            continue;
        struct line *more = reallocarray(all, *count + NU_RECENT_MAX, sizeof *all);
        nu_assert(more != NULL);
        all = more;
        *count += copy_ring(ring, all + *count);
    }
    return all;
}

/* A line is an object and a newline; what is told of all kinds goes in front. */
static void print_line(FILE *out, const struct line *line)
{
    size_t len = strcspn(line->json + 1, "\n");
    fprintf(out, "{\"time\":%" PRId64 ",\"kind\":\"%s\",%.*s", line->at_ms,
            nu_recent_str(line->kind), (int)len, line->json + 1);
}

void nu_recent_print(FILE *out, size_t max)
{
    size_t count;
    struct line *all = copy_all(&count);
    if (count)
        qsort(all, count, sizeof *all, newest_first);
    fputc('[', out);
    for (size_t i = 0; i < count && i < max; i++) {
        fputs(i ? ",\n" : "", out);
        print_line(out, &all[i]);
    }
    fputc(']', out);
    for (size_t i = 0; i < count; i++)
        free(all[i].json);
    free(all);
}

void nu_recent_free(void)
{
    for (size_t shard = 0; shard < SHARDS_MAX; shard++) {
        struct ring *ring = atomic_exchange(&rings[shard], NULL);
        for (size_t i = 0; ring && i < NU_RECENT_MAX; i++)
            free(ring->line[i].json);
        if (ring)
            nu_logbuf_free(&ring->buf);
        free(ring);
    }
    nu_arena_free(arena);
    arena = NULL;
    memset(formats, 0, sizeof formats);
}
