/* The TCP sockets a server listens on. They belong to the supervisor, which keeps them from one generation to
 * the next as long as their addresses are configured. */
#ifndef LEST_HOST_SUPERVISOR_LISTENER_H
#define LEST_HOST_SUPERVISOR_LISTENER_H

#include "base/error.h"
#include "host/supervisor/control.h"
#include "host/supervisor/passed.h"

#include <stdbool.h>

enum { HOST_ADDRESS_MAX = 96 };

struct host_listener {
    char address[HOST_ADDRESS_MAX]; /* as configured */
    char bound[HOST_ADDRESS_MAX];   /* with the port it has */
    bool v6_only;
    bool lost; /* shut down by a child, and cannot listen again */
    int fd;
    bool is_passed; /* by the service manager, and stays open */
    unsigned users; /* generations */
};

/** All of them; a zeroed one is empty. Twice the maximum, with the monitor's: an old generation may keep its
 *  own. control: the control socket that has its name. */
struct host_listeners {
    struct host_passed passed;
    struct host_control *control;
    struct host_listener *list[2 * (HOST_LISTENERS_MAX + 1)];
};

/** The socket for each of count addresses ("ADDRESS:PORT" with a numeric address, IPv6 in brackets), taken
 *  over, passed by the service manager, or bound now; "[::]" serves IPv4 too unless "0.0.0.0" with the same
 *  port is in the list. All or none; each must be let go with host_listeners_release().
 *  Errors: LEST_E_CONFIG, LEST_E_IO */
enum lest_status host_listeners_acquire(struct host_listeners *listeners, char addresses[][HOST_ADDRESS_MAX],
                                        size_t count, struct host_listener **out,
                                        struct lest_error *err) LEST_MUST_USE;

/** Warn of each address that is no socket's which was passed, and the reverse, where any was passed. */
void host_listeners_compare(const struct host_listeners *listeners, char addresses[][HOST_ADDRESS_MAX],
                            size_t count);

/** Listen again, should a child have shut a socket down, which ends it for all that have it; and with the
 *  whole queue, which a child could have made short. */
void host_listeners_restore(struct host_listeners *listeners);

/** The server stops: listen no more as soon as the workers do not, so that who comes is refused at once and
 *  goes to another server. What was passed stays open, and who comes there waits for the next start. */
void host_listeners_close(struct host_listener **used, size_t count);

/** Let go of one use of each; the last one closes. */
void host_listeners_release(struct host_listeners *listeners, struct host_listener **used, size_t count);

#endif
