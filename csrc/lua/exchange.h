/* Exchanges between Lua and C, for the server. */
#ifndef LEST_LUA_EXCHANGE_H
#define LEST_LUA_EXCHANGE_H

#include "lua/binding.h"
#include "net/exchange.h"

/** Make the class known. */
void lestL_register_exchange(lua_State *L);

/** Push the object of an exchange, a new one the first time; the registry keeps it until
 *  lestL_exchange_done(). */
void lestL_push_exchange(lua_State *L, struct net_exchange *exchange);

/** Call what exchange:on_abort() was given. */
void lestL_exchange_abort(struct net_exchange *exchange);

/** The server is through with it: from now on it lives as long as a script keeps it. */
void lestL_exchange_done(struct net_exchange *exchange);

#endif
