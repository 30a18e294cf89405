/* process.program({ program, arguments... }, { input = text, timeout_ms = n, max = bytes, log = path,
 *   callback = fn, environment = { "NAME=VALUE", ... }, tail = false }) -> program | nil, err
 *
 * Runs another program beside the loop: without a shell, found along PATH, in a process group of its own. It
 * reads `input` and ends with the role. fn(ended) is called once: output and errors are what it wrote, of the
 * latter the beginning; code is its exit code, or nil with `late` (it took longer than timeout_ms), `large`
 * (it printed more than max) or `signal` (what ended it). program:stop() asks it to end, by SIGTERM; one that
 * is closed is killed, with what it started, and calls nothing.
 *
 * In place of the program's words, a function: it runs in a process of its own, which is this one as it is at
 * that moment, but with a loop of its own and no descriptors but the first three and that of `keep`, a
 * lest.lock. It hears no signal but SIGKILL, dies with this process, and what it returns, a string, is its
 * output. Its errors are this process's.
 *
 * log          its errors are appended to that file
 * environment  all that it finds there, in place of this process's; it has a session of its own then
 * tail         it may print without end: the last of its output and errors is kept */
#ifndef LEST_HOST_ROLE_PROGRAM_H
#define LEST_HOST_ROLE_PROGRAM_H

#include <lua.h>

/** The function above; argv is a userdata on top of the stack (process.c), which keeps its strings. */
int host_program_start(lua_State *L, char *const *argv);

/** Make its class, once a state. */
void host_program_register(lua_State *L);

#endif
