/* What the processes of a generation get: their command lines, the configuration and the sockets. */
#ifndef LEST_HOST_SUPERVISOR_SETUP_H
#define LEST_HOST_SUPERVISOR_SETUP_H

#include "host/supervisor/child.h"
#include "host/supervisor/listener.h"
#include "host/supervisor/settings.h"

/** For each child to become ready; for the policies' specs. */
enum { HOST_START_MS = 30000, HOST_TESTS_MS = 120000 };

/** The supervisor's command line. */
struct host_options {
    const char *config;
    const char *listen[HOST_LISTENERS_MAX]; /* instead of the configuration's */
    size_t listen_count;
    bool check;   /* only say whether it would start */
    int clock_fd; /* of an injected clock; -1 for none */
};

/** options, listeners  borrowed
 *  number              of the generation
 *  complaint           where the first error that a child tells is kept (relay.h)
 *  config_fd           the snapshot of the configuration; -1 before host_setup_prepare()
 *  board               what its processes have counted: a section each, which the supervisor copies; NULL
 *                      before host_setup_prepare()
 *  metrics, control    the monitor's socket, and the control role's; NULL where none is wanted */
struct host_setup {
    const struct host_options *options;
    struct host_listeners *listeners;
    unsigned number;
    char *complaint;
    struct host_settings settings;
    int config_fd;
    struct host_listener *listen[HOST_LISTENERS_MAX];
    size_t listen_count;
    struct host_listener *metrics;
    struct host_control *control;
    struct lest_meters *board;
    size_t board_count;
    int board_fd;
};

void host_setup_init(struct host_setup *setup, const struct host_options *options,
                     struct host_listeners *listeners, unsigned number);
void host_setup_free(struct host_setup *setup);

/** Start the config child. output: where it writes the configuration, non-blocking, the caller's; -1 if there
 *  is none. relay: for what else it writes. Errors: LEST_E_IO */
enum lest_status host_setup_start_config(const struct host_setup *setup, int *output,
                                         struct host_relay *relay, pid_t *pid,
                                         struct lest_error *err) LEST_MUST_USE;

/** Make of the config child's text what the other children need.
 *  Errors: LEST_E_CONFIG, LEST_E_IO, LEST_E_NOMEM */
enum lest_status host_setup_prepare(struct host_setup *setup, const struct lest_buf *text,
                                    struct lest_error *err) LEST_MUST_USE;

/** Give the control socket its name, where there is one. Errors: LEST_E_IO */
enum lest_status host_setup_publish(struct host_setup *setup, struct lest_error *err) LEST_MUST_USE;

/** Start what runs the policies' specs, as a worker's account, with a configuration and nothing else; it ends
 *  by itself. Errors: LEST_E_IO */
enum lest_status host_setup_start_tests(const struct host_setup *setup, struct host_child *child,
                                        struct lest_error *err) LEST_MUST_USE;

/** Start the authority; what asks CAs elsewhere; the monitor; the control role; the worker of this index,
 *  which counts from 0.
 *  Errors: LEST_E_IO */
enum lest_status host_setup_start_authority(const struct host_setup *setup, struct host_child *child,
                                            struct lest_error *err) LEST_MUST_USE;
enum lest_status host_setup_start_backend(const struct host_setup *setup, struct host_child *child,
                                          struct lest_error *err) LEST_MUST_USE;
enum lest_status host_setup_start_monitor(const struct host_setup *setup, struct host_child *child,
                                          struct lest_error *err) LEST_MUST_USE;
enum lest_status host_setup_start_control(const struct host_setup *setup, struct host_child *child,
                                          struct lest_error *err) LEST_MUST_USE;
enum lest_status host_setup_start_worker(const struct host_setup *setup, unsigned index,
                                         struct host_child *child, struct lest_error *err) LEST_MUST_USE;

#endif
