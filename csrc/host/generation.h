/* One configuration and the processes that serve it: the config child, then the authority, then the workers.
 * A generation that fails to start stops what it had started and is gone. */
#ifndef LEST_HOST_GENERATION_H
#define LEST_HOST_GENERATION_H

#include "host/listener.h"
#include "host/member.h"
#include "host/settings.h"

/** The supervisor's command line. */
struct host_options {
    const char *config;
    const char *listen[HOST_LISTENERS_MAX]; /* instead of the configuration's */
    size_t listen_count;
    bool check; /* only say whether it would start */
};

enum host_generation_state {
    HOST_GENERATION_CONFIGURING,
    HOST_GENERATION_STARTING,
    HOST_GENERATION_SERVING,
    HOST_GENERATION_DRAINING, /* workers finish, the authority still serves them */
    HOST_GENERATION_STOPPING, /* the authority finishes */
    HOST_GENERATION_GONE
};

struct host_generation {
    enum host_generation_state state;
    unsigned number;
    int exit_code; /* why it failed to start; 0 if it did not */
    const struct host_options *options;
    struct host_listeners *listeners;

    pid_t config_pid;
    int config_status; /* wait status once config_pid is 0 */
    int output;        /* the config child's, -1 at its end */
    struct lest_buf text;
    int64_t deadline_ms;

    struct host_settings settings;
    int config_fd;
    int authority_fd;
    char authority_address[HOST_ADDRESS_MAX];
    uid_t worker_uid, authority_uid;
    struct host_listener *listen[HOST_LISTENERS_MAX];
    size_t listen_count;

    struct host_member authority;
    struct host_member workers[HOST_WORKERS_MAX];
    unsigned workers_count;
};

/** Begin with the config child. options and listeners are borrowed for its life; *out is the caller's.
 *  number is 1 for the first one. Errors: LEST_E_NOMEM, LEST_E_IO */
enum lest_status host_generation_new(const struct host_options *options, struct host_listeners *listeners,
                                     unsigned number, struct host_generation **out,
                                     struct lest_error *err) LEST_MUST_USE;

/** Do what is due. trusted is false while the supervisor itself has just been late (a machine that slept, a
 *  stopped process group): then nobody is killed for being late. */
void host_generation_step(struct host_generation *generation, int64_t now_ms, bool trusted);

/** A process has ended: true if it was one of this generation's. */
bool host_generation_ended(struct host_generation *generation, pid_t pid, int wait_status, int64_t now_ms);

/** Stop: the workers within drain_s, then the authority. kill_now: without waiting. */
void host_generation_stop(struct host_generation *generation, int64_t now_ms, bool kill_now);

/** Free one that is GONE. NULL is fine. */
void host_generation_free(struct host_generation *generation);

#endif
