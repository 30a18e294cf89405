/* What was on the wire, as tables. */
#ifndef LEST_LUA_SEEN_H
#define LEST_LUA_SEEN_H

#include "net/seen.h"

#include <lua.h>

/** Push { trust, version, cipher, group, protocol, host, chain, path, ... } of a client's peer. */
void lestL_push_client_peer(lua_State *L, const struct net_client_peer *peer);

/** Push { sent, received, address, port, reused, tls, times }. May raise for want of memory. */
void lestL_push_seen(lua_State *L, const struct net_seen *seen);

#endif
