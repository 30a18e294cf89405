/* What core.http_client uses of its connections. */
#ifndef LEST_LUA_DIAL_H
#define LEST_LUA_DIAL_H

#include "http/text.h"
#include "net/client.h"

#include <lua.h>

void lestL_register_dial(lua_State *L);

/** client:connect(options), where the client is at index 1; see dial.c */
int lestL_dial(lua_State *L, struct net_client *client);

/** Push a list of { name, value }. */
void lestL_push_headers(lua_State *L, const struct http_header *headers, size_t count);

#endif
