/* What the supervisor takes from the configuration. The config child that sends it has evaluated Lua that
 * lest did not write, so every value is checked. The rest is an opaque text that is handed to the roles. */
#ifndef LEST_HOST_SUPERVISOR_SETTINGS_H
#define LEST_HOST_SUPERVISOR_SETTINGS_H

#include "base/buf.h"
#include "host/role/privilege.h"
#include "host/supervisor/control.h"
#include "host/supervisor/listener.h"

enum { HOST_WORKERS_MAX = 256, HOST_SETTINGS_MAX = 16 * 1024 };

struct host_settings {
    char listen[HOST_LISTENERS_MAX][HOST_ADDRESS_MAX];
    size_t listen_count;
    size_t plain_count;             /* the last ones, which speak plain HTTP */
    char metrics[HOST_ADDRESS_MAX]; /* where the monitor listens; "" for none */
    struct host_control_wish control;
    char user[HOST_USER_MAX];           /* "" if absent */
    char authority_user[HOST_USER_MAX]; /* "" if absent */
    char backend_user[HOST_USER_MAX];   /* "" if absent */
    unsigned workers;
    unsigned watchdog_s; /* 0: no watchdog */
    unsigned drain_s;
    unsigned shutdown_delay_s; /* between SIGTERM and the drain */
    unsigned policy_tests;     /* 1: a reload runs the policies' specs first */
    unsigned backend;          /* 1: a CA is elsewhere */
    size_t config_offset;      /* where the text for the roles starts */
};

/** Read lines `key=value` up to an empty line: listen (repeated), listen_http (repeated, after listen),
 *  metrics, control, control_mode, control_group, user, authority_user, backend_user, backend, workers,
 *  watchdog_s, drain_s, shutdown_delay_s, policy_tests. Without workers there is one a processor.
 *  Errors: LEST_E_CONFIG */
enum lest_status host_settings_parse(const struct lest_buf *text, struct host_settings *out,
                                     struct lest_error *err) LEST_MUST_USE;

#endif
