/* One process of a generation, as the supervisor sees it: started, watched, started again with a delay
 * that grows, stopped. */
#ifndef LEST_HOST_SUPERVISOR_CHILD_H
#define LEST_HOST_SUPERVISOR_CHILD_H

#include "base/error.h"
#include "base/meter.h"
#include "host/role/inbox.h"
#include "host/role/watchdog.h"
#include "host/supervisor/relay.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Zeroed and named, it is not running, and never was.
 *  name        "authority", "worker 1"
 *  kept        what its processes keep for those that follow; "" for nothing
 *  meters      what its processes count in, one after the other; NULL before the first
 *  restart_ms  not before this time
 *  kill_ms     SIGKILL at this time; 0 is never */
struct host_child {
    char name[24];
    pid_t pid;
    struct host_watchdog *watchdog;
    char kept[HOST_WATCHDOG_KEPT_MAX + 1];
    struct lest_meters *meters;
    int meters_fd;           /* with meters */
    struct host_relay relay; /* while it runs */
    int inbox;               /* the supervisor's end, while it runs; -1: the child has closed its own */
    bool is_linked;          /* a worker, the backend: it was given a channel to the authority */
    pid_t control_pid;       /* a worker: which control role it was given a channel to; 0 for none */
    int64_t started_ms;
    int64_t restart_ms;
    int64_t kill_ms;
    unsigned backoff_ms;
    bool stopping;
};

/** Start it. argv as for host_spawn(); fds[0], fds[2] and fds[3] are set to its new watchdog page and inbox,
 *  and to its meters. */
enum lest_status host_child_start(struct host_child *child, char *const argv[], int *fds, size_t fds_count,
                                  struct lest_error *err) LEST_MUST_USE;

/** Whether it runs and has said that it serves. */
bool host_child_is_ready(const struct host_child *child);

/** Whether it runs and has said what it is on (process.beat). */
bool host_child_is_on_something(const struct host_child *child);

/** Give a worker, the number-th, and one of the other roles the two ends of a new channel.
 *  False: one cannot take it. */
bool host_child_link(struct host_child *worker, unsigned number, const struct host_child *other,
                     enum host_inbox_role role);

/** Whether a worker has asked for a channel since. */
bool host_child_asks(struct host_child *worker);

/** SIGTERM now, SIGKILL at kill_ms. Nothing if it is not running or stopping already. */
void host_child_stop(struct host_child *child, int64_t kill_ms);

/** Kill it if its time is over, if it did not become ready in start_ms, or if it is ready and has not beaten
 *  for watchdog_ms (0: no watchdog). */
void host_child_watch(struct host_child *child, int64_t now_ms, int64_t start_ms, int64_t watchdog_ms);

/** It has ended with this wait status: say so, with the request it was on, and choose restart_ms. Returns the
 *  exit code, 1 for a signal. */
int host_child_ended(struct host_child *child, int wait_status, int64_t now_ms);

/** Let go of what is kept from one process to the next. */
void host_child_free(struct host_child *child);

#endif
