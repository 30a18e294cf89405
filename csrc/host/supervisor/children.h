/* The processes that serve a generation, each in its section of the board (base/meter.h): what is done to all
 * of them alike. */
#ifndef LEST_HOST_SUPERVISOR_CHILDREN_H
#define LEST_HOST_SUPERVISOR_CHILDREN_H

#include "host/supervisor/child.h"
#include "host/supervisor/settings.h"

#include <poll.h>

/** Zeroed, none was ever started.
 *  copied_ms  when the board was; 0: it must be */
struct host_children {
    struct host_child authority, monitor, control, backend;
    struct host_child tests; /* of the policies, before the others; in no section */
    struct host_child workers[HOST_WORKERS_MAX];
    unsigned workers_count;
    int64_t copied_ms;
};

/** The child of a section from LEST_BOARD_AUTHORITY on, below host_children_sections(). */
struct host_child *host_children_at(struct host_children *children, size_t section);
size_t host_children_sections(const struct host_children *children);

/** The one that has this process; NULL: none. */
struct host_child *host_children_find(struct host_children *children, pid_t pid);

bool host_children_workers_are_gone(const struct host_children *children);
bool host_children_workers_are_ready(const struct host_children *children);

/** host_child_watch() for each; an authority that brings a ledger to its version may take as long as it
 *  likes. */
void host_children_watch(struct host_children *children, int64_t now_ms, int64_t start_ms,
                         int64_t watchdog_ms);

/** Give each worker that runs, and the backend, one channel to the authority that runs, and another one when
 *  it asks; and each worker one to the control role that runs. */
void host_children_link(struct host_children *children);

/** The authority has ended, and with it all channels to it. */
void host_children_unlink(struct host_children *children);

/** Pass on what they have written to standard error. */
void host_children_pass_lines(struct host_children *children);

/** What to wait for: their pipes and inboxes. Returns how many of HOST_CHILDREN_WAITS_MAX. */
enum { HOST_CHILDREN_WAITS_MAX = 2 * HOST_WORKERS_MAX + 7 };
size_t host_children_waits(const struct host_children *children, struct pollfd *out);

/** Copy what they, and the supervisor, have counted to the board, where it was not done just before. */
void host_children_copy_meters(struct host_children *children, struct lest_meters *board, int64_t now_ms);

/** Let go of what is kept of them; none may run. */
void host_children_free(struct host_children *children);

#endif
