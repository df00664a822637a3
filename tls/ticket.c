/* Sets of ticket keys and what OpenSSL asks of them; see ticket.h. Workers read a set under its
 * lock, for as long as it takes to copy one key. */
#include "tls/ticket.h"

#include "core/assert.h"
#include "core/list.h"
#include "tls/file.h"
#include "tls/ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROTATE_MS   (4 * 3600 * 1000) /* the defaults of the schema, in figures */
#define LIFETIME_MS (8 * 3600 * 1000)
#define FILE_MAX    (16u * 1024) /* bytes: far more than keys that fit in a set */

struct slot {
    struct nu_ticket_key key;
    int64_t until_ms; /* opens until then; INT64_MAX: as long as it is in the set */
};

struct nu_tls_tickets {
    struct nu_list link;
    unsigned refs;
    char *name;
    char **path;
    size_t path_count;
    pthread_rwlock_t lock; /* of what follows */
    int64_t rotate_ms, lifetime_ms, made_ms;
    struct slot slot[NU_TLS_TICKET_KEYS_MAX]; /* the first one seals */
    unsigned count;
};

static struct nu_list all = {&all, &all}; /* main thread */
static _Atomic int64_t advanced_ms;
static int set_index = -1;     /* of SSL_CTX's ex data */
static EVP_CIPHER *ciphers[2]; /* short keys, long keys: fetching them for each ticket is dear */

void nu_tls_tickets_advance(int64_t ms)
{
    advanced_ms += ms;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now); /* keys age while the machine sleeps */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + advanced_ms;
}

/* --- the keys of a set --- */

/* A new key to seal; the one before opens for as long as its tickets may live. Locked. */
static bool rotate(struct nu_tls_tickets *t, int64_t now)
{
    struct slot fresh = {.key.half = sizeof fresh.key.aes, .until_ms = INT64_MAX};
    if (RAND_bytes(fresh.key.name, sizeof fresh.key.name) != 1 ||
        RAND_priv_bytes(fresh.key.hmac, sizeof fresh.key.hmac) != 1 ||
        RAND_priv_bytes(fresh.key.aes, sizeof fresh.key.aes) != 1)
        return false;
    if (t->count)
        t->slot[0].until_ms = now + t->lifetime_ms;
    while (t->count && t->slot[t->count - 1].until_ms <= now)
        t->count--;
    if (t->count == NU_TLS_TICKET_KEYS_MAX)
        t->count--;
    memmove(t->slot + 1, t->slot, t->count * sizeof *t->slot);
    t->slot[0] = fresh;
    t->count++;
    OPENSSL_cleanse(t->slot + t->count, (NU_TLS_TICKET_KEYS_MAX - t->count) * sizeof *t->slot);
    OPENSSL_cleanse(&fresh, sizeof fresh);
    t->made_ms = now;
    return true;
}

static bool too_old(const struct nu_tls_tickets *t, int64_t now)
{
    return t->count == 0 ||
           (!t->path_count && t->rotate_ms > 0 && now - t->made_ms >= t->rotate_ms);
}

/* A copy of the key that seals; false: there is none. */
static bool sealing_key(struct nu_tls_tickets *t, struct nu_ticket_key *key)
{
    int64_t now = now_ms();
    pthread_rwlock_rdlock(&t->lock);
    if (too_old(t, now) && !t->path_count) {
        pthread_rwlock_unlock(&t->lock);
        pthread_rwlock_wrlock(&t->lock);
        if (too_old(t, now))
            rotate(t, now);
    }
    bool found = t->count > 0;
    if (found)
        *key = t->slot[0].key;
    pthread_rwlock_unlock(&t->lock);
    return found;
}

static bool opening_key(struct nu_tls_tickets *t, const unsigned char *name,
                        struct nu_ticket_key *key, bool *newest)
{
    bool found = false;
    int64_t now = now_ms();
    pthread_rwlock_rdlock(&t->lock);
    for (unsigned i = 0; i < t->count && !found; i++) {
        if (memcmp(t->slot[i].key.name, name, sizeof key->name) != 0 || t->slot[i].until_ms <= now)
            continue;
        *key = t->slot[i].key;
        *newest = i == 0 && !too_old(t, now);
        found = true;
    }
    pthread_rwlock_unlock(&t->lock);
    return found;
}

/* --- key files --- */

static bool complain(char *why, size_t len, const char *path, const char *what)
{
    snprintf(why, len, "%s: %s", path, what);
    return false;
}

static bool read_file(const char *path, struct nu_ticket_key *out, unsigned most, unsigned *count,
                      unsigned *seal, char *why, size_t len)
{
    struct tls_problem problem;
    uint8_t text[FILE_MAX];
    const char *what;
    BIO *bio = tls_file_open(path, "keys", &problem);
    if (!bio) {
        snprintf(why, len, "%s", problem.text);
        return false;
    }
    int n = BIO_read(bio, text, sizeof text);
    bool more = n == sizeof text;
    BIO_free(bio);
    if (more)
        return complain(why, len, path, "too large for ticket keys");
    enum nu_err err =
        nu_ticket_keys_parse(text, n > 0 ? (size_t)n : 0, out, most, count, seal, &what);
    OPENSSL_cleanse(text, sizeof text);
    return err == NU_OK || complain(why, len, path, what);
}

/* The first file's sealing key comes first. */
static bool read_files(const struct nu_tls_tickets *t, struct nu_ticket_key *key, unsigned *count,
                       char *why, size_t len)
{
    *count = 0;
    for (size_t i = 0; i < t->path_count; i++) {
        unsigned n, seal;
        if (!read_file(t->path[i], key + *count, NU_TLS_TICKET_KEYS_MAX - *count, &n, &seal, why,
                       len))
            return false;
        if (i == 0) {
            struct nu_ticket_key first = key[0];
            key[0] = key[seal];
            key[seal] = first;
        }
        *count += n;
    }
    return true;
}

bool nu_tls_tickets_load(struct nu_tls_tickets *t, char *why, size_t len)
{
    struct nu_ticket_key key[NU_TLS_TICKET_KEYS_MAX];
    unsigned count;
    if (t->path_count == 0)
        return true;
    bool good = read_files(t, key, &count, why, len);
    if (good) {
        pthread_rwlock_wrlock(&t->lock);
        for (t->count = 0; t->count < count; t->count++)
            t->slot[t->count] = (struct slot){key[t->count], INT64_MAX};
        pthread_rwlock_unlock(&t->lock);
    }
    OPENSSL_cleanse(key, sizeof key);
    return good;
}

/* --- sets --- */

static void set_paths(struct nu_tls_tickets *t, const struct nu_vec *keys)
{
    const char *const *path = keys ? keys->items : NULL;
    size_t count = keys ? keys->count : 0;
    char **copy = calloc(count + 1, sizeof *copy);
    nu_assert(copy != NULL);
    for (size_t i = 0; i < count; i++)
        nu_assert((copy[i] = strdup(path[i])) != NULL);
    for (size_t i = 0; i < t->path_count; i++)
        free(t->path[i]);
    free(t->path);
    t->path = copy;
    t->path_count = count;
}

static struct nu_tls_tickets *find(const char *name)
{
    nu_list_each (node, &all) {
        struct nu_tls_tickets *t = nu_container(node, struct nu_tls_tickets, link);
        if (strcmp(t->name, name) == 0)
            return t;
    }
    return NULL;
}

static struct nu_tls_tickets *make(const char *name)
{
    struct nu_tls_tickets *t = calloc(1, sizeof *t);
    nu_assert(t != NULL && (t->name = strdup(name)) != NULL);
    nu_assert(pthread_rwlock_init(&t->lock, NULL) == 0);
    nu_list_add_tail(&all, &t->link);
    return t;
}

struct nu_tls_tickets *nu_tls_tickets_get(const char *name, const struct nu_tls_ticket_conf *conf)
{
    struct nu_tls_tickets *t = find(name);
    t = t ? t : make(name);
    t->refs++;
    pthread_rwlock_wrlock(&t->lock);
    bool files = conf && conf->keys.count;
    if (files != (t->path_count > 0)) /* random keys are none of the files', and the reverse */
        t->count = 0;
    set_paths(t, conf ? &conf->keys : NULL);
    t->rotate_ms = conf ? conf->rotate_ms : ROTATE_MS;
    t->lifetime_ms = conf ? conf->lifetime_ms : LIFETIME_MS;
    pthread_rwlock_unlock(&t->lock);
    return t;
}

void nu_tls_tickets_put(struct nu_tls_tickets *t)
{
    if (!t || --t->refs)
        return;
    nu_list_del(&t->link);
    set_paths(t, NULL);
    free(t->path);
    free(t->name);
    pthread_rwlock_destroy(&t->lock);
    OPENSSL_cleanse(t, sizeof *t);
    free(t);
}

/* --- what OpenSSL asks --- */

static bool set_hmac(EVP_MAC_CTX *mac, struct nu_ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac, key->half),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* Answers: 1 fine, 2 fine and to be replaced, 0 none to be had, -1 broken. */
static int seal(struct nu_tls_tickets *set, unsigned char *name, unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct nu_ticket_key key;
    if (!sealing_key(set, &key))
        return 0;
    memcpy(name, key.name, sizeof key.name);
    bool good = RAND_bytes(iv, EVP_CIPHER_get_iv_length(ciphers[0])) == 1 &&
                EVP_EncryptInit_ex(cipher, ciphers[key.half == 32], NULL, key.aes, iv) == 1 &&
                set_hmac(mac, &key);
    OPENSSL_cleanse(&key, sizeof key);
    return good ? 1 : -1;
}

static int unseal(SSL *ssl, struct nu_tls_tickets *set, const unsigned char *name,
                  const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct nu_ticket_key key;
    bool newest;
    if (!opening_key(set, name, &key, &newest))
        return 0;
    bool good = EVP_DecryptInit_ex(cipher, ciphers[key.half == 32], NULL, key.aes, iv) == 1 &&
                set_hmac(mac, &key);
    OPENSSL_cleanse(&key, sizeof key);
    if (!good)
        return -1;
    return newest && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2; /* in 1.3 each is used once */
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    struct nu_tls_tickets *set = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), set_index);
    if (!set)
        return 0;
    return sealing ? seal(set, name, iv, cipher, mac) : unseal(ssl, set, name, iv, cipher, mac);
}

static void make_ready(void)
{
    set_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    ciphers[0] = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
    ciphers[1] = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    nu_assert(set_index >= 0 && ciphers[0] && ciphers[1]);
}

void nu_tls_tickets_setup(SSL_CTX *ctx, struct nu_tls_tickets *tickets)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_ready);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, tickets ? 1 : 0);
    if (!tickets) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return;
    }
    SSL_CTX_set_ex_data(ctx, set_index, tickets);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    SSL_CTX_set_timeout(ctx, (long)(tickets->lifetime_ms / 1000));
}

/* --- config --- */

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    const struct nu_tls_ticket_conf *c = out;
    if (c->rotate_ms > 0 && c->lifetime_ms / c->rotate_ms > NU_TLS_TICKET_KEYS_MAX - 3) {
        nu_conf_error(conf, node, "\"lifetime\" may be at most %d times as long as \"rotate\"",
                      NU_TLS_TICKET_KEYS_MAX - 3);
        return NU_ERR_CONFIG;
    }
    return NU_OK;
}

static const struct nu_field fields[] = {
    {.key = "keys",
     .type = NU_FILE,
     .flags = NU_LIST,
     .offset = offsetof(struct nu_tls_ticket_conf, keys),
     .doc = "Files with keys that machines share, in the form of nginx or HAProxy (80 or 48 bytes, "
            "raw or in Base64); the first one seals, all open. Watched. By default keys are made "
            "at random."},
    {.key = "rotate",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_tls_ticket_conf, rotate_ms),
     .fallback = "4h",
     .doc = "How long a random key seals tickets; 0 = for ever."},
    {.key = "lifetime",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_tls_ticket_conf, lifetime_ms),
     .fallback = "8h",
     .min = 1000,
     .max = INT64_C(7) * 24 * 3600 * 1000, /* RFC 8446 4.6.1 */
     .doc = "How long a ticket can be used; keys open for that long after they have sealed."},
    {0               }
};

const struct nu_schema nu_tls_ticket_schema = {
    .name = "tickets",
    .doc = "Session tickets, by which clients resume with any worker and after a reload.",
    .size = sizeof(struct nu_tls_ticket_conf),
    .fields = fields,
    .scalar = "keys",
    .check = check,
};
