/* The thread that compares passwords; see auth_verify.h. Main starts it when the first job comes:
 * by then main has given up what rights it can, and its threads have none that it has not. The
 * queue is guarded by one lock; a job goes from its worker to the thread and back by a post, and is
 * each one's own in turn. What a worker writes of it meanwhile, `done`, the thread never reads. */
#include "l7/filters/auth_verify.h"

#include "core/assert.h"
#include "core/list.h"
#include "core/worker.h"
#include "protocols/http/htpasswd.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct nu_verify {
    struct nu_list link; /* of the queue */
    struct nu_worker *worker;
    void (*done)(void *ctx, bool same); /* NULL: cancelled */
    void *ctx;
    bool same;
    char hash[NU_HTPASSWD_HASH_LEN + 1];
    char password[]; /* NUL-terminated */
};

static struct {
    /* main's */
    unsigned refs;
    bool running;
    pthread_t thread;
    /* everyone's, under the lock */
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct nu_list queue;
    unsigned waiting;
    bool asked; /* main is told to start the thread */
    bool stopping;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void job_free(struct nu_verify *job)
{
    explicit_bzero(job->password, strlen(job->password));
    free(job);
}

static void deliver(struct nu_worker *w, void *arg)
{
    struct nu_verify *job = arg;
    void (*done)(void *, bool) = job->done;
    void *ctx = job->ctx;
    bool same = job->same;
    job_free(job);
    if (done)
        done(ctx, same);
}

/* The next job, once there is one; NULL: to end. */
static struct nu_verify *take(void)
{
    struct nu_verify *job = NULL;
    pthread_mutex_lock(&all.lock);
    while (nu_list_empty(&all.queue) && !all.stopping)
        pthread_cond_wait(&all.more, &all.lock);
    struct nu_list *link = nu_list_pop(&all.queue);
    if (link) {
        job = nu_container(link, struct nu_verify, link);
        all.waiting--;
    }
    pthread_mutex_unlock(&all.lock);
    return job;
}

static void *thread_main(void *arg)
{
    struct nu_verify *job;
    while ((job = take())) {
        job->same = nu_htpasswd_is_bcrypt(job->hash, job->password);
        nu_worker_post(job->worker, deliver, job);
    }
    return NULL;
}

/* Signals are main's, but for the one by which a sandbox speaks. */
static void start_thread(struct nu_worker *w, void *arg)
{
    if (all.running || all.refs == 0)
        return;
    all.running = true;
    sigset_t most, before;
    sigfillset(&most);
    sigdelset(&most, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &most, &before);
    nu_assert(pthread_create(&all.thread, NULL, thread_main, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void nu_verifier_get(void)
{
    if (all.refs++)
        return;
    nu_list_init(&all.queue);
    all.asked = all.stopping = false;
}

/* Whoever waited for what is queued is gone. */
void nu_verifier_put(void)
{
    if (--all.refs)
        return;
    pthread_mutex_lock(&all.lock);
    all.stopping = true;
    for (struct nu_list *link; (link = nu_list_pop(&all.queue));)
        job_free(nu_container(link, struct nu_verify, link));
    all.waiting = 0;
    pthread_cond_signal(&all.more);
    pthread_mutex_unlock(&all.lock);
    if (all.running)
        pthread_join(all.thread, NULL);
    all.running = false;
}

struct nu_verify *nu_verify_start(struct nu_loop *loop, const char *hash, struct nu_text password,
                                  unsigned max, void (*done)(void *ctx, bool same), void *ctx)
{
    struct nu_verify *job = calloc(1, sizeof *job + password.len + 1);
    nu_assert(job != NULL && strlen(hash) == NU_HTPASSWD_HASH_LEN);
    job->worker = nu_worker_at(loop->shard);
    job->done = done;
    job->ctx = ctx;
    memcpy(job->hash, hash, NU_HTPASSWD_HASH_LEN);
    memcpy(job->password, password.at, password.len);
    pthread_mutex_lock(&all.lock);
    bool full = all.waiting >= max, first = !all.asked;
    all.asked = true;
    if (!full) {
        nu_list_add_tail(&all.queue, &job->link);
        all.waiting++;
        pthread_cond_signal(&all.more);
    }
    pthread_mutex_unlock(&all.lock);
    if (first)
        nu_worker_post(nu_worker_main(), start_thread, NULL);
    if (!full)
        return job;
    job_free(job);
    return NULL;
}

void nu_verify_cancel(struct nu_verify *verify)
{
    if (verify)
        verify->done = NULL;
}
