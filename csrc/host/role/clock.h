/* An injected clock (base/clock_file.h), as the command line names it: `lest --clock FILE COMMAND...`.
 * Nothing else makes a process go by one. */
#ifndef LEST_HOST_ROLE_CLOCK_H
#define LEST_HOST_ROLE_CLOCK_H

#include "base/error.h"

#include <lua.h>

/** Go by the clock of a file, from the command line on. Errors: those of lest_clock_file_open() */
enum lest_status host_clock_follow(const char *path, struct lest_error *err) LEST_MUST_USE;

/** os.time() and os.date() of Lua, too, ask lest's clock where they are given no time. */
void host_clock_replace_os(lua_State *L);

/** process.make_clock(path, wall_us) -> true | nil, err: make an injected clock, and go by it.
 *  process.set_clock(wall_us) sets the one that was made. Neither is for roles of a server.
 *  process.clock() -> the path that the command line has named, for `lest serve` to hand on, or nil */
int host_clock_make(lua_State *L);
int host_clock_set(lua_State *L);
int host_clock_get(lua_State *L);

#endif
