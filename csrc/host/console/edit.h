/* Line editing for the REPL, and code that Ctrl-C can interrupt: the module lest.edit of the host binary. */
#ifndef LEST_HOST_CONSOLE_EDIT_H
#define LEST_HOST_CONSOLE_EDIT_H

#include <lua.h>

/** An opener for package.preload. */
int host_edit_open(lua_State *L);

#endif
