/* An errand: a process that a role forks for one command of an operator. It is the role's program as it is,
 * so that it needs no file of lest, which its account may not be able to read; it has of the role's
 * descriptors only the connection to who asked. */
#ifndef LEST_HOST_ROLE_ERRAND_H
#define LEST_HOST_ROLE_ERRAND_H

#include <lua.h>

/** process.errand(channel, seconds, fn) -> pid, input: fork. In the child fn() runs, has a loop of its own,
 *  and its result is the exit code; it is killed when the seconds are over, or the role ends. Its standard
 *  input is `input`, a file to write to, or to close. The channel is for its channel:send_wait().
 *  in_child is called there first. */
int host_errand_start(lua_State *L, void (*in_child)(void));

/** process.reap() -> pid, code: of an errand that has ended; 128 and the signal's number where one ended it.
 *  nil: there is none. */
int host_errand_reap(lua_State *L);

/** process.end_errand(pid): SIGTERM, to one that was not reaped yet. */
int host_errand_end(lua_State *L);

#endif
