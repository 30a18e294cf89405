/* core.process: what Lua may do to the process it runs in, and what a role tells the supervisor. Only in the
 * host binary; lest.core in a stock interpreter has none. */
#ifndef LEST_HOST_PROCESS_H
#define LEST_HOST_PROCESS_H

#include "host/page.h"

#include <lua.h>
#include <sys/types.h>

/** Push the table. */
int host_open_process(lua_State *L);

/** Make this process a supervised role: `page` is marked by beat() and ready(), `parent` followed after a
 *  change of ids; with must_drop, ready() raises as long as the process is root. */
void host_process_set_role(struct host_page *page, pid_t parent, bool must_drop);

#endif
