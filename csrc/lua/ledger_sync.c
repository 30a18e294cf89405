/* Who waits for commits to be durable: the sync runs in a thread, its end is told from the loop. */
#include "lua/ledger.h"
#include "lua/loop.h"

#include <stdlib.h>

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

/* The pool waits for the sync that runs; then nobody else uses the connection. */
void lestL_ledger_close(void *h)
{
    struct lestL_ledger *handle = h;
    struct lestL_waiter *waiter;
    handle->closed = true;
    if (handle->delivering)
        return; /* done_sync() comes back here */
    net_pool_free(handle->pool);
    while ((waiter = take_waiter(&handle->now)) || (waiter = take_waiter(&handle->next)))
        free_waiter(waiter);
    ledger_close(handle->ledger);
    free(handle);
}

static void run_sync(struct net_job *job)
{
    struct lestL_ledger *handle = (struct lestL_ledger *)job;
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

static void start_sync(struct lestL_ledger *handle);

static void done_sync(struct net_job *job, bool ran)
{
    struct lestL_ledger *handle = (struct lestL_ledger *)job;
    handle->syncing = false;
    if (!ran)
        return; /* the pool is freed by lestL_ledger_close(), which does the rest */
    deliver(handle);
    if (handle->closed)
        lestL_ledger_close(handle);
    else if (handle->next.first)
        start_sync(handle);
}

/* Those who wait need one sync, however many they are. */
static void start_sync(struct lestL_ledger *handle)
{
    handle->now = handle->next;
    init_waiters(&handle->next);
    handle->job = (struct net_job){ .run = run_sync, .done = done_sync };
    handle->syncing = true;
    if (net_pool_submit(handle->pool, &handle->job, &handle->err) == LEST_OK)
        return;
    /* The loop cannot watch the pool: wait for the disk here. */
    run_sync(&handle->job);
    done_sync(&handle->job, true);
}

struct lestL_object *lestL_ledger_new_waiter(lua_State *L, int idx)
{
    struct lestL_object *object = lestL_new_object(L, &lestL_waiter_class);
    struct lestL_waiter *waiter = object->h = calloc(1, sizeof *waiter);
    if (!waiter)
        luaL_error(L, "out of memory");
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

/* One sync at a time needs one thread. */
enum lest_status lestL_ledger_open(lua_State *L, struct lestL_ledger *handle, const char *path,
                                   const struct ledger_options *options, struct lest_error *err)
{
    init_waiters(&handle->now);
    init_waiters(&handle->next);
    enum lest_status status = ledger_open(path, options, &handle->ledger, err);
    if (!status && options->sync_later)
        status = net_pool_new(lestL_loop(L), 1, 1, &handle->pool, err);
    return status;
}
