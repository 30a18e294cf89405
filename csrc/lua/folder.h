/* The lock of who works in a folder, for C of other layers. */
#ifndef LEST_LUA_FOLDER_H
#define LEST_LUA_FOLDER_H

#include <lua.h>

/** The descriptor of the lock at idx, which stays its own, -1 once it is closed; raises if it is none. */
int lestL_lock_fd(lua_State *L, int idx);

#endif
