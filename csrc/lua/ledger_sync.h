/* A ledger of the binding: the connection, and who waits for its commits to be durable. */
#ifndef LEST_LUA_LEDGER_SYNC_H
#define LEST_LUA_LEDGER_SYNC_H

#include "ledger/ledger.h"
#include "lua/binding.h"
#include "net/pool.h"

struct lestL_waiter;

struct lestL_waiters {
    struct lestL_waiter *first, **end;
};

struct lestL_ledger;

struct lestL_ledger_job {
    struct net_job job;
    struct lestL_ledger *handle;
};

/* sync, checkpoint  at most one of each is under way
 *  pool    a thread for each; NULL where each commit waits for the disk
 *  now     who waits for the sync that is under way
 *  next    who came later, and waits for the one after it
 *  result  of the statement that runs; empty between two
 *  status, err  of the sync that has ended; checkpoint_status, checkpoint_err: of the checkpoint
 *  warned_ms  when the log was told of a checkpoint, 0 at first */
struct lestL_ledger {
    struct lestL_ledger_job sync, checkpoint;
    struct ledger *ledger;
    struct net_pool *pool;
    struct lestL_waiters now, next;
    struct ledger_result result;
    bool syncing, checkpointing, delivering, closed;
    enum lest_status status, checkpoint_status;
    struct lest_error err, checkpoint_err;
    int64_t warned_ms;
};

/** Owns a waiter until a ledger does. */
extern const struct lestL_class lestL_waiter_class;

/** Fill a zeroed handle; lestL_ledger_close() it, also on failure. Errors: as ledger_open and net_pool_new */
enum lest_status lestL_ledger_open(lua_State *L, struct lestL_ledger *handle, const char *path,
                                   const struct ledger_options *options,
                                   struct lest_error *err) LEST_MUST_USE;

/** Wait for the sync that runs, call nobody, free. May be called from a callback. */
void lestL_ledger_close(void *handle);

/** Push the owner of a new waiter, which keeps the function at idx. */
struct lestL_object *lestL_ledger_new_waiter(lua_State *L, int idx);

/** Call the owner's waiter once all that was committed by now is durable, or cannot be. It is the handle's
 *  from here on. */
void lestL_ledger_wait(struct lestL_ledger *handle, struct lestL_object *owner);

#endif
