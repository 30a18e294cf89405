/* Starting this binary again in another role: fork and exec, so that a child shares neither the address-space
 * layout nor the canaries of its parent, with the descriptors it is given and no other. */
#ifndef LEST_HOST_CHILD_H
#define LEST_HOST_CHILD_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Where a child finds its descriptors. */
enum {
    HOST_FD_OUTPUT = 3,    /* config: where the configuration goes */
    HOST_FD_PAGE = 3,      /* the other roles: the watchdog's page */
    HOST_FD_CONFIG = 4,    /* the configuration, sealed */
    HOST_FD_AUTHORITY = 5, /* authority: its bound socket */
    HOST_FD_LISTEN = 6     /* worker: the first listening socket; the others follow */
};
enum { HOST_CHILD_FDS_MAX = 32 };

/** argv ends with NULL. fds[i] becomes descriptor 3 + i; -1 leaves a hole. Standard input is /dev/null. The
 *  child has the signal mask of a fresh process, ignores SIGINT and SIGHUP (they are the supervisor's), and
 *  gets SIGTERM when this process ends. Errors: LEST_E_IO */
enum lest_status host_child_start(char *const argv[], const int *fds, size_t fds_count, pid_t *out,
                                  struct lest_error *err) LEST_MUST_USE;

/** In a child: ask for SIGTERM when the parent ends, and end now if it has. Again after every change of ids,
 *  which clears it. */
void host_child_follow(pid_t parent);

/** Close every descriptor from `first` on. */
void host_child_close_from(int first);

#endif
