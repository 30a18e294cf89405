/* Starting this binary again in another role: fork and exec, so that a child shares neither the address-space
 * layout nor the canaries of its parent, with the descriptors it is given and no other. */
#ifndef LEST_HOST_SUPERVISOR_SPAWN_H
#define LEST_HOST_SUPERVISOR_SPAWN_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** The most descriptors that one process is given. */
enum { HOST_SPAWN_FDS_MAX = 32 };

/** argv ends with NULL. fds[i] becomes descriptor 3 + i; -1 leaves a hole. Standard input is /dev/null,
 *  standard output and error are `output`. The child has a session of its own, without a terminal that it
 *  could type into, and the signal mask of a fresh process; it ignores SIGINT and SIGHUP (they are the
 *  supervisor's), and gets SIGTERM when this process ends. One that cannot be executed says why on `output`,
 *  and ends with 127.
 *  Errors: LEST_E_IO */
enum lest_status host_spawn(char *const argv[], const int *fds, size_t fds_count, int output, pid_t *out,
                            struct lest_error *err) LEST_MUST_USE;

/** Close every descriptor from `first` on. False: they cannot be known, and may be open. */
bool host_spawn_close_from(int first) LEST_MUST_USE;

#endif
