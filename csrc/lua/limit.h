/* core.limit for other files: the allocator with which the host makes its state, so that a memory ceiling can
 * be set, and whether a limit is in force. */
#ifndef LEST_LUA_LIMIT_H
#define LEST_LUA_LIMIT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/** What the allocator counts. ceiling 0: none. denied: an allocation was refused for it. wipes: what is given
 *  back is overwritten first. */
struct lestL_allocator {
    size_t used;
    size_t ceiling;
    bool denied;
    bool wipes;
};

/** A lua_Alloc; ud is a struct lestL_allocator that outlives the state. */
void *lestL_limit_alloc(void *ud, void *ptr, size_t old_size, size_t new_size);

/** From now on, overwrite all memory that this state gives back; false where it has another allocator. */
bool lestL_limit_wipe_freed(lua_State *L);

/** Whether the running Lua is bounded by a limit: a policy's decision. */
bool lestL_limit_is_running(lua_State *L);

#endif
