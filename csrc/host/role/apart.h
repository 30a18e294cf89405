/* A Lua function in a process of its own (process.program, program.h). */
#ifndef LEST_HOST_ROLE_APART_H
#define LEST_HOST_ROLE_APART_H

#include <lua.h>
#include <sys/types.h>

/** In the process that was forked for it: run the function at index 1, write the string that it returns, and
 *  end, with 0 where it has returned one. Does not return.
 *  ends    become its standard input, output and error
 *  keep    a descriptor that stays open besides; -1: none
 *  parent  dies with it */
void host_apart_run(lua_State *L, const int ends[3], int keep, pid_t parent) __attribute__((noreturn));

#endif
