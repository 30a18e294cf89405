/* The memory of a role: what a storm of connections needed goes back to the system when it is over. */
#ifndef LEST_HOST_ROLE_MEMORY_H
#define LEST_HOST_ROLE_MEMORY_H

#include <stdbool.h>

/** For a process that serves: keep more at the end of the heap than by default, and
 *  grow it in larger steps. */
void host_memory_tune(void);

/** Called now and then: give memory back when much of it is free, and the process is quiet. It costs nothing
 *  otherwise. True: something was given back. */
bool host_memory_trim(void);

#endif
