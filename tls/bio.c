/* The BIO pair of a thread; see bio.h. */
#include "tls/bio.h"

#include "core/assert.h"

#include <pthread.h>
#include <string.h>

struct io {
    BIO *bio[2]; /* read, write */
    struct tls_wire *wire;
    struct nu_block_pool *pool;
    struct nu_block *out; /* filled up to `written` behind what is frozen; NULL = nothing yet */
    size_t written, expect;
};

static _Thread_local struct io io;
static BIO_METHOD *methods[2];
static pthread_key_t at_exit_key; /* frees a thread's pair */

static int bio_read(BIO *bio, char *buf, size_t len, size_t *got)
{
    struct tls_wire *wire = io.wire;
    nu_assert(wire != NULL);
    BIO_clear_retry_flags(bio);
    if (wire->in.len == 0 || wire->closed) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = len < wire->in.len ? len : wire->in.len;
    memcpy(buf, wire->in.data, *got);
    wire->in.data += *got;
    wire->in.len -= *got;
    return 1;
}

/* Room for `len` more bytes behind what is written; what does not fit moves to a larger block. */
static void make_room(size_t len)
{
    size_t want = io.written + len;
    if (io.out && nu_block_room(io.out) >= want)
        return;
    size_t least = io.out ? 2 * want : io.expect;
    least = least < NU_BLOCK_TINY ? NU_BLOCK_TINY : least;
    struct nu_block *b = nu_block_get(io.pool, want < least ? least : want);
    if (io.out) {
        memcpy(nu_block_tail(b), nu_block_tail(io.out), io.written);
        nu_block_unref(io.out);
    }
    io.out = b;
}

static int bio_write(BIO *bio, const char *buf, size_t len, size_t *put)
{
    nu_assert(io.wire != NULL);
    make_room(len);
    memcpy(nu_block_tail(io.out) + io.written, buf, len);
    io.written += len;
    *put = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    return cmd == BIO_CTRL_FLUSH;
}

static void free_pair(void *pair)
{
    BIO **bio = pair;
    BIO_free(bio[0]);
    BIO_free(bio[1]);
}

static void make_methods(void)
{
    static const char *const names[] = {"nuncio wire in", "nuncio wire out"};
    for (int i = 0; i < 2; i++) {
        methods[i] = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, names[i]);
        nu_assert(methods[i] != NULL);
        BIO_meth_set_ctrl(methods[i], bio_ctrl);
    }
    BIO_meth_set_read_ex(methods[0], bio_read);
    BIO_meth_set_write_ex(methods[1], bio_write);
    nu_assert(pthread_key_create(&at_exit_key, free_pair) == 0);
}

static void make_pair(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_methods);
    for (int i = 0; i < 2; i++) {
        io.bio[i] = BIO_new(methods[i]);
        nu_assert(io.bio[i] != NULL);
        BIO_set_init(io.bio[i], 1);
    }
    pthread_setspecific(at_exit_key, io.bio);
}

void tls_bio_attach(SSL *ssl)
{
    if (!io.bio[0])
        make_pair();
    BIO_up_ref(io.bio[0]);
    BIO_up_ref(io.bio[1]);
    SSL_set0_rbio(ssl, io.bio[0]);
    SSL_set0_wbio(ssl, io.bio[1]);
}

void tls_bio_begin(struct tls_wire *wire, struct nu_block_pool *pool, size_t expect)
{
    nu_assert(io.wire == NULL);
    io.wire = wire;
    io.pool = pool;
    io.expect = expect;
}

int tls_bio_error(const SSL *ssl, int answer)
{
    if (answer > 0)
        return SSL_ERROR_NONE;
    bool sound = !SSL_in_init(ssl); /* one that has failed is back there */
    if (sound && SSL_want_read(ssl))
        return SSL_ERROR_WANT_READ;
    if (sound && SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN)
        return SSL_ERROR_ZERO_RETURN;
    return SSL_get_error(ssl, answer);
}

struct nu_slice tls_bio_end(void)
{
    struct nu_slice s = {0};
    io.wire = NULL;
    if (io.out) {
        s = nu_block_freeze(io.out, io.written);
        nu_block_unref(io.out);
        io.out = NULL;
        io.written = 0;
    }
    return s;
}
