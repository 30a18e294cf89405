/* Errors (class lest.error) for the other classes. */
#ifndef LEST_LUA_ERROR_H
#define LEST_LUA_ERROR_H

#include "base/error.h"

#include <lua.h>

/** Push nil and an error made from err; return 2, for `return lestL_fail(L, &err)`. */
int lestL_fail(lua_State *L, const struct lest_error *err);

/** Push an error object (class lest.error) made from err. */
void lestL_push_error(lua_State *L, const struct lest_error *err);

/** Pushes the value that becomes core.error. */
int lestL_open_error(lua_State *L);

#endif
