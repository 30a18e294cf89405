/* What the reader and the writer of core.json share. */
#ifndef LEST_LUA_JSON_H
#define LEST_LUA_JSON_H

#include <lua.h>
#include <stdbool.h>

/** Whether the value at idx is json.null. */
bool lestL_json_is_null(lua_State *L, int idx);

/** Whether the table at idx is one of json.object(), or an empty object that was read. */
bool lestL_json_is_object(lua_State *L, int idx);

/** json.encode(value [, indent]); raises for what JSON has no words for. */
int lestL_json_encode(lua_State *L);

#endif
