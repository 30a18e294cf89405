#include "net/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct queue {
    struct net_job *first, **end;
};

/* lock guards stop, waiting and finished; the rest belongs to the loop's thread. */
struct net_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stop;
    struct queue waiting, finished;
    int wake; /* eventfd: something is in finished */
    struct event *event;
    int jobs, jobs_max;
    bool delivering, free_later;
    int threads;
    pthread_t thread[];
};

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
}

static void queue_put(struct queue *queue, struct net_job *job)
{
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
}

static struct net_job *queue_take(struct queue *queue)
{
    struct net_job *job = queue->first;
    if (job) {
        queue->first = job->next;
        if (!queue->first)
            queue->end = &queue->first;
    }
    return job;
}

static void wake_loop(struct net_pool *pool)
{
    uint64_t one = 1;
    /* It fails only when the counter is full, and then the loop is awake anyway. */
    while (write(pool->wake, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void *work(void *arg)
{
    struct net_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct net_job *job = NULL;
        while (!pool->stop && !(job = queue_take(&pool->waiting)))
            pthread_cond_wait(&pool->work, &pool->lock);
        if (!job)
            break;
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
        queue_put(&pool->finished, job);
        wake_loop(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static struct net_job *take(struct net_pool *pool, struct queue *queue)
{
    pthread_mutex_lock(&pool->lock);
    struct net_job *job = queue_take(queue);
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void deliver(evutil_socket_t fd, short what, void *arg)
{
    struct net_pool *pool = arg;
    uint64_t count;
    struct net_job *job;
    (void)what;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    pool->delivering = true;
    while (!pool->free_later && (job = take(pool, &pool->finished))) {
        if (--pool->jobs == 0)
            event_del(pool->event);
        job->done(job, true);
    }
    pool->delivering = false;
    if (pool->free_later)
        net_pool_free(pool);
}

/* Signals are for the loop's thread. */
static int start_threads(struct net_pool *pool, int threads)
{
    sigset_t all, before;
    int number = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!number && pool->threads < threads) {
        number = pthread_create(&pool->thread[pool->threads], NULL, work, pool);
        pool->threads += number == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return number;
}

enum lest_status net_pool_new(struct net_loop *loop, int threads, int jobs_max, struct net_pool **out,
                              struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    *out = NULL;
    if (threads < 1 || threads > NET_POOL_THREADS_MAX || jobs_max < 1)
        return lest_error_set(err, LEST_E_USAGE, "a pool has 1 to %d threads and takes at least one job",
                              NET_POOL_THREADS_MAX);
    struct net_pool *pool = calloc(1, sizeof *pool + (size_t)threads * sizeof *pool->thread);
    if (!pool)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    queue_init(&pool->waiting);
    queue_init(&pool->finished);
    pool->jobs_max = jobs_max;
    pool->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->wake < 0) {
        status = lest_error_set_errno(err, LEST_E_IO, errno, "the pool has no descriptor");
        goto out;
    }
    pool->event = event_new(net_loop_get0_base(loop), pool->wake, EV_READ | EV_PERSIST, deliver, pool);
    if (!pool->event) {
        status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
        goto out;
    }
    int number = start_threads(pool, threads);
    if (number)
        status = lest_error_set_errno(err, LEST_E_IO, number, "a thread of the pool cannot be started");
out:
    if (status)
        net_pool_free(pool);
    else
        *out = pool;
    return status;
}

enum lest_status net_pool_submit(struct net_pool *pool, struct net_job *job, struct lest_error *err)
{
    if (pool->free_later || pool->jobs >= pool->jobs_max)
        return lest_error_set(err, LEST_E_UNAVAILABLE, "all %d places for slow work are taken",
                              pool->jobs_max);
    if (pool->jobs == 0 && event_add(pool->event, NULL) < 0)
        return lest_error_set(err, LEST_E_UNAVAILABLE, "slow work cannot be watched");
    pool->jobs++;
    pthread_mutex_lock(&pool->lock);
    queue_put(&pool->waiting, job);
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    return LEST_OK;
}

static void stop_threads(struct net_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->threads; i++)
        pthread_join(pool->thread[i], NULL);
}

void net_pool_free(struct net_pool *pool)
{
    struct net_job *job;
    if (!pool)
        return;
    pool->free_later = true;
    if (pool->delivering)
        return;
    stop_threads(pool);
    pool->delivering = true; /* done() may come back here */
    while ((job = queue_take(&pool->finished)) || (job = queue_take(&pool->waiting)))
        job->done(job, false);
    if (pool->event)
        event_free(pool->event);
    if (pool->wake >= 0)
        close(pool->wake);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
