/* Sealed files for the other classes. */
#ifndef LEST_LUA_SEALED_H
#define LEST_LUA_SEALED_H

#include "base/sealed.h"

#include <lua.h>

/** Push a lest.sealed with a reference of its own. */
void lestL_push_sealed(lua_State *L, struct lest_sealed *sealed);

/** The open lest.sealed at idx, borrowed, or NULL if it is something else or closed. */
struct lest_sealed *lestL_test_sealed(lua_State *L, int idx);

#endif
