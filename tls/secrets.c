/* The table of secrets; see secrets.h. An entry exists while it has keys or somebody waits for
 * them; only those with keys are bounded here, those who wait are bounded by the connections. */
#include "tls/secrets.h"

#include "core/assert.h"
#include "core/table/hash.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 256u /* a power of two, doubled as entries come */

struct nu_secret_entry {
    struct nu_list age; /* of those with keys, the oldest first; else unlinked */
    struct nu_list fresh;
    struct nu_list waits;
    struct nu_secret_entry *next;
    bool busy; /* its waits are being called */
    uint8_t id[NU_SECRET_ID_BYTES];
    uint8_t len[NU_SECRET_KINDS];
    uint8_t bytes[NU_SECRET_KINDS][NU_SECRET_MAX_BYTES];
};

struct nu_secrets {
    struct nu_secret_entry **bucket;
    size_t buckets, count, max;
    struct nu_list by_age;
    struct nu_list fresh; /* entries that got keys, and whose waits are not called yet */
    struct nu_secrets_figures figures;
    size_t line_len;
    bool line_too_long;
    char line[NU_SECRETS_LINE_MAX];
};

static const char *const labels[] = {
    [NU_SECRET_MASTER] = "CLIENT_RANDOM",
    [NU_SECRET_PREMASTER] = "RSA",
    [NU_SECRET_CLIENT_EARLY] = "CLIENT_EARLY_TRAFFIC_SECRET",
    [NU_SECRET_CLIENT_HANDSHAKE] = "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    [NU_SECRET_SERVER_HANDSHAKE] = "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    [NU_SECRET_CLIENT_TRAFFIC] = "CLIENT_TRAFFIC_SECRET_0",
    [NU_SECRET_SERVER_TRAFFIC] = "SERVER_TRAFFIC_SECRET_0",
};

const char *nu_secret_str(enum nu_secret kind)
{
    return (unsigned)kind < NU_SECRET_KINDS ? labels[kind] : "?";
}

struct nu_secrets *nu_secrets_new(size_t max)
{
    struct nu_secrets *s = calloc(1, sizeof *s);
    nu_assert(s != NULL && max > 0);
    s->max = max;
    s->buckets = BUCKETS_FIRST;
    s->bucket = calloc(s->buckets, sizeof *s->bucket);
    nu_assert(s->bucket != NULL);
    nu_list_init(&s->by_age);
    nu_list_init(&s->fresh);
    return s;
}

void nu_secrets_free(struct nu_secrets *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->buckets; i++)
        for (struct nu_secret_entry *e = s->bucket[i], *next; e; e = next) {
            next = e->next;
            nu_assert(nu_list_empty(&e->waits));
            OPENSSL_cleanse(e, sizeof *e);
            free(e);
        }
    free(s->bucket);
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
}

/* --- the table --- */

static struct nu_secret_entry **slot_of(const struct nu_secrets *s, const uint8_t *id)
{
    return &s->bucket[nu_hash_bytes(id, NU_SECRET_ID_BYTES, false) & (s->buckets - 1)];
}

static struct nu_secret_entry *entry_of(const struct nu_secrets *s, const uint8_t *id)
{
    struct nu_secret_entry *e = *slot_of(s, id);
    while (e && memcmp(e->id, id, NU_SECRET_ID_BYTES) != 0)
        e = e->next;
    return e;
}

static void grow(struct nu_secrets *s)
{
    struct nu_secret_entry **old = s->bucket;
    size_t count = s->buckets;
    s->buckets *= 2;
    s->bucket = calloc(s->buckets, sizeof *s->bucket);
    nu_assert(s->bucket != NULL);
    for (size_t i = 0; i < count; i++)
        for (struct nu_secret_entry *e = old[i], *next; e; e = next) {
            next = e->next;
            e->next = *slot_of(s, e->id);
            *slot_of(s, e->id) = e;
        }
    free(old);
}

static struct nu_secret_entry *make_entry(struct nu_secrets *s, const uint8_t *id)
{
    struct nu_secret_entry *e = entry_of(s, id);
    if (e)
        return e;
    if (s->count >= s->buckets)
        grow(s);
    e = calloc(1, sizeof *e);
    nu_assert(e != NULL);
    memcpy(e->id, id, NU_SECRET_ID_BYTES);
    nu_list_init(&e->waits);
    e->next = *slot_of(s, id);
    *slot_of(s, id) = e;
    s->count++;
    return e;
}

/* Once nobody needs it. */
static void drop_entry(struct nu_secrets *s, struct nu_secret_entry *e)
{
    if (e->busy || nu_list_linked(&e->age) || !nu_list_empty(&e->waits))
        return;
    struct nu_secret_entry **at = slot_of(s, e->id);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    if (nu_list_linked(&e->fresh))
        nu_list_del(&e->fresh);
    s->count--;
    free(e);
}

static void evict_oldest(struct nu_secrets *s)
{
    struct nu_secret_entry *e = nu_container(s->by_age.next, struct nu_secret_entry, age);
    nu_list_del(&e->age);
    s->figures.randoms--;
    s->figures.evicted++;
    memset(e->len, 0, sizeof e->len);
    OPENSSL_cleanse(e->bytes, sizeof e->bytes);
    drop_entry(s, e);
}

static void put(struct nu_secrets *s, enum nu_secret kind, const uint8_t *id, const uint8_t *bytes,
                size_t len)
{
    struct nu_secret_entry *e = make_entry(s, id);
    memcpy(e->bytes[kind], bytes, len);
    e->len[kind] = (uint8_t)len;
    s->figures.keys++;
    if (!nu_list_linked(&e->age)) {
        nu_list_add_tail(&s->by_age, &e->age);
        if (++s->figures.randoms > s->max)
            evict_oldest(s);
    }
    if (!nu_list_empty(&e->waits) && !nu_list_linked(&e->fresh))
        nu_list_add_tail(&s->fresh, &e->fresh);
}

const uint8_t *nu_secrets_find(const struct nu_secrets *s, const uint8_t id[static 32],
                               enum nu_secret kind, size_t *len)
{
    const struct nu_secret_entry *e = entry_of(s, id);
    *len = e ? e->len[kind] : 0;
    return *len ? e->bytes[kind] : NULL;
}

struct nu_secrets_figures nu_secrets_figures(const struct nu_secrets *s)
{
    return s->figures;
}

size_t nu_secrets_memory(const struct nu_secrets *s)
{
    return sizeof *s + s->buckets * sizeof *s->bucket + s->count * sizeof(struct nu_secret_entry);
}

/* --- those who wait --- */

void nu_secrets_wait(struct nu_secrets *s, const uint8_t id[static 32],
                     struct nu_secrets_wait *wait)
{
    nu_secrets_unwait(s, wait);
    wait->entry = make_entry(s, id);
    nu_list_add_tail(&wait->entry->waits, &wait->node);
}

void nu_secrets_unwait(struct nu_secrets *s, struct nu_secrets_wait *wait)
{
    struct nu_secret_entry *e = wait->entry;
    if (!e)
        return;
    wait->entry = NULL;
    nu_list_del(&wait->node);
    drop_entry(s, e);
}

/* Each wait once, whoever comes and goes meanwhile. */
static void call_waits(struct nu_secrets *s, struct nu_secret_entry *e)
{
    struct nu_list due;
    e->busy = true;
    nu_list_take(&due, &e->waits);
    for (struct nu_list *node; (node = nu_list_pop(&due)) != NULL;) {
        struct nu_secrets_wait *wait = nu_container(node, struct nu_secrets_wait, node);
        nu_list_add_tail(&e->waits, node);
        wait->came(wait);
    }
    e->busy = false;
    drop_entry(s, e);
}

static void call_fresh(struct nu_secrets *s)
{
    for (struct nu_list *node; (node = nu_list_pop(&s->fresh)) != NULL;)
        call_waits(s, nu_container(node, struct nu_secret_entry, fresh));
}

/* --- lines --- */

struct word {
    const char *text;
    size_t len;
};

static struct word next_word(const char **at, const char *end)
{
    while (*at < end && (**at == ' ' || **at == '\t'))
        ++*at;
    struct word w = {*at, 0};
    while (*at < end && **at != ' ' && **at != '\t' && **at != '\r')
        ++*at;
    w.len = (size_t)(*at - w.text);
    return w;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)nu_fold((uint8_t)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hexadecimal digits, two a byte: how many bytes; 0: none, too many for `cap`, or other text. */
static size_t unhex(struct word w, uint8_t *out, size_t cap)
{
    if (w.len % 2 || w.len / 2 > cap)
        return 0;
    for (size_t i = 0; i < w.len / 2; i++) {
        int high = digit(w.text[2 * i]), low = digit(w.text[2 * i + 1]);
        if (high < 0 || low < 0)
            return 0;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return w.len / 2;
}

static int kind_of(struct word label)
{
    for (int i = 0; i < NU_SECRET_KINDS; i++)
        if (strlen(labels[i]) == label.len && memcmp(labels[i], label.text, label.len) == 0)
            return i;
    return NU_SECRET_KINDS;
}

static bool is_label(struct word label)
{
    for (size_t i = 0; i < label.len; i++)
        if (label.text[i] != '_' && (label.text[i] < 'A' || label.text[i] > 'Z') &&
            (label.text[i] < '0' || label.text[i] > '9'))
            return false;
    return true;
}

/* Secrets of TLS 1.3 are as long as the hash of their suite: 32 or 48 bytes. */
static bool lengths_fit(int kind, size_t id, size_t secret)
{
    if (kind == NU_SECRET_PREMASTER)
        return id == 8 && secret == 48;
    return id == NU_SECRET_ID_BYTES && (secret == 48 || (kind != NU_SECRET_MASTER && secret == 32));
}

static void take_line(struct nu_secrets *s, const char *text, size_t len)
{
    uint8_t id[NU_SECRET_ID_BYTES] = {0}, secret[NU_SECRET_MAX_BYTES];
    const char *at = text, *end = text + len;
    struct word label = next_word(&at, end);
    int kind = kind_of(label);
    if (label.len == 0 || label.text[0] == '#' || (kind == NU_SECRET_KINDS && is_label(label))) {
        s->figures.ignored++;
        return;
    }
    size_t id_len = unhex(next_word(&at, end), id, sizeof id);
    size_t secret_len = unhex(next_word(&at, end), secret, sizeof secret);
    if (kind < NU_SECRET_KINDS && lengths_fit(kind, id_len, secret_len))
        put(s, (enum nu_secret)kind, id, secret, secret_len);
    else
        s->figures.malformed++;
    OPENSSL_cleanse(secret, sizeof secret);
}

/* A line's part that has no end yet, or does not begin with its beginning. */
static void gather(struct nu_secrets *s, const char *text, size_t len)
{
    if (len > sizeof s->line - s->line_len) {
        s->line_too_long = true;
        return;
    }
    memcpy(s->line + s->line_len, text, len);
    s->line_len += len;
}

static void end_line(struct nu_secrets *s)
{
    if (s->line_too_long)
        s->figures.malformed++;
    else
        take_line(s, s->line, s->line_len);
    s->line_len = 0;
    s->line_too_long = false;
}

void nu_secrets_feed(struct nu_secrets *s, const void *text, size_t len)
{
    const char *at = text, *end = at + len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        gather(s, at, (size_t)((stop ? stop : end) - at));
        if (stop)
            end_line(s);
        at = stop ? stop + 1 : end;
    }
    call_fresh(s);
}

void nu_secrets_end(struct nu_secrets *s)
{
    if (s->line_len || s->line_too_long)
        end_line(s);
    call_fresh(s);
}
