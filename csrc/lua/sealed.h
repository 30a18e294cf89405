/* Sealed files for the other classes. */
#ifndef LEST_LUA_SEALED_H
#define LEST_LUA_SEALED_H

#include "base/buf.h"
#include "base/sealed.h"

#include <lua.h>

/** Push a lest.sealed with a reference of its own. */
void lestL_push_sealed(lua_State *L, struct lest_sealed *sealed);

/** Push a lest.sealed of the bytes of a buffer, which is empty then, or fail: returns 1 or 2. */
int lestL_seal(lua_State *L, const char *name, struct lest_buf *bytes);

/** The open lest.sealed at idx, borrowed, or NULL if it is something else or closed. */
struct lest_sealed *lestL_test_sealed(lua_State *L, int idx);

#endif
