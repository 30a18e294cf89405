/* A bounded pool of threads for slow computations: password hashing, large signatures. Jobs run on its
 * threads, their ends are delivered on the loop's thread. The loop goes on turning while a job is under way,
 * and an idle pool does not keep it turning. */
#ifndef LEST_NET_POOL_H
#define LEST_NET_POOL_H

#include "net/loop.h"

#include <stdbool.h>

/** A computation; the first member of the caller's own struct.
 *  run   called once on a thread of the pool; touches nothing but its own struct
 *  done  called once on the loop's thread; frees the job. ran is false if the pool was freed first */
struct net_job {
    void (*run)(struct net_job *job);
    void (*done)(struct net_job *job, bool ran);
    struct net_job *next;
};

struct net_pool;

enum { NET_POOL_THREADS_MAX = 64 };

/** Start a pool on a loop that outlives it.
 *  threads   1 to NET_POOL_THREADS_MAX
 *  jobs_max  jobs submitted and not yet delivered, running ones included
 *  Errors: LEST_E_NOMEM, LEST_E_IO (no descriptor, no thread) */
enum lest_status net_pool_new(struct net_loop *loop, int threads, int jobs_max, struct net_pool **out,
                              struct lest_error *err) LEST_MUST_USE;

/** Hand a job over; on success it belongs to the pool until done().
 *  Errors: LEST_E_UNAVAILABLE (the pool is full) */
enum lest_status net_pool_submit(struct net_pool *pool, struct net_job *job,
                                 struct lest_error *err) LEST_MUST_USE;

/** Wait for the jobs that run, end all others with ran = false, free. May be called from done(). */
void net_pool_free(struct net_pool *pool);

#endif
