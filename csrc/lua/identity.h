#ifndef LEST_LUA_IDENTITY_H
#define LEST_LUA_IDENTITY_H

#include "net/identity.h"

#include "lua/binding.h"

/** Push an object for an identity that is asked for; it has a reference of its own. */
void lestL_push_identity(lua_State *L, struct net_identity *identity);

/** Make its class, once a state. */
void lestL_register_identity(lua_State *L);

#endif
