/* What a role has from its parent, the supervisor: descriptors, by their numbers, and its life. */
#ifndef LEST_HOST_ROLE_PARENT_H
#define LEST_HOST_ROLE_PARENT_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/** Where a role finds its descriptors. */
enum {
    HOST_FD_OUTPUT = 3,   /* config: where the configuration goes */
    HOST_FD_WATCHDOG = 3, /* the other roles: the watchdog's page */
    HOST_FD_CONFIG = 4,   /* the snapshot of the configuration */
    HOST_FD_INBOX = 5,    /* where it gets its channels (role/inbox.h) */
    HOST_FD_METERS = 6,   /* what it counts in (base/meter.h) */
    HOST_FD_CLOCK = 7,    /* with --clock: the injected clock, also of config */
    HOST_FD_BOARD = 8,    /* all but the authority: the board, to read */
    HOST_FD_LISTEN = 9    /* these: the first listening socket; the others follow */
};

/** The most listening sockets that a worker has. */
enum { HOST_LISTENERS_MAX = 16 };

/** Ask for SIGTERM when the parent ends, and end now if it has. Again after every change of ids, which clears
 *  it. */
void host_parent_follow(pid_t parent);

/** The same with SIGKILL, which a process cannot refuse. */
void host_parent_die_with(pid_t parent);

/** Close what a forked process has from its parent but standard input, output and error, and fd; -1: none
 *  besides. False where that cannot be. */
bool host_parent_keep_only(int fd) LEST_MUST_USE;

#endif
