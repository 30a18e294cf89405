/* core.process: what Lua may do to the process it runs in, and what a role tells the supervisor. Only in the
 * host binary; lest.core in a stock interpreter has none. */
#ifndef LEST_HOST_ROLE_PROCESS_H
#define LEST_HOST_ROLE_PROCESS_H

#include "host/role/watchdog.h"

#include <lua.h>
#include <sys/types.h>

/** Push the table. */
int host_open_process(lua_State *L);

/** Make this process a supervised role: `watchdog` is marked by beat() and ready(), `parent` followed after a
 *  change of ids; with must_drop, ready() raises as long as the process is root. */
void host_process_set_role(struct host_watchdog *watchdog, pid_t parent, bool must_drop);

/** Before the interpreter and its loop go. */
void host_process_end(void);

#endif
