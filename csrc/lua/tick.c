/* The beat. Only the handler and the thread that it interrupts touch what is here. */
#include "lua/tick.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

/* PERIOD_NS  of CPU; the kernel's own clock may be coarser */
enum { PERIOD_NS = 1000000 };

static struct {
    lua_State *volatile running; /* the innermost coroutine of bounded code */
    lua_Hook hook;               /* NULL: no state has the beat */
    timer_t timer;
    bool has_timer;
    volatile sig_atomic_t is_armed;
    volatile sig_atomic_t beats; /* how many came; it wraps */
    lua_CFunction resume, close; /* Lua's own */
} tick;

static bool set_period(long ns)
{
    struct itimerspec period = { { 0, ns }, { 0, ns } };
    return timer_settime(tick.timer, 0, &period, NULL) == 0;
}

static void look_at(lua_State *co)
{
    lua_sethook(co, tick.hook, LUA_MASKCOUNT, 1);
}

/* lua_sethook and timer_settime are safe in a signal's handler. */
static void on_tick(int number)
{
    (void)number;
    int kept = errno;
    if (tick.running) {
        tick.beats = tick.beats == SIG_ATOMIC_MAX ? 0 : tick.beats + 1;
        look_at(tick.running);
    } else if (tick.is_armed) {
        tick.is_armed = 0;
        set_period(0);
    }
    errno = kept;
}

static bool make_timer(void)
{
    /* SA_RESTART: a read that waits is not ended by a beat. */
    struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = LESTL_TICK_SIGNAL };
    event._sigev_un._tid = gettid();
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, LESTL_TICK_SIGNAL);
    tick.has_timer = sigaction(LESTL_TICK_SIGNAL, &action, NULL) == 0 &&
                     pthread_sigmask(SIG_UNBLOCK, &own, NULL) == 0 &&
                     timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &tick.timer) == 0;
    return tick.has_timer;
}

bool lestL_tick_start(void)
{
    if (!tick.hook)
        return false;
    if (tick.is_armed)
        return true;
    if (!tick.has_timer && !make_timer())
        return false;
    tick.is_armed = 1; /* before the first beat, which may undo it */
    if (set_period(PERIOD_NS))
        return true;
    tick.is_armed = 0;
    return false;
}

struct lestL_tick lestL_tick_enter(lua_State *co)
{
    struct lestL_tick outer = { tick.running, tick.beats };
    tick.running = co;
    return outer;
}

void lestL_tick_leave(struct lestL_tick outer)
{
    tick.running = outer.running;
    if (outer.running && outer.beats != tick.beats)
        look_at(outer.running);
}

/* A child has the parent's memory, and none of its timers. */
static void on_child(void)
{
    tick.has_timer = false;
    tick.is_armed = 0;
    if (tick.running)
        lestL_tick_start();
}

/* coroutine.resume(co, ...), as Lua's own: that may raise an error between what is entered and left here, for
 * want of memory. */
static int resume(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTHREAD);
    lua_State *co = lua_tothread(L, 1);
    int nargs = lua_gettop(L) - 1, nresults = 0;
    if (!tick.running || !lua_checkstack(co, nargs))
        return tick.resume(L);
    lua_xmove(L, co, nargs);
    struct lestL_tick outer = lestL_tick_enter(co);
    int result = lua_resume(co, L, nargs, &nresults);
    lestL_tick_leave(outer);
    bool ok = result == LUA_OK || result == LUA_YIELD;
    if (ok && !lua_checkstack(L, nresults + 1)) {
        lua_pop(co, nresults);
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "too many results to resume");
        return 2;
    }
    lua_pushboolean(L, ok);
    nresults = ok ? nresults : 1; /* the error */
    lua_xmove(co, L, nresults);
    return nresults + 1;
}

/* coroutine.close(co): Lua's own raises an error where co runs, or waits for another that it has resumed, and
 * else none. */
static int close_coroutine(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTHREAD);
    lua_State *co = lua_tothread(L, 1);
    lua_Debug level;
    if (!tick.running || co == L || (lua_status(co) == LUA_OK && lua_getstack(co, 0, &level)))
        return tick.close(L);
    struct lestL_tick outer = lestL_tick_enter(co);
    int nresults = tick.close(L);
    lestL_tick_leave(outer);
    return nresults;
}

/* Returns the function that was there. */
static lua_CFunction replace(lua_State *L, const char *name, lua_CFunction fn)
{
    lua_getfield(L, -1, name);
    lua_CFunction own = lua_tocfunction(L, -1);
    lua_pushcfunction(L, fn);
    lua_setfield(L, -3, name);
    lua_pop(L, 1);
    return own;
}

void lestL_tick_open(lua_State *L, lua_Hook hook)
{
    if (tick.hook || pthread_atfork(NULL, NULL, on_child) != 0)
        return;
    lua_getglobal(L, LUA_COLIBNAME);
    tick.resume = replace(L, "resume", resume);
    tick.close = replace(L, "close", close_coroutine);
    lua_pop(L, 1);
    tick.hook = hook;
}
