/* Channels for C that has a connected socket. */
#ifndef LEST_LUA_CHANNEL_H
#define LEST_LUA_CHANNEL_H

#include "base/error.h"

#include <lua.h>

/** Push a lest.channel over a connected socket; nothing is read before it has a handler. *fd is the channel's
 *  from then on, and -1, even on failure; where memory is short it raises, and *fd is still the caller's.
 *  Errors: LEST_E_IO, LEST_E_NOMEM; nothing is pushed then */
enum lest_status lestL_channel_push(lua_State *L, int *fd, struct lest_error *err) LEST_MUST_USE;

/** The descriptor of the open lest.channel at idx, which stays the channel's; -1 where its peer is gone.
 *  Raises for anything else. */
int lestL_channel_fd(lua_State *L, int idx);

#endif
