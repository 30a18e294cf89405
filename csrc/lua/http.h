/* What other files of the binding use of core.http. */
#ifndef LEST_LUA_HTTP_H
#define LEST_LUA_HTTP_H

#include <lua.h>

/** http.media_type(value), which is est.media_type too. */
int lestL_http_media_type(lua_State *L);

#endif
