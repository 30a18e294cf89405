/* Stores between Lua and C, for the TLS contexts. */
#ifndef LEST_LUA_STORE_H
#define LEST_LUA_STORE_H

#include "lua/binding.h"
#include "pki/x509/store.h"

/** The store at idx, borrowed while it is on the stack; something else raises. */
struct pki_store *lestL_check_store(lua_State *L, int idx);

#endif
