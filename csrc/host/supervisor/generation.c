#include "host/supervisor/generation.h"

#include "base/log.h"
#include "host/role/snapshot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* STOP_MS          for an authority to finish
 * ABANDON_MS       for the children of a generation that failed to start
 * DRAIN_MARGIN_MS  a worker ends by itself at drain_s */
enum { STOP_MS = 5000, ABANDON_MS = 2000, DRAIN_MARGIN_MS = 500 };

static void failed(struct host_generation *generation, int exit_code)
{
    if (!generation->exit_code)
        generation->exit_code = exit_code == 2 ? 2 : 1;
}

static void failed_because(struct host_generation *generation, const struct lest_error *err)
{
    const char *colon = *err->detail ? ": " : "";
    char line[1024];
    int len = snprintf(line, sizeof line, "lest serve: %s%s%s", err->message, colon, err->detail);
    if (generation->setup.options->check)
        lest_log_add_line(line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
    else
        lest_log(LEST_LOG_ERROR, "start failed", "%s%s%s", err->message, colon, err->detail);
    failed(generation, lest_status_exit_code(err->status));
}

enum lest_status host_generation_new(const struct host_options *options, struct host_listeners *listeners,
                                     unsigned number, struct host_generation **out, struct lest_error *err)
{
    *out = NULL;
    struct host_generation *generation = calloc(1, sizeof *generation);
    if (!generation)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    host_setup_init(&generation->setup, options, listeners, number);
    lest_buf_init(&generation->text, HOST_SETTINGS_MAX + HOST_CONFIG_MAX);
    enum lest_status status = host_setup_start_config(
        &generation->setup, &generation->output, &generation->config_relay, &generation->config_pid, err);
    if (status) {
        host_generation_free(generation);
        return status;
    }
    *out = generation;
    return LEST_OK;
}

static void read_output(struct host_generation *generation)
{
    while (generation->output >= 0) {
        uint8_t *room = lest_buf_reserve(&generation->text, 4096);
        ssize_t got = room ? read(generation->output, room, 4096) : 0;
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got > 0) {
            generation->text.len += (size_t)got;
            continue;
        }
        close(generation->output);
        generation->output = -1;
    }
}

static void step_configuring(struct host_generation *generation, int64_t now_ms)
{
    struct lest_error err;
    if (!generation->deadline_ms)
        generation->deadline_ms = now_ms + HOST_START_MS;
    read_output(generation);
    if (generation->config_pid && now_ms >= generation->deadline_ms) {
        lest_error_set(&err, LEST_E_CONFIG, "the configuration took too long");
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, true);
    }
    if (generation->config_pid || (generation->output >= 0 && now_ms < generation->deadline_ms))
        return;
    if (!WIFEXITED(generation->config_status) || WEXITSTATUS(generation->config_status) != 0) {
        /* It has said why. */
        failed(generation, WIFEXITED(generation->config_status) ? WEXITSTATUS(generation->config_status) : 1);
        host_generation_stop(generation, now_ms, true);
        return;
    }
    generation->state = HOST_GENERATION_STARTING;
    snprintf(generation->authority.name, sizeof generation->authority.name, "authority");
    if (host_setup_prepare(&generation->setup, &generation->text, &err) ||
        host_setup_start_authority(&generation->setup, &generation->authority, &err)) {
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, true);
    }
}

static void start_workers(struct host_generation *generation, int64_t now_ms)
{
    struct lest_error err;
    unsigned wanted = generation->setup.options->check ? 1 : generation->setup.settings.workers;
    for (unsigned i = 0; i < wanted; i++) {
        struct host_child *worker = &generation->workers[i];
        snprintf(worker->name, sizeof worker->name, "worker %u", i + 1);
        generation->workers_count = i + 1;
        if (!host_setup_start_worker(&generation->setup, i, worker, &err))
            continue;
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, false);
        return;
    }
}

static void step_starting(struct host_generation *generation, int64_t now_ms)
{
    /* A check ends with its children: see host_generation_ended(). */
    if (generation->setup.options->check || !host_child_is_ready(&generation->authority))
        return;
    if (!generation->workers_count) {
        start_workers(generation, now_ms);
        return;
    }
    for (unsigned i = 0; i < generation->workers_count; i++)
        if (!host_child_is_ready(&generation->workers[i]))
            return;
    generation->state = HOST_GENERATION_SERVING;
}

static void restart(struct host_generation *generation, int64_t now_ms)
{
    struct lest_error err;
    struct host_child *authority = &generation->authority;
    if (!authority->pid && now_ms >= authority->restart_ms &&
        host_setup_start_authority(&generation->setup, authority, &err)) {
        lest_log(LEST_LOG_ERROR, "restart failed", "authority: %s %s", err.message, err.detail);
        authority->restart_ms = now_ms + 1000;
    }
    for (unsigned i = 0; generation->state == HOST_GENERATION_SERVING && i < generation->workers_count; i++) {
        struct host_child *worker = &generation->workers[i];
        if (!worker->pid && now_ms >= worker->restart_ms &&
            host_setup_start_worker(&generation->setup, i, worker, &err)) {
            lest_log(LEST_LOG_ERROR, "restart failed", "%s: %s %s", worker->name, err.message, err.detail);
            worker->restart_ms = now_ms + 1000;
        }
    }
}

static bool workers_are_gone(const struct host_generation *generation)
{
    for (unsigned i = 0; i < generation->workers_count; i++)
        if (generation->workers[i].pid)
            return false;
    return true;
}

static void step_stopping(struct host_generation *generation, int64_t now_ms)
{
    if (generation->state == HOST_GENERATION_DRAINING && workers_are_gone(generation)) {
        generation->state = HOST_GENERATION_STOPPING;
        host_child_stop(&generation->authority, now_ms + (generation->exit_code ? ABANDON_MS : STOP_MS));
    }
    if (generation->state == HOST_GENERATION_STOPPING && !generation->authority.pid &&
        !generation->config_pid && workers_are_gone(generation))
        generation->state = HOST_GENERATION_GONE;
}

bool host_generation_is_late(const struct host_generation *generation)
{
    return generation->state == HOST_GENERATION_STARTING &&
           host_child_is_on_something(&generation->authority);
}

static void watch_children(struct host_generation *generation, int64_t now_ms, bool trusted)
{
    int64_t watchdog_ms = trusted ? (int64_t)generation->setup.settings.watchdog_s * 1000 : 0;
    int64_t start_ms = trusted ? HOST_START_MS : INT64_MAX;
    /* An authority that says, before it is ready, what it is on brings a ledger to its version. That takes as
     * long as the ledger is large, and would begin anew after a kill. */
    bool migrates = host_child_is_on_something(&generation->authority);
    host_child_watch(&generation->authority, now_ms, migrates ? INT64_MAX : start_ms, watchdog_ms);
    for (unsigned i = 0; i < generation->workers_count; i++)
        host_child_watch(&generation->workers[i], now_ms, start_ms, watchdog_ms);
}

/* Each worker that runs has one channel to the authority that runs, and another one when it asks. */
static void link_workers(struct host_generation *generation)
{
    for (unsigned i = 0; i < generation->workers_count; i++) {
        struct host_child *worker = &generation->workers[i];
        if (!worker->pid)
            continue;
        if (host_child_asks(worker))
            worker->is_linked = false;
        if (!worker->is_linked && worker->inbox >= 0 && generation->authority.pid)
            worker->is_linked = host_child_link(worker, i + 1, &generation->authority);
    }
}

static void pass_lines(struct host_generation *generation)
{
    if (generation->config_pid)
        host_relay_pass(&generation->config_relay);
    if (generation->authority.pid)
        host_relay_pass(&generation->authority.relay);
    for (unsigned i = 0; i < generation->workers_count; i++)
        if (generation->workers[i].pid)
            host_relay_pass(&generation->workers[i].relay);
}

size_t host_generation_waits(const struct host_generation *generation, struct pollfd *out)
{
    size_t count = 0;
    out[count++] = (struct pollfd){ .fd = generation->output, .events = POLLIN };
    if (generation->config_pid)
        out[count++] = (struct pollfd){ .fd = generation->config_relay.fd, .events = POLLIN };
    if (generation->authority.pid)
        out[count++] = (struct pollfd){ .fd = generation->authority.relay.fd, .events = POLLIN };
    for (unsigned i = 0; i < generation->workers_count; i++)
        if (generation->workers[i].pid) {
            out[count++] = (struct pollfd){ .fd = generation->workers[i].relay.fd, .events = POLLIN };
            out[count++] = (struct pollfd){ .fd = generation->workers[i].inbox, .events = POLLIN };
        }
    return count;
}

void host_generation_step(struct host_generation *generation, int64_t now_ms, bool trusted)
{
    pass_lines(generation);
    watch_children(generation, now_ms, trusted);
    if (generation->state == HOST_GENERATION_CONFIGURING)
        step_configuring(generation, now_ms);
    if (generation->state == HOST_GENERATION_STARTING)
        step_starting(generation, now_ms);
    step_stopping(generation, now_ms);
    if (generation->state == HOST_GENERATION_SERVING ||
        (generation->state == HOST_GENERATION_DRAINING && !generation->exit_code))
        restart(generation, now_ms);
    link_workers(generation);
}

static struct host_child *find_child(struct host_generation *generation, pid_t pid)
{
    if (generation->authority.pid == pid)
        return &generation->authority;
    for (unsigned i = 0; i < generation->workers_count; i++)
        if (generation->workers[i].pid == pid)
            return &generation->workers[i];
    return NULL;
}

static void ended_while_starting(struct host_generation *generation, const struct host_child *child,
                                 int exit_code, int64_t now_ms)
{
    if (generation->setup.options->check && exit_code == 0) {
        if (child == &generation->authority)
            start_workers(generation, now_ms);
        else
            host_generation_stop(generation, now_ms, false);
        return;
    }
    failed(generation, exit_code);
    host_generation_stop(generation, now_ms, false);
}

bool host_generation_ended(struct host_generation *generation, pid_t pid, int wait_status, int64_t now_ms)
{
    if (pid == generation->config_pid) {
        host_relay_close(&generation->config_relay);
        generation->config_pid = 0;
        generation->config_status = wait_status;
        return true;
    }
    struct host_child *child = find_child(generation, pid);
    if (!child)
        return false;
    int exit_code = host_child_ended(child, wait_status, now_ms);
    for (unsigned i = 0; child == &generation->authority && i < generation->workers_count; i++)
        generation->workers[i].is_linked = false;
    if (generation->state == HOST_GENERATION_STARTING)
        ended_while_starting(generation, child, exit_code, now_ms);
    return true;
}

void host_generation_stop(struct host_generation *generation, int64_t now_ms, bool kill_now)
{
    int64_t drain_ms = kill_now ? 0
                       : generation->exit_code
                           ? ABANDON_MS
                           : (int64_t)generation->setup.settings.drain_s * 1000 + DRAIN_MARGIN_MS;
    if (generation->config_pid)
        kill(generation->config_pid, SIGKILL);
    if (generation->state < HOST_GENERATION_DRAINING)
        generation->state = HOST_GENERATION_DRAINING;
    for (unsigned i = 0; i < generation->workers_count; i++) {
        host_child_stop(&generation->workers[i], now_ms + drain_ms);
        if (kill_now)
            generation->workers[i].kill_ms = now_ms;
    }
    if (kill_now && generation->state == HOST_GENERATION_DRAINING)
        generation->state = HOST_GENERATION_STOPPING;
    if (generation->state == HOST_GENERATION_STOPPING)
        host_child_stop(&generation->authority, now_ms + (kill_now ? ABANDON_MS : STOP_MS));
}

void host_generation_free(struct host_generation *generation)
{
    if (!generation)
        return;
    host_setup_free(&generation->setup);
    if (generation->output >= 0)
        close(generation->output);
    lest_buf_free(&generation->text);
    free(generation);
}
