/* core.limit: bounds on one piece of Lua that runs in a coroutine, a policy's decision: time and memory.
 *
 * The deadline is a hook that yields the coroutine for good (a raised error could be swallowed by a loop
 * of pcall); where it cannot yield it raises. A beat of CPU time sets it for one look (tick.h), so that
 * short code has none, which would cost more than half of its time. Where there is no beat (a stock
 * lua5.4, no timer to be had) it is there always and counts, and so it does for slices, which are shorter
 * than a beat may be. Neither reaches into C functions: the supervisor's watchdog is the last line. The
 * memory ceiling needs lestL_limit_alloc as the state's allocator.
 *
 * With a slice it also yields each so many milliseconds, to be resumed when others had their turn. */
#include "lua/limit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "lua/binding.h"
#include "lua/tick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* HOOK_COUNT  instructions, of a hook that counts
 * STALL_MS  past a slice's end where Lua cannot yield, as in a comparison of table.sort */
enum { HOOK_COUNT = 2000, STALL_MS = 200 };

struct limit {
    int64_t deadline_ms;
    int64_t slice_ms; /* 0: none */
    int64_t slice_end_ms;
    bool paused;        /* by the end of its slice */
    size_t memory_left; /* 0: no ceiling */
    bool expired;
    bool denied; /* it once asked for more: the error may be raised anew after a wait, as the same */
    bool exhausted;
    char where[LUA_IDSIZE + 24];
};

void *lestL_limit_alloc(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    struct lestL_allocator *allocator = ud;
    if (!ptr)
        old_size = 0; /* Lua passes the kind of the new object here */
    if (new_size == 0) {
        if (allocator->wipes)
            lest_wipe(ptr, old_size);
        free(ptr);
        allocator->used -= old_size;
        return NULL;
    }
    if (new_size > old_size && allocator->ceiling &&
        allocator->used + (new_size - old_size) > allocator->ceiling) {
        allocator->denied = true;
        return NULL;
    }
    void *grown = ptr && !allocator->wipes ? realloc(ptr, new_size) : malloc(new_size);
    if (grown && ptr && allocator->wipes) {
        memcpy(grown, ptr, old_size < new_size ? old_size : new_size);
        lest_wipe(ptr, old_size);
        free(ptr);
    }
    if (grown)
        allocator->used += new_size - old_size;
    return grown;
}

static struct lestL_allocator *allocator_of(lua_State *L)
{
    void *ud;
    return lua_getallocf(L, &ud) == lestL_limit_alloc ? ud : NULL;
}

bool lestL_limit_wipe_freed(lua_State *L)
{
    struct lestL_allocator *allocator = allocator_of(L);
    if (allocator)
        allocator->wipes = true;
    return allocator != NULL;
}

static void close_limit(void *h)
{
    free(h);
}

static const char CURRENT_KEY;

static struct limit *current(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &CURRENT_KEY);
    struct limit *limit = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return limit;
}

bool lestL_limit_is_running(lua_State *L)
{
    return current(L) != NULL;
}

static void end_slice(lua_State *L, struct limit *limit, int64_t now_ms)
{
    if (!limit->slice_ms || now_ms < limit->slice_end_ms)
        return;
    if (!lua_isyieldable(L)) {
        if (now_ms >= limit->slice_end_ms + STALL_MS)
            luaL_error(L, "this takes too long where others cannot have a turn");
        return;
    }
    limit->paused = true;
    lua_yield(L, 0);
}

static void hook(lua_State *L, lua_Debug *where);

static void count(lua_State *L)
{
    lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_COUNT);
}

static void hook(lua_State *L, lua_Debug *where)
{
    struct limit *limit = current(L);
    bool is_look = lua_gethookcount(L) == 1; /* for once: a beat came */
    if (is_look && limit && limit->slice_ms)
        count(L);
    else if (is_look)
        lua_sethook(L, NULL, 0, 0);
    /* This may be one that is never done: what other requests of this turn came to must be in the log. */
    lest_log_flush();
    int64_t now_ms = lest_clock_monotonic_ms();
    if (!limit)
        return;
    if (now_ms < limit->deadline_ms) {
        if (!is_look) /* short code is not cut for having been late, or slow to start */
            end_slice(L, limit, now_ms);
        return;
    }
    if (!limit->expired && lua_getinfo(L, "Sl", where))
        snprintf(limit->where, sizeof limit->where, "%s:%d", where->short_src, where->currentline);
    limit->expired = true;
    if (lua_isyieldable(L)) {
        lua_yield(L, 0);
        return;
    }
    /* Code may swallow the error: it is looked at again, at once, until it can yield. */
    lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    luaL_error(L, "the decision took too long");
}

static int resume(lua_State *L);
static int defer(lua_State *L);

static int get_deadline_ms(lua_State *L);
static int get_paused(lua_State *L);
static int get_expired(lua_State *L);
static int get_exhausted(lua_State *L);
static int get_where(lua_State *L);

static const luaL_Reg methods[] = { { "resume", resume }, { "defer", defer }, { NULL, NULL } };
static const luaL_Reg getters[] = {
    { "deadline_ms", get_deadline_ms }, { "paused", get_paused }, { "expired", get_expired },
    { "exhausted", get_exhausted },     { "where", get_where },   { NULL, NULL }
};
static const struct lestL_class limit_class = {
    .name = "lest.limit", .methods = methods, .getters = getters, .close = close_limit
};

static struct limit *check(lua_State *L)
{
    return lestL_check_object(L, 1, &limit_class);
}

static int get_deadline_ms(lua_State *L)
{
    lua_pushinteger(L, check(L)->deadline_ms);
    return 1;
}

static int get_paused(lua_State *L)
{
    lua_pushboolean(L, check(L)->paused);
    return 1;
}

static int get_expired(lua_State *L)
{
    lua_pushboolean(L, check(L)->expired);
    return 1;
}

static int get_exhausted(lua_State *L)
{
    lua_pushboolean(L, check(L)->exhausted);
    return 1;
}

static int get_where(lua_State *L)
{
    lua_pushstring(L, check(L)->where);
    return 1;
}

/* limit.new(deadline_ms of the monotonic clock, memory in bytes; 0 is no ceiling [, slice_ms]) */
static int new (lua_State *L)
{
    lua_Integer deadline_ms = luaL_checkinteger(L, 1);
    lua_Integer memory = luaL_checkinteger(L, 2);
    lua_Integer slice_ms = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, memory >= 0, 2, "memory is a number of bytes");
    luaL_argcheck(L, slice_ms >= 0, 3, "a slice is a number of milliseconds");
    struct lestL_object *object = lestL_new_object(L, &limit_class);
    struct limit *limit = object->h = calloc(1, sizeof *limit);
    if (!limit)
        return lestL_no_memory(L);
    limit->deadline_ms = deadline_ms;
    limit->slice_ms = slice_ms;
    limit->memory_left = (size_t)memory;
    return 1;
}

/* limit:defer(deadline_ms): another deadline than before, for work that waits for a person */
static int defer(lua_State *L)
{
    check(L)->deadline_ms = luaL_checkinteger(L, 2);
    return 0;
}

/* limit:resume(coroutine, ...): as coroutine.resume, within the limits. A coroutine that ran out of time
 * stays suspended with limit.expired set and must not be resumed again. */
static int resume(lua_State *L)
{
    struct limit *limit = check(L);
    lua_State *co = lua_tothread(L, 2);
    luaL_argcheck(L, co && co != L, 2, "a coroutine");
    int nargs = lua_gettop(L) - 2, nresults = 0;
    if (limit->expired || !lua_checkstack(co, nargs)) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "the decision took too long");
        return 2;
    }
    struct lestL_allocator *allocator = allocator_of(L);
    struct limit *outer = current(L);
    limit->paused = false;
    limit->slice_end_ms = limit->slice_ms ? lest_clock_monotonic_ms() + limit->slice_ms : 0;
    lua_pushlightuserdata(L, limit);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &CURRENT_KEY);
    size_t before = 0, outer_ceiling = 0;
    bool has_ceiling = allocator && limit->memory_left;
    bool is_inner = outer == limit; /* it has the ceiling already */
    lua_xmove(L, co, nargs);
    if (has_ceiling && !is_inner) {
        before = allocator->used;
        outer_ceiling = allocator->ceiling;
        allocator->ceiling = before + limit->memory_left;
        allocator->denied = false;
    }
    /* Code that hangs in C before its first hook is killed with what the process holds. */
    lest_log_flush();
    struct lestL_tick outside = lestL_tick_enter(co);
    if (!lestL_tick_start() || limit->slice_ms)
        count(co);
    int result = lua_resume(co, L, nargs, &nresults);
    lestL_tick_leave(outside);
    if (has_ceiling) {
        limit->denied = limit->denied || allocator->denied;
        limit->exhausted = limit->exhausted || (limit->denied && result == LUA_ERRMEM);
    }
    if (has_ceiling && !is_inner) {
        allocator->ceiling = outer_ceiling;
        size_t grown = allocator->used > before ? allocator->used - before : 0;
        limit->memory_left = grown < limit->memory_left ? limit->memory_left - grown : 1;
    }
    lua_pushlightuserdata(L, outer);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &CURRENT_KEY);
    if (!lua_checkstack(L, nresults + 2))
        return luaL_error(L, "too many results");
    lua_pushboolean(L, result == LUA_OK || result == LUA_YIELD);
    if (result == LUA_OK || result == LUA_YIELD) {
        lua_xmove(co, L, nresults);
        return nresults + 1;
    }
    lua_xmove(co, L, 1);
    return 2;
}

int lestL_open_limit(lua_State *L)
{
    static const luaL_Reg functions[] = { { "new", new }, { NULL, NULL } };
    lestL_class_register(L, &limit_class);
    if (allocator_of(L)) /* the host's state, which lives as long as the process */
        lestL_tick_open(L, hook);
    luaL_newlib(L, functions);
    return 1;
}
