/* TLS contexts between Lua and C, for the server. */
#ifndef LEST_LUA_TLS_H
#define LEST_LUA_TLS_H

#include "lua/binding.h"
#include "net/tls.h"

/** The context at idx, borrowed while it is on the stack; something else raises. */
struct net_tls *lestL_check_tls(lua_State *L, int idx);

#endif
