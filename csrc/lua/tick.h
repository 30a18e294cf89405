/* The beat at which bounded Lua is looked at: a timer on the thread's own CPU clock, whose signal sets a
 * hook on the coroutine that runs. Without a beat bounded code has no hook; a timer that finds none of it
 * stops. */
#ifndef LEST_LUA_TICK_H
#define LEST_LUA_TICK_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>

/** The beat's signal; nobody else may take it. */
enum { LESTL_TICK_SIGNAL = SIGVTALRM };

/** Have coroutine.resume and coroutine.close of L tell which coroutine runs. One state of a process can have
 * the beat: the host's. hook is what each beat sets, with a count of 1; it must remove itself. */
void lestL_tick_open(lua_State *L, lua_Hook hook);

/** Whether the beat goes on (it is started if need be). If not, bounded code needs a hook of its own. */
bool lestL_tick_start(void);

/** Where bounded code runs, and the beats until then. */
struct lestL_tick {
    lua_State *running;
    sig_atomic_t beats;
};

/** From now on bounded code runs in co. Returns what lestL_tick_leave() needs. */
struct lestL_tick lestL_tick_enter(lua_State *co);

/** It runs again where it did before. If a beat came meanwhile, that one is looked at as well: else code
 * that is nearly always in a coroutine of its own would never be. */
void lestL_tick_leave(struct lestL_tick outer);

#endif
