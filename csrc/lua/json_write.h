/* core.json's writer, and what a value of Lua stands for in JSON where its type does not say it. */
#ifndef LEST_LUA_JSON_WRITE_H
#define LEST_LUA_JSON_WRITE_H

#include <lua.h>
#include <stdbool.h>

/** Names of metatables: that of an object which may be empty, and null, which is one itself. */
#define LESTL_JSON_OBJECT "lest.json.object"
#define LESTL_JSON_NULL "lest.json.null"

/** Whether the value at idx is json.null. */
bool lestL_json_is_null(lua_State *L, int idx);

/** json.encode(value [, indent]); raises for what JSON has no words for. */
int lestL_json_encode(lua_State *L);

#endif
