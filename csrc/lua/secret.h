/* The cost of scrypt as an option table. */
#ifndef LEST_LUA_SECRET_H
#define LEST_LUA_SECRET_H

#include "pki/key/secret.h"

#include <lua.h>

/** { n =, r =, p = } at idx, each absent one the default's; raises for a cost out of bounds. */
struct pki_secret_cost lestL_opt_cost(lua_State *L, int idx);

#endif
