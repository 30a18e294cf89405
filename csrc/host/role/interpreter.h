/* The embedded interpreter: where its modules are, and how a Lua function becomes a process's main. */
#ifndef LEST_HOST_ROLE_INTERPRETER_H
#define LEST_HOST_ROLE_INTERPRETER_H

#include <lauxlib.h>

/** A state with the standard libraries and lest.core. package.path and package.cpath start with the
 *  folders that belong to this binary (../share/lua/5.4 and ../lib/lua/5.4 from it), so that it works from
 *  the build tree and installed.
 *  more  other modules that require() finds, ended by a NULL name; NULL: none
 *  fields  of lest.core, ended by NULL; NULL: all
 *  NULL: it cannot be made, which was said on standard error. */
lua_State *host_interpreter_new(const luaL_Reg *more, const char *const fields[]);

/** require(module).main{ argv[1], ... } and the integer it returns as exit code; the global `arg` is set
 *  as lua does. An error that escapes is printed in one line (with its traceback if LEST_TRACEBACK is set)
 *  and gives 1. */
int host_interpreter_main(lua_State *L, const char *module, int argc, char **argv);

#endif
