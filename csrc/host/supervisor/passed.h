/* Sockets that a service manager has opened and passed (sd_listen_fds(3)). Each is used for the address of
 * `listen` that it has; the supervisor keeps it as long as it runs, since the manager does. */
#ifndef LEST_HOST_SUPERVISOR_PASSED_H
#define LEST_HOST_SUPERVISOR_PASSED_H

#include "host/role/parent.h"

#include <stdbool.h>
#include <sys/socket.h>

struct host_passed {
    int fds[HOST_LISTENERS_MAX];
    size_t count;
};

/** Take LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES from the environment, and what they say was passed:
 *  descriptors from 3 on, which are made close-on-exec and non-blocking. Returns the first
 *  descriptor after them. */
int host_passed_take(struct host_passed *passed);

/** The listening stream socket that has this address; -1: none was passed. */
int host_passed_find(const struct host_passed *passed, const struct sockaddr *address);

/** The address of one, as "127.0.0.1:8443" or "[::]:8443"; false where it is no listening TCP socket. */
bool host_passed_describe(int fd, char *out, size_t size);

#endif
