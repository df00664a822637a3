/* OpenSSL's record buffers: kept by the thread that gave them back, a few, and nothing else. */
#include "tls/buffers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>

/* What OpenSSL 3.0 asks for: to read a record, to write one. */
#define READ_BYTES  16712
#define WRITE_BYTES 16584

static void test_a_buffer_serves_again_in_either_size(void **state)
{
    void *p = OPENSSL_malloc(READ_BYTES);
    memset(p, 1, READ_BYTES);
    OPENSSL_free(p);
    void *q = OPENSSL_malloc(WRITE_BYTES), *other = OPENSSL_malloc(READ_BYTES);
    assert_ptr_equal(q, p);
    assert_ptr_not_equal(other, p);
    memset(other, 2, READ_BYTES);
    OPENSSL_free(q);
    OPENSSL_free(other);
}

static void test_crumbs_are_kept_too(void **state)
{
    void *p = OPENSSL_malloc(40);
    OPENSSL_free(p);
    void *other = malloc(40); /* whoever asks malloc itself does not get it */
    assert_ptr_not_equal(other, p);
    void *q = OPENSSL_zalloc(25);
    assert_ptr_equal(q, p);
    OPENSSL_free(q);
    free(other);
    p = OPENSSL_malloc(24); /* these stay what they are */
    assert_true(malloc_usable_size(p) < 40);
    OPENSSL_free(p);
}

static void test_all_fit(void **state)
{
    for (size_t size = 16000; size < 18000; size++) {
        uint8_t *p = OPENSSL_malloc(size);
        assert_true(malloc_usable_size(p) >= size);
        p[size - 1] = 1;
        OPENSSL_free(p);
    }
}

static void test_a_few_are_kept(void **state)
{
    void *p[20], *q[20];
    struct mallinfo2 before, after;
    for (int i = 0; i < 20; i++)
        p[i] = OPENSSL_malloc(READ_BYTES);
    before = mallinfo2();
    for (int i = 0; i < 20; i++)
        OPENSSL_free(p[i]);
    after = mallinfo2();
    for (int i = 0; i < 20; i++)
        q[i] = OPENSSL_malloc(READ_BYTES);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(q[i], p[3 - i]);
    if (before.uordblks) /* a sanitizer's malloc tells nothing */
        assert_true(before.uordblks - after.uordblks > 15 * READ_BYTES);
    for (int i = 0; i < 20; i++)
        OPENSSL_free(q[i]);
}

static void test_it_grows_and_shrinks(void **state)
{
    char *p = OPENSSL_malloc(100);
    strcpy(p, "word");
    p = OPENSSL_realloc(p, READ_BYTES);
    assert_string_equal(p, "word");
    p = OPENSSL_realloc(p, 50);
    assert_string_equal(p, "word");
    assert_null(OPENSSL_realloc(p, 0));
    assert_null(OPENSSL_malloc(0));
    OPENSSL_free(NULL);
}

static void *use_there(void *arg)
{
    void *p[8];
    for (int i = 0; i < 8; i++)
        p[i] = OPENSSL_malloc(READ_BYTES);
    for (int i = 0; i < 8; i++)
        OPENSSL_free(p[i]);
    return OPENSSL_malloc(WRITE_BYTES); /* freed elsewhere */
}

/* Leaks are LeakSanitizer's to find. */
static void test_a_thread_takes_its_buffers_along(void **state)
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *p;
        assert_int_equal(pthread_create(&thread, NULL, use_there, NULL), 0);
        assert_int_equal(pthread_join(thread, &p), 0);
        OPENSSL_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_buffer_serves_again_in_either_size),
        cmocka_unit_test(test_crumbs_are_kept_too),
        cmocka_unit_test(test_all_fit),
        cmocka_unit_test(test_a_few_are_kept),
        cmocka_unit_test(test_it_grows_and_shrinks),
        cmocka_unit_test(test_a_thread_takes_its_buffers_along),
    };
    return nu_tls_buffers_install() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
