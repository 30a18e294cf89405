/* One configuration and the processes that serve it: the config child, then the authority, then the backend
 * where a CA is elsewhere, then the workers, then the monitor and the control role where they are wanted.
 *
 *   CONFIGURING --> STARTING --> SERVING
 *        |             |            |  (host_generation_stop(), after a newer one serves or a signal)
 *        |             |            v
 *        +-------------+-------> DRAINING --> STOPPING --> GONE
 *     (a child has failed,          |             ^
 *      or is too late)              +-------------+ (kill_now, or no worker is left)
 *
 * CONFIGURING waits for the config child, and TESTING, between it and STARTING where it is wanted, for the
 * policies' specs; STARTING for the authority, then for the workers, then for the
 * monitor and the control role to be ready, DRAINING for the workers to end while the authority still
 * serves them and the monitor tells of it, STOPPING for all to end. A generation that fails to start stops
 * what it had started and is GONE. In a check there is no SERVING: each child ends by itself, and the end of
 * the only worker stops the generation. */
#ifndef LEST_HOST_SUPERVISOR_GENERATION_H
#define LEST_HOST_SUPERVISOR_GENERATION_H

#include "host/supervisor/children.h"
#include "host/supervisor/setup.h"

enum host_generation_state {
    HOST_GENERATION_CONFIGURING,
    HOST_GENERATION_TESTING,
    HOST_GENERATION_STARTING,
    HOST_GENERATION_SERVING,
    HOST_GENERATION_DRAINING,
    HOST_GENERATION_STOPPING,
    HOST_GENERATION_GONE
};

/** exit_code      why it failed to start; 0 if it did not
 *  config_status  wait status once config_pid is 0
 *  complaint      why, in the words of the first that failed; "" where nobody has said anything
 *  output         the config child's, -1 at its end
 *  text           what came of it */
struct host_generation {
    enum host_generation_state state;
    int exit_code;
    char complaint[HOST_RELAY_COMPLAINT_MAX + 1];
    struct host_setup setup;
    pid_t config_pid;
    int config_status;
    struct host_relay config_relay; /* while config_pid */
    int output;
    struct lest_buf text;
    int64_t deadline_ms;
    struct host_children children;
};

/** Begin with the config child. options and listeners are borrowed for its life; *out is the caller's.
 *  number is 1 for the first one. Errors: LEST_E_NOMEM, LEST_E_IO */
enum lest_status host_generation_new(const struct host_options *options, struct host_listeners *listeners,
                                     unsigned number, struct host_generation **out,
                                     struct lest_error *err) LEST_MUST_USE;

/** Do what is due. trusted is false while the supervisor itself has just been late (a machine that slept, a
 *  stopped process group): then nobody is killed for being late. */
void host_generation_step(struct host_generation *generation, int64_t now_ms, bool trusted);

/** What the supervisor waits for: the pipes and inboxes of its children. Returns how many of
 *  HOST_GENERATION_WAITS_MAX. */
enum { HOST_GENERATION_WAITS_MAX = HOST_CHILDREN_WAITS_MAX + 2 };
size_t host_generation_waits(const struct host_generation *generation, struct pollfd *out);

/** Whether it starts with what takes longer than a start: a ledger that is brought to this version. */
bool host_generation_is_late(const struct host_generation *generation);

/** A process has ended: true if it was one of this generation's. */
bool host_generation_ended(struct host_generation *generation, pid_t pid, int wait_status, int64_t now_ms);

/** Stop: the workers within drain_s, then the authority. kill_now: without waiting. */
void host_generation_stop(struct host_generation *generation, int64_t now_ms, bool kill_now);

/** Another one serves in its place: stop, the monitor at once, since they listen at one socket. */
void host_generation_supersede(struct host_generation *generation, int64_t now_ms);

/** Whether its control role has asked for a reload since. */
bool host_generation_asks(struct host_generation *generation);

/** Tell its control role what came of a reload: 0, or why another generation does not serve. */
void host_generation_tell(const struct host_generation *generation, int exit_code, const char *reason);

/** Free one that is GONE. NULL is fine. */
void host_generation_free(struct host_generation *generation);

#endif
