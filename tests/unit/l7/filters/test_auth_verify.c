/* The thread that compares passwords, with real workers: answers come on the loop that asked, what
 * is cancelled never comes, and no more wait than may. */
#include "l7/filters/auth_verify.h"

#include "core/assert.h"
#include "core/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HASH "$2y$04$SPM3sssdK2Hz82XuFHLT5eBaKrDnHo1QsmhMu.f4EBTxRYalSmAtS"
#define MANY 8

struct question {
    struct nu_worker *worker;
    bool right;
    const char *word;
};

static struct question questions[2 * MANY];
static _Atomic unsigned left, wrong;

static void stop(struct nu_worker *w, void *arg)
{
    nu_worker_stop(w);
}

static void answered(void *ctx, bool same)
{
    const struct question *q = ctx;
    wrong += same != q->right || !pthread_equal(pthread_self(), q->worker->thread);
    if (--left == 0)
        nu_worker_post(nu_worker_main(), stop, NULL);
}

static void never(void *ctx, bool same)
{
    wrong++;
}

static void ask(struct nu_worker *w, void *arg)
{
    struct question *q = arg;
    struct nu_text word = nu_text(q->word, 6);
    nu_verify_cancel(nu_verify_start(&w->loop, HASH, word, 1000, never, NULL));
    nu_assert(nu_verify_start(&w->loop, HASH, word, 1000, answered, q));
}

static void answers_come_where_they_were_asked(void **state)
{
    nu_workers_init(2);
    nu_verifier_get();
    nu_workers_start();
    left = 2 * MANY;
    for (unsigned i = 0; i < 2 * MANY; i++) {
        questions[i] = (struct question){nu_worker_at(i % 2), i % 3, i % 3 ? "secret" : "secre7"};
        nu_worker_post(questions[i].worker, ask, &questions[i]);
    }
    nu_worker_run(nu_worker_main());
    nu_verifier_put();
    nu_workers_join();
    nu_workers_free();
    assert_int_equal(wrong, 0);
}

/* No thread runs yet: main has not heard of the first job. */
static void only_so_many_wait(void **state)
{
    nu_workers_init(1);
    nu_verifier_get();
    struct nu_loop *loop = &nu_worker_main()->loop;
    struct nu_text word = nu_text("x", 1);
    assert_non_null(nu_verify_start(loop, HASH, word, 2, never, NULL));
    assert_non_null(nu_verify_start(loop, HASH, word, 2, never, NULL));
    assert_null(nu_verify_start(loop, HASH, word, 2, never, NULL));
    nu_verifier_put();
    nu_workers_free();
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_where_they_were_asked),
        cmocka_unit_test(only_so_many_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
