/* Who waits for commits to be durable: the sync runs in a thread, its end is told from the loop. */
#include "lua/ledger_sync.h"

#include "base/clock.h"
#include "base/log.h"
#include "lua/loop.h"

#include <stdlib.h>

enum { WARN_MS = 60000 };

struct lestL_waiter {
    struct lestL_callback callback;
    struct lestL_waiter *next;
};

static void init_waiters(struct lestL_waiters *waiters)
{
    waiters->first = NULL;
    waiters->end = &waiters->first;
}

static struct lestL_waiter *take_waiter(struct lestL_waiters *waiters)
{
    struct lestL_waiter *waiter = waiters->first;
    if (waiter && !(waiters->first = waiter->next))
        waiters->end = &waiters->first;
    return waiter;
}

static void free_waiter(void *h)
{
    struct lestL_waiter *waiter = h;
    lestL_callback_clear(&waiter->callback);
    free(waiter);
}

/* Owns a waiter until the handle does. */
const struct lestL_class lestL_waiter_class = { .name = "lest.ledger.waiter", .close = free_waiter };

static void free_handle(struct lestL_ledger *handle)
{
    ledger_result_free(&handle->result);
    struct lestL_waiter *waiter;
    net_pool_free(handle->pool); /* waits for what runs; then nobody else uses the connection */
    while ((waiter = take_waiter(&handle->now)) || (waiter = take_waiter(&handle->next)))
        free_waiter(waiter);
    ledger_close(handle->ledger);
    free(handle);
}

/* Closed by a callback, inside the pool, which cannot be waited for there: the last job's end frees. */
void lestL_ledger_close(void *h)
{
    struct lestL_ledger *handle = h;
    handle->closed = true;
    if (!handle->delivering)
        free_handle(handle);
}

static void run_sync(struct net_job *job)
{
    struct lestL_ledger *handle = ((struct lestL_ledger_job *)job)->handle;
    handle->status = ledger_sync(handle->ledger, &handle->err);
}

/* What may raise runs inside a protected call: (callback, handle). */
static int answer(lua_State *L)
{
    const struct lestL_ledger *handle = lua_touserdata(L, 2);
    lua_settop(L, 1);
    if (handle->status) {
        lua_pushnil(L);
        lestL_push_error(L, &handle->err);
        lua_call(L, 2, 0);
    } else {
        lua_pushboolean(L, 1);
        lua_call(L, 1, 0);
    }
    return 0;
}

static void deliver(struct lestL_ledger *handle)
{
    struct lestL_waiter *waiter;
    handle->delivering = true;
    while (!handle->closed && (waiter = take_waiter(&handle->now))) {
        lua_State *L = lestL_callback_push(&waiter->callback);
        lua_pushcfunction(L, answer);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, handle);
        lestL_call(L, 2, 0, "ledger sync");
        free_waiter(waiter);
    }
    handle->delivering = false;
}

static void run_checkpoint(struct net_job *job)
{
    struct lestL_ledger *handle = ((struct lestL_ledger_job *)job)->handle;
    handle->checkpoint_status = ledger_checkpoint(handle->ledger, &handle->checkpoint_err);
}

/* Nothing is lost by it, but the disk fills: as often as a person wants to read it. */
static void warn(struct lestL_ledger *handle)
{
    const struct lest_error *err = &handle->checkpoint_err;
    int64_t now_ms = lest_clock_monotonic_ms();
    if (handle->warned_ms && now_ms - handle->warned_ms < WARN_MS)
        return;
    handle->warned_ms = now_ms;
    lest_log(LEST_LOG_WARNING, "checkpoint failed", "%s%s%s", err->message, *err->detail ? ": " : "",
             err->detail);
}

static void done_checkpoint(struct net_job *job, bool ran)
{
    struct lestL_ledger *handle = ((struct lestL_ledger_job *)job)->handle;
    handle->checkpointing = false;
    if (ran && handle->checkpoint_status)
        warn(handle);
    if (ran && handle->closed)
        free_handle(handle);
}

static enum lest_status submit(struct lestL_ledger *handle, struct lestL_ledger_job *job,
                               void (*run)(struct net_job *), void (*done)(struct net_job *, bool))
{
    *job = (struct lestL_ledger_job){ { .run = run, .done = done }, handle };
    return net_pool_submit(handle->pool, &job->job, NULL);
}

/* One that cannot be started now is due again after the next sync. */
static void keep_short(struct lestL_ledger *handle)
{
    if (!handle->checkpointing && ledger_is_long(handle->ledger))
        handle->checkpointing =
            submit(handle, &handle->checkpoint, run_checkpoint, done_checkpoint) == LEST_OK;
}

static void start_sync(struct lestL_ledger *handle);

static void done_sync(struct net_job *job, bool ran)
{
    struct lestL_ledger *handle = ((struct lestL_ledger_job *)job)->handle;
    handle->syncing = false;
    if (!ran)
        return; /* free_handle() frees the pool, and does the rest */
    deliver(handle);
    if (handle->closed) {
        if (!handle->checkpointing)
            free_handle(handle);
        return;
    }
    keep_short(handle);
    if (handle->next.first)
        start_sync(handle);
}

/* Those who wait need one sync, however many they are. */
static void start_sync(struct lestL_ledger *handle)
{
    handle->now = handle->next;
    init_waiters(&handle->next);
    handle->syncing = true;
    if (submit(handle, &handle->sync, run_sync, done_sync) == LEST_OK)
        return;
    /* The loop cannot watch the pool: wait for the disk here. */
    run_sync(&handle->sync.job);
    done_sync(&handle->sync.job, true);
}

struct lestL_object *lestL_ledger_new_waiter(lua_State *L, int idx)
{
    struct lestL_object *object = lestL_new_object(L, &lestL_waiter_class);
    struct lestL_waiter *waiter = object->h = calloc(1, sizeof *waiter);
    if (!waiter)
        lestL_no_memory(L);
    lestL_callback_set(L, idx, &waiter->callback);
    return object;
}

void lestL_ledger_wait(struct lestL_ledger *handle, struct lestL_object *owner)
{
    struct lestL_waiter *waiter = owner->h;
    owner->h = NULL;
    *handle->next.end = waiter;
    handle->next.end = &waiter->next;
    if (!handle->syncing && !handle->delivering)
        start_sync(handle);
}

enum lest_status lestL_ledger_open(lua_State *L, struct lestL_ledger *handle, const char *path,
                                   const struct ledger_options *options, struct lest_error *err)
{
    init_waiters(&handle->now);
    init_waiters(&handle->next);
    ledger_result_init(&handle->result);
    enum lest_status status = ledger_open(path, options, &handle->ledger, err);
    if (!status && options->sync_later)
        status = net_pool_new(lestL_loop(L), 2, 2, &handle->pool, err);
    return status;
}
