/* What asynchronous classes of the binding share: the state's loop, and Lua functions kept by C. */
#ifndef LEST_LUA_LOOP_H
#define LEST_LUA_LOOP_H

#include "net/loop.h"

#include <lua.h>

/** The loop of this state; lives as long as the state. Objects with events on it keep a reference:
 *  see new_watch() in loop.c. */
struct net_loop *lestL_loop(lua_State *L);

/** Give the state another loop, in a process that was forked: the one it has is the parent's, too, and events
 *  on it stay as they are for ever. */
void lestL_loop_renew(lua_State *L);

/** The main thread of the state: callbacks from C run on it, since a coroutine may be gone by then. */
lua_State *lestL_main(lua_State *L);

/** A Lua function that C calls later. A zeroed struct is empty. */
struct lestL_callback {
    lua_State *L;
    int ref;
};

/** Keep the function at idx (raises if it is none), letting go of the one before. */
void lestL_callback_set(lua_State *L, int idx, struct lestL_callback *callback);

/** Push the function on the main thread's stack and return that thread, or NULL if it is empty.
 *  Push arguments next, then lestL_call(). */
lua_State *lestL_callback_push(struct lestL_callback *callback);

/** Let go of the function; an empty one is fine. */
void lestL_callback_clear(struct lestL_callback *callback);

#endif
