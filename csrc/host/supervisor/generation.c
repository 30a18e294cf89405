#include "host/supervisor/generation.h"

#include "base/log.h"
#include "host/role/snapshot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    if (!*generation->complaint)
        snprintf(generation->complaint, sizeof generation->complaint, "%s", line + strlen("lest serve: "));
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
    generation->setup.complaint = generation->complaint;
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

static enum lest_status start_first(struct host_generation *generation, struct lest_error *err)
{
    generation->state = HOST_GENERATION_STARTING;
    return host_setup_start_authority(&generation->setup, &generation->children.authority, err);
}

/* A first generation runs no specs: there is nothing that would go on in its place. */
static enum lest_status begin_to_start(struct host_generation *generation, struct lest_error *err)
{
    if (!generation->setup.settings.policy_tests || generation->setup.number == 1)
        return start_first(generation, err);
    generation->state = HOST_GENERATION_TESTING;
    return host_setup_start_tests(&generation->setup, &generation->children.tests, err);
}

static void tests_ended(struct host_generation *generation, int exit_code, int64_t now_ms)
{
    struct lest_error err;
    if (generation->state != HOST_GENERATION_TESTING)
        return;
    if (exit_code == 0 && !start_first(generation, &err))
        return;
    if (exit_code == 0)
        failed_because(generation, &err);
    else if (!*generation->complaint)
        snprintf(generation->complaint, sizeof generation->complaint,
                 "the policies' specs were ended before they had passed");
    failed(generation, exit_code);
    host_generation_stop(generation, now_ms, true);
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
    snprintf(generation->children.tests.name, sizeof generation->children.tests.name, "tests");
    snprintf(generation->children.authority.name, sizeof generation->children.authority.name, "authority");
    snprintf(generation->children.monitor.name, sizeof generation->children.monitor.name, "monitor");
    snprintf(generation->children.control.name, sizeof generation->children.control.name, "control");
    snprintf(generation->children.backend.name, sizeof generation->children.backend.name, "backend");
    if (host_setup_prepare(&generation->setup, &generation->text, &err) || begin_to_start(generation, &err)) {
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, true);
    }
}

/* Start those that are missing from so many. */
static void start_workers(struct host_generation *generation, unsigned wanted, int64_t now_ms)
{
    struct lest_error err;
    for (unsigned i = generation->children.workers_count; i < wanted; i++) {
        struct host_child *worker = &generation->children.workers[i];
        snprintf(worker->name, sizeof worker->name, "worker %u", i + 1);
        generation->children.workers_count = i + 1;
        if (!host_setup_start_worker(&generation->setup, i, worker, &err))
            continue;
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, false);
        return;
    }
}

static enum lest_status start(struct host_generation *generation, size_t section, struct lest_error *err)
{
    const struct host_setup *setup = &generation->setup;
    switch (section) {
    case LEST_BOARD_AUTHORITY: return host_setup_start_authority(setup, &generation->children.authority, err);
    case LEST_BOARD_MONITOR: return host_setup_start_monitor(setup, &generation->children.monitor, err);
    case LEST_BOARD_BACKEND: return host_setup_start_backend(setup, &generation->children.backend, err);
    case LEST_BOARD_CONTROL: return host_setup_start_control(setup, &generation->children.control, err);
    default:
        return host_setup_start_worker(setup, (unsigned)(section - LEST_BOARD_WORKER),
                                       host_children_at(&generation->children, section), err);
    }
}

/* Start one that is no worker, where it is wanted and not there yet. False: it is to be waited
 * for. */
static bool has_beside(struct host_generation *generation, bool wanted, size_t section, int64_t now_ms)
{
    struct lest_error err;
    const struct host_child *child = host_children_at(&generation->children, section);
    if (!wanted || host_child_is_ready(child))
        return true;
    if (!child->pid && start(generation, section, &err)) {
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, false);
    }
    return false;
}

/* The last step: from now on operators come to this generation. */
static void begin_to_serve(struct host_generation *generation, int64_t now_ms)
{
    struct lest_error err;
    if (host_setup_publish(&generation->setup, &err)) {
        failed_because(generation, &err);
        host_generation_stop(generation, now_ms, false);
        return;
    }
    generation->state = HOST_GENERATION_SERVING;
    generation->children.copied_ms = 0;
}

static void step_starting(struct host_generation *generation, int64_t now_ms)
{
    /* A check ends with its children: see host_generation_ended(). */
    if (generation->setup.options->check || !host_child_is_ready(&generation->children.authority))
        return;
    if (!has_beside(generation, generation->setup.settings.backend, LEST_BOARD_BACKEND, now_ms))
        return;
    /* One before the others: what keeps it from starting would keep all, and each would say so. */
    if (!generation->children.workers_count) {
        start_workers(generation, 1, now_ms);
        return;
    }
    if (!host_children_workers_are_ready(&generation->children))
        return;
    if (generation->children.workers_count < generation->setup.settings.workers) {
        start_workers(generation, generation->setup.settings.workers, now_ms);
        return;
    }
    if (has_beside(generation, generation->setup.metrics, LEST_BOARD_MONITOR, now_ms) &&
        has_beside(generation, generation->setup.control, LEST_BOARD_CONTROL, now_ms))
        begin_to_serve(generation, now_ms);
}

/* Whether a process that ends is started again: while the workers drain, the authority and the backend
 * alone. */
static bool is_needed(const struct host_generation *generation, size_t section)
{
    if (section == LEST_BOARD_AUTHORITY)
        return true;
    if (section == LEST_BOARD_BACKEND)
        return generation->setup.settings.backend;
    return generation->state == HOST_GENERATION_SERVING &&
           (section != LEST_BOARD_MONITOR || generation->setup.metrics) &&
           (section != LEST_BOARD_CONTROL || generation->setup.control);
}

static void restart(struct host_generation *generation, int64_t now_ms)
{
    struct lest_error err;
    for (size_t i = LEST_BOARD_AUTHORITY; i < host_children_sections(&generation->children); i++) {
        struct host_child *child = host_children_at(&generation->children, i);
        if (child->pid || !is_needed(generation, i) || now_ms < child->restart_ms)
            continue;
        if (!start(generation, i, &err)) {
            lest_meter_add(lest_meter_key(LEST_METER_RESTARTS, (unsigned)i, 0, 0, 0), 1);
            continue;
        }
        lest_log(LEST_LOG_ERROR, "restart failed", "%s: %s %s", child->name, err.message, err.detail);
        child->restart_ms = now_ms + 1000;
    }
}

static void step_stopping(struct host_generation *generation, int64_t now_ms)
{
    if (generation->state == HOST_GENERATION_DRAINING &&
        host_children_workers_are_gone(&generation->children)) {
        generation->state = HOST_GENERATION_STOPPING;
        host_child_stop(&generation->children.authority,
                        now_ms + (generation->exit_code ? ABANDON_MS : STOP_MS));
        host_child_stop(&generation->children.monitor, now_ms + ABANDON_MS);
    }
    /* What the authority has asked of it may still be answered. */
    if (generation->state == HOST_GENERATION_STOPPING && !generation->children.authority.pid)
        host_child_stop(&generation->children.backend, now_ms + ABANDON_MS);
    if (generation->state == HOST_GENERATION_STOPPING && !generation->children.authority.pid &&
        !generation->children.monitor.pid && !generation->children.control.pid &&
        !generation->children.backend.pid && !generation->children.tests.pid && !generation->config_pid &&
        host_children_workers_are_gone(&generation->children))
        generation->state = HOST_GENERATION_GONE;
}

bool host_generation_asks(struct host_generation *generation)
{
    struct host_child *control = &generation->children.control;
    return control->pid && host_child_asks(control);
}

void host_generation_tell(const struct host_generation *generation, int exit_code, const char *reason)
{
    struct host_inbox_outcome outcome = { .exit_code = exit_code };
    if (!generation->children.control.pid)
        return;
    snprintf(outcome.reason, sizeof outcome.reason, "%s", reason);
    host_inbox_tell(generation->children.control.inbox, &outcome);
}

bool host_generation_is_late(const struct host_generation *generation)
{
    return generation->state == HOST_GENERATION_STARTING &&
           host_child_is_on_something(&generation->children.authority);
}

static void watch_children(struct host_generation *generation, int64_t now_ms, bool trusted)
{
    int64_t watchdog_ms = trusted ? (int64_t)generation->setup.settings.watchdog_s * 1000 : 0;
    int64_t start_ms = trusted ? HOST_START_MS : INT64_MAX;
    host_children_watch(&generation->children, now_ms, start_ms, watchdog_ms);
}

size_t host_generation_waits(const struct host_generation *generation, struct pollfd *out)
{
    size_t count = 0;
    out[count++] = (struct pollfd){ .fd = generation->output, .events = POLLIN };
    if (generation->config_pid)
        out[count++] = (struct pollfd){ .fd = generation->config_relay.fd, .events = POLLIN };
    return count + host_children_waits(&generation->children, out + count);
}

void host_generation_step(struct host_generation *generation, int64_t now_ms, bool trusted)
{
    lest_log_hold(true);
    if (generation->config_pid)
        host_relay_pass(&generation->config_relay);
    host_children_pass_lines(&generation->children);
    lest_log_hold(false);
    watch_children(generation, now_ms, trusted);
    if (generation->state == HOST_GENERATION_CONFIGURING)
        step_configuring(generation, now_ms);
    if (generation->state == HOST_GENERATION_STARTING)
        step_starting(generation, now_ms);
    step_stopping(generation, now_ms);
    if (generation->state == HOST_GENERATION_SERVING ||
        (generation->state == HOST_GENERATION_DRAINING && !generation->exit_code))
        restart(generation, now_ms);
    host_children_link(&generation->children);
    if (generation->setup.board)
        host_children_copy_meters(&generation->children, generation->setup.board, now_ms);
}

static void ended_while_starting(struct host_generation *generation, const struct host_child *child,
                                 int exit_code, int64_t now_ms)
{
    if (generation->setup.options->check && exit_code == 0) {
        bool is_first = child == &generation->children.authority;
        if ((is_first &&
             has_beside(generation, generation->setup.settings.backend, LEST_BOARD_BACKEND, now_ms)) ||
            child == &generation->children.backend)
            start_workers(generation, 1, now_ms);
        else if (!is_first)
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
    struct host_child *child = host_children_find(&generation->children, pid);
    if (!child)
        return false;
    int exit_code = host_child_ended(child, wait_status, now_ms);
    generation->children.copied_ms = 0;
    if (child == &generation->children.authority)
        host_children_unlink(&generation->children);
    if (child == &generation->children.tests)
        tests_ended(generation, exit_code, now_ms);
    else if (generation->state == HOST_GENERATION_STARTING)
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
    if (generation->children.tests.pid)
        kill(generation->children.tests.pid, SIGKILL);
    if (generation->state < HOST_GENERATION_DRAINING)
        generation->state = HOST_GENERATION_DRAINING;
    for (unsigned i = 0; i < generation->children.workers_count; i++) {
        host_child_stop(&generation->children.workers[i], now_ms + drain_ms);
        if (kill_now)
            generation->children.workers[i].kill_ms = now_ms;
    }
    host_child_stop(&generation->children.control, now_ms + drain_ms);
    if (kill_now)
        generation->children.control.kill_ms = now_ms;
    if (kill_now && generation->state == HOST_GENERATION_DRAINING)
        generation->state = HOST_GENERATION_STOPPING;
    if (generation->state == HOST_GENERATION_STOPPING) {
        host_child_stop(&generation->children.authority, now_ms + (kill_now ? ABANDON_MS : STOP_MS));
        host_child_stop(&generation->children.monitor, now_ms + ABANDON_MS);
    }
}

void host_generation_supersede(struct host_generation *generation, int64_t now_ms)
{
    host_child_stop(&generation->children.monitor, now_ms + ABANDON_MS);
    host_generation_stop(generation, now_ms, false);
}

void host_generation_free(struct host_generation *generation)
{
    if (!generation)
        return;
    host_children_free(&generation->children);
    host_setup_free(&generation->setup);
    if (generation->output >= 0)
        close(generation->output);
    lest_buf_free(&generation->text);
    free(generation);
}
