/* A worker's store of client sessions; see session.h. */
#include "tls/session.h"

#include "core/assert.h"
#include "core/list.h"
#include "core/table/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 256u

struct key {
    uint64_t serial; /* of the SSL_CTX */
    struct nu_addr addr;
    const char *name; /* "" = none was sent */
};

struct entry {
    struct nu_list bucket, age;
    uint64_t hash;
    struct key key;
    SSL_SESSION *session;
    char name[];
};

struct store {
    struct nu_list bucket[BUCKETS];
    struct nu_list age; /* the oldest first */
    unsigned count;
};

static _Thread_local struct store *store;
static pthread_key_t at_exit_key;
static int serial_index = -1; /* of SSL_CTX's ex data: its serial number */

static void entry_free(struct store *s, struct entry *e)
{
    nu_list_del(&e->bucket);
    if (nu_list_linked(&e->age))
        nu_list_del(&e->age);
    SSL_SESSION_free(e->session);
    free(e);
    s->count--;
}

static void store_free(void *arg)
{
    struct store *s = arg;
    struct nu_list *node;
    while ((node = nu_list_pop(&s->age)))
        entry_free(s, nu_container(node, struct entry, age));
    free(s);
}

static struct store *store_here(void)
{
    if (store)
        return store;
    store = malloc(sizeof *store);
    nu_assert(store != NULL);
    for (unsigned i = 0; i < BUCKETS; i++)
        nu_list_init(&store->bucket[i]);
    nu_list_init(&store->age);
    store->count = 0;
    pthread_setspecific(at_exit_key, store);
    return store;
}

/* False: nothing says which endpoint that is. */
static bool key_of(const struct nu_tls_conn *conn, struct key *key, uint64_t *hash)
{
    const struct nu_addr *addr = nu_facts_exchange(nu_chain_facts(conn->filter->chain))->upstream;
    const uint64_t *serial = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(conn->ssl), serial_index);
    const char *name = SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);
    if (!addr || !serial)
        return false;
    *key = (struct key){*serial, *addr, name ? name : ""};
    *hash = nu_hash_mix(nu_addr_hash(addr) ^ nu_hash_bytes(key->name, strlen(key->name), false)) +
            *serial;
    return true;
}

struct found {
    struct entry *oldest, *newest; /* NULL: none */
    unsigned count;
};

static struct found find(const struct store *s, const struct key *key, uint64_t hash)
{
    struct found found = {0};
    nu_list_each (node, &s->bucket[hash % BUCKETS]) {
        struct entry *e = nu_container(node, struct entry, bucket);
        if (e->hash != hash || e->key.serial != key->serial ||
            !nu_addr_equal(&e->key.addr, &key->addr) || strcmp(e->key.name, key->name) != 0)
            continue;
        found.oldest = found.oldest ? found.oldest : e;
        found.newest = e;
        found.count++;
    }
    return found;
}

static bool is_single_use(const SSL_SESSION *session)
{
    return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

/* OpenSSL's callback: a session to keep; 1 = its reference is ours. */
static int keep(SSL *ssl, SSL_SESSION *session)
{
    struct store *s = store_here();
    struct key key;
    uint64_t hash;
    if (!SSL_SESSION_is_resumable(session) || !key_of(nu_tls_conn_of(ssl), &key, &hash))
        return 0;
    struct found found = find(s, &key, hash);
    if (found.count >= (is_single_use(session) ? NU_TLS_SESSIONS_A_SERVER : 1))
        entry_free(s, found.oldest);
    if (s->count == NU_TLS_SESSIONS_MAX)
        entry_free(s, nu_container(s->age.next, struct entry, age));
    struct entry *e = malloc(sizeof *e + strlen(key.name) + 1);
    nu_assert(e != NULL);
    *e = (struct entry){.hash = hash, .key = key, .session = session};
    e->key.name = strcpy(e->name, key.name);
    nu_list_add_tail(&s->bucket[hash % BUCKETS], &e->bucket);
    nu_list_add_tail(&s->age, &e->age);
    s->count++;
    return 1;
}

/* What a session proves ends with the certificate that proved it. */
static bool still_good(const SSL_SESSION *session)
{
    const X509 *peer = SSL_SESSION_get0_peer((SSL_SESSION *)session);
    return SSL_SESSION_is_resumable(session) &&
           (!peer || X509_cmp_current_time(X509_get0_notAfter(peer)) > 0);
}

/* The newest first: a server that was replaced knows none of the older ones. */
void nu_tls_session_offer(struct nu_tls_conn *conn)
{
    struct store *s = store_here();
    struct key key;
    uint64_t hash;
    struct entry *e = key_of(conn, &key, &hash) ? find(s, &key, hash).newest : NULL;
    if (!e)
        return;
    bool good = still_good(e->session);
    if (good)
        SSL_set_session(conn->ssl, e->session);
    if (!good || is_single_use(e->session)) {
        entry_free(s, e);
        return;
    }
    nu_list_del(&e->age);
    nu_list_add_tail(&s->age, &e->age);
}

static void serial_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                        void *argp)
{
    free(ptr);
}

static void make_indexes(void)
{
    serial_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, serial_free);
    nu_assert(serial_index >= 0 && pthread_key_create(&at_exit_key, store_free) == 0);
}

void nu_tls_sessions_setup(SSL_CTX *ctx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static uint64_t last; /* main thread */
    pthread_once(&once, make_indexes);
    uint64_t *serial = malloc(sizeof *serial);
    nu_assert(serial != NULL);
    *serial = ++last;
    SSL_CTX_set_ex_data(ctx, serial_index, serial);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep);
}
