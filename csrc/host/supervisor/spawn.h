/* Starting this binary again in another role: fork and exec, so that a child shares neither the address-space
 * layout nor the canaries of its parent, with the descriptors it is given and no other. */
#ifndef LEST_HOST_SUPERVISOR_SPAWN_H
#define LEST_HOST_SUPERVISOR_SPAWN_H

#include "base/error.h"

#include <stddef.h>
#include <sys/types.h>

/** The most descriptors that one process is given. */
enum { HOST_SPAWN_FDS_MAX = 32 };

/** argv ends with NULL. fds[i] becomes descriptor 3 + i; -1 leaves a hole. Standard input is /dev/null. The
 *  child has the signal mask of a fresh process, ignores SIGINT and SIGHUP (they are the supervisor's), and
 *  gets SIGTERM when this process ends. Errors: LEST_E_IO */
enum lest_status host_spawn(char *const argv[], const int *fds, size_t fds_count, pid_t *out,
                            struct lest_error *err) LEST_MUST_USE;

/** Close every descriptor from `first` on. */
void host_spawn_close_from(int first);

#endif
