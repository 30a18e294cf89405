/* core.loop: the state's event loop, its timers, signals and word of routes. lest.task builds tasks on it. */
#include "lua/loop.h"

#include "lua/binding.h"
#include "lua/error.h"
#include "lua/tick.h"
#include "net/route.h"

#include <stdlib.h>

static void close_loop(void *h)
{
    net_loop_free(h);
}

static const struct lestL_class loop_class = { .name = "lest.loop", .close = close_loop };

static const char LOOP_KEY;

struct net_loop *lestL_loop(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &LOOP_KEY);
    struct lestL_object *object = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!object || !object->h)
        luaL_error(L, "the event loop is closed");
    return object->h;
}

static void make_loop(lua_State *L)
{
    struct lest_error err;
    struct net_loop *loop;
    struct lestL_object *object = lestL_new_object(L, &loop_class);
    if (net_loop_new(&loop, &err))
        luaL_error(L, "%s", err.message);
    object->h = loop;
    lua_rawsetp(L, LUA_REGISTRYINDEX, &LOOP_KEY);
}

void lestL_loop_renew(lua_State *L)
{
    /* Kept: its events are, and closing them would reach into the parent's. */
    lua_rawgetp(L, LUA_REGISTRYINDEX, &LOOP_KEY);
    luaL_ref(L, LUA_REGISTRYINDEX);
    make_loop(L);
}

lua_State *lestL_main(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_pop(L, 1);
    return main;
}

void lestL_callback_set(lua_State *L, int idx, struct lestL_callback *callback)
{
    luaL_checktype(L, idx, LUA_TFUNCTION);
    lestL_callback_clear(callback);
    lua_pushvalue(L, idx);
    callback->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    callback->L = lestL_main(L);
}

lua_State *lestL_callback_push(struct lestL_callback *callback)
{
    if (!callback->L || !lua_checkstack(callback->L, LUA_MINSTACK))
        return NULL;
    lua_rawgeti(callback->L, LUA_REGISTRYINDEX, callback->ref);
    return callback->L;
}

void lestL_callback_clear(struct lestL_callback *callback)
{
    if (callback->L)
        luaL_unref(callback->L, LUA_REGISTRYINDEX, callback->ref);
    callback->L = NULL;
}

/* A timer, a signal or routes: an event with a Lua function. Its userdata holds a reference to the loop's, so
 * that the collector closes the event first. */
struct watch {
    struct event *event;
    struct net_route *route; /* or this */
    struct lestL_callback callback;
    bool once;
};

static void close_watch(void *h)
{
    struct watch *watch = h;
    if (watch->event)
        event_free(watch->event);
    net_route_free(watch->route);
    lestL_callback_clear(&watch->callback);
    free(watch);
}

static const struct lestL_class watch_class = { .name = "lest.watch", .close = close_watch };

static void call_back(void *arg)
{
    struct watch *watch = arg;
    lua_State *L = lestL_callback_push(&watch->callback);
    if (!L)
        return;
    if (watch->once)
        lestL_callback_clear(&watch->callback);
    lestL_call(L, 0, 0, "timer, signal or route");
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    call_back(arg);
}

static struct watch *new_watch(lua_State *L, int callback_idx)
{
    struct lestL_object *object = lestL_new_object(L, &watch_class);
    struct watch *watch = object->h = calloc(1, sizeof *watch);
    if (!watch)
        lestL_no_memory(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &LOOP_KEY);
    lua_setiuservalue(L, -2, 1);
    lestL_callback_set(L, callback_idx, &watch->callback);
    return watch;
}

/* loop.timer(ms, callback): calls back once; keep the result, closing it cancels */
static int loop_timer(lua_State *L)
{
    lua_Integer ms = luaL_checkinteger(L, 1);
    struct watch *watch = new_watch(L, 2);
    struct timeval delay;
    if (ms < 0)
        ms = 0;
    watch->once = true;
    delay.tv_sec = (time_t)(ms / 1000);
    delay.tv_usec = (suseconds_t)(ms % 1000 * 1000);
    watch->event = evtimer_new(net_loop_get0_base(lestL_loop(L)), on_watch, watch);
    if (!watch->event || evtimer_add(watch->event, &delay) < 0)
        return lestL_no_memory(L);
    return 1;
}

/* loop.signal(number, callback): calls back each time; keep the result, closing it stops that */
static int loop_signal(lua_State *L)
{
    int number = (int)luaL_checkinteger(L, 1);
    luaL_argcheck(L, number != LESTL_TICK_SIGNAL, 1, "this signal is the beat of limits");
    struct watch *watch = new_watch(L, 2);
    watch->event = evsignal_new(net_loop_get0_base(lestL_loop(L)), number, on_watch, watch);
    if (!watch->event || evsignal_add(watch->event, NULL) < 0)
        return luaL_error(L, "signal %d cannot be watched", number);
    return 1;
}

/* loop.routes(callback): calls back each time a network may have appeared; keep the result, closing it stops
 * that */
static int loop_routes(lua_State *L)
{
    struct lest_error err;
    struct watch *watch = new_watch(L, 1);
    if (net_route_watch(lestL_loop(L), call_back, watch, &watch->route, &err))
        return lestL_fail(L, &err);
    return 1;
}

/* loop.turn(): wait for events and run their callbacks; false if nothing is registered */
static int loop_turn(lua_State *L)
{
    lua_pushboolean(L, net_loop_turn(lestL_loop(L)));
    return 1;
}

static struct lestL_callback *turn_end_callback(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static void on_turn_end(void *arg)
{
    lua_State *L = lestL_callback_push(arg);
    if (L)
        lestL_call(L, 0, 0, "end of turn");
}

/* loop.on_turn_end(callback or nil) */
static int loop_on_turn_end(lua_State *L)
{
    struct lestL_callback *callback = turn_end_callback(L);
    if (lua_isnoneornil(L, 1)) {
        lestL_callback_clear(callback);
        net_loop_set_turn_end(lestL_loop(L), NULL, NULL);
        return 0;
    }
    lestL_callback_set(L, 1, callback);
    net_loop_set_turn_end(lestL_loop(L), on_turn_end, callback);
    return 0;
}

int lestL_open_loop(lua_State *L)
{
    static const luaL_Reg functions[] = { { "timer", loop_timer },
                                          { "signal", loop_signal },
                                          { "routes", loop_routes },
                                          { "turn", loop_turn },
                                          { NULL, NULL } };
    lestL_class_register(L, &loop_class);
    lestL_class_register(L, &watch_class);
    make_loop(L);
    luaL_newlib(L, functions);
    struct lestL_callback *callback = lua_newuserdatauv(L, sizeof *callback, 0);
    callback->L = NULL;
    lua_pushcclosure(L, loop_on_turn_end, 1);
    lua_setfield(L, -2, "on_turn_end");
    return 1;
}
