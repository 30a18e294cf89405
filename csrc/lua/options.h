/* Option tables of the binding: the one reader, which knows every key that is allowed. */
#ifndef LEST_LUA_OPTIONS_H
#define LEST_LUA_OPTIONS_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __clang_analyzer__
/* What the analyzer cannot know: that these do not return, or never NULL.
 * NOLINTBEGIN(readability-redundant-declaration): declared again to say so. */
int luaL_error(lua_State *L, const char *fmt, ...) __attribute__((analyzer_noreturn));
int luaL_argerror(lua_State *L, int arg, const char *extramsg) __attribute__((analyzer_noreturn));
void *luaL_checkudata(lua_State *L, int ud, const char *tname) __attribute__((returns_nonnull));
/* NOLINTEND(readability-redundant-declaration) */
#endif

/** Raise if the table at idx has a key that is not in known (ended by NULL); names the bad key and the
 *  nearest right one. idx may hold nil or none. */
void lestL_check_options(lua_State *L, int idx, const char *const known[]);

/** How many entries the table at idx, an absolute index, has: against those that were read, whether there are
 *  others. */
size_t lestL_count_entries(lua_State *L, int idx);

/** Fields of an option table; absent gives the default. A value of another type raises with the key. */
const char *lestL_opt_string(lua_State *L, int idx, const char *key, const char *absent);
lua_Integer lestL_opt_integer(lua_State *L, int idx, const char *key, lua_Integer absent);
bool lestL_opt_boolean(lua_State *L, int idx, const char *key, bool absent);

/** The name in known (ended by NULL) nearest to name, or NULL if none is near. */
const char *lestL_nearest(const char *name, const char *const known[]);

#endif
