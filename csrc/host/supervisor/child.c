#include "host/supervisor/child.h"

#include "base/clock.h"
#include "base/log.h"
#include "host/role/page.h"
#include "host/supervisor/spawn.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 5000, STEADY_MS = 10000 };

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* What the supervisor has of a process that runs. */
static void let_go(struct host_child *child)
{
    host_relay_close(&child->relay);
    close_fd(child->inbox);
    child->inbox = -1;
    host_watchdog_free(child->watchdog);
    child->watchdog = NULL;
}

static enum lest_status make_meters(struct host_child *child, struct lest_error *err)
{
    void *page;
    enum lest_status status =
        host_page_new("lest-meters", sizeof *child->meters, false, &page, &child->meters_fd, err);
    child->meters = page;
    return status;
}

enum lest_status host_child_start(struct host_child *child, char *const argv[], int *fds, size_t fds_count,
                                  struct lest_error *err)
{
    int output = -1, inbox[2] = { -1, -1 };
    child->relay.fd = -1;
    enum lest_status status = host_watchdog_new(&child->watchdog, &fds[0], err);
    if (!status && *child->kept)
        host_watchdog_keep(child->watchdog, child->kept);
    if (!status && !child->meters)
        status = make_meters(child, err);
    fds[3] = child->meters ? child->meters_fd : -1;
    if (!status)
        status = host_relay_open(&child->relay, &output, err);
    if (!status)
        status = host_inbox_new(inbox, err);
    fds[2] = inbox[1];
    child->inbox = inbox[0];
    child->is_linked = false;
    child->control_pid = 0;
    if (!status)
        status = host_spawn(argv, fds, fds_count, output, &child->pid, err);
    close_fd(fds[0]);
    close_fd(fds[2]);
    close_fd(output);
    if (status) {
        let_go(child);
        return status;
    }
    child->started_ms = lest_clock_monotonic_ms();
    child->kill_ms = 0;
    child->stopping = false;
    struct lest_log_field fields[] = { lest_log_text("child", child->name),
                                       lest_log_integer("child_pid", child->pid) };
    lest_log_write(LEST_LOG_INFO, "child started", fields, 2);
    return LEST_OK;
}

bool host_child_is_ready(const struct host_child *child)
{
    return child->pid && host_watchdog_is_ready(child->watchdog);
}

bool host_child_is_on_something(const struct host_child *child)
{
    char request[HOST_WATCHDOG_REQUEST_MAX + 1] = "";
    if (child->pid)
        host_watchdog_request(child->watchdog, request);
    return *request != '\0';
}

bool host_child_link(struct host_child *worker, unsigned number, const struct host_child *other,
                     enum host_inbox_role role)
{
    int ends[2];
    struct host_inbox_label label = { number, (uint32_t)worker->pid, role };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return false;
    bool linked =
        host_inbox_put(other->inbox, &label, ends[0]) && host_inbox_put(worker->inbox, &label, ends[1]);
    close(ends[0]);
    close(ends[1]);
    return linked;
}

bool host_child_asks(struct host_child *worker)
{
    bool ended = false;
    bool asks = worker->inbox >= 0 && host_inbox_is_asked(worker->inbox, &ended);
    if (ended) {
        close(worker->inbox);
        worker->inbox = -1;
    }
    return asks;
}

void host_child_stop(struct host_child *child, int64_t kill_ms)
{
    if (!child->pid || child->stopping)
        return;
    child->stopping = true;
    child->kill_ms = kill_ms;
    kill(child->pid, SIGTERM);
}

static void kill_because(struct host_child *child, const char *event)
{
    char request[HOST_WATCHDOG_REQUEST_MAX + 1];
    host_watchdog_request(child->watchdog, request);
    struct lest_log_field fields[] = { lest_log_text("child", child->name),
                                       lest_log_integer("child_pid", child->pid),
                                       lest_log_text("request", request) };
    lest_log_write(LEST_LOG_ERROR, event, fields, *request ? 3 : 2);
    kill(child->pid, SIGKILL);
}

void host_child_watch(struct host_child *child, int64_t now_ms, int64_t start_ms, int64_t watchdog_ms)
{
    const char *why = NULL;
    if (!child->pid)
        return;
    host_relay_tell(&child->relay);
    bool ready = host_watchdog_is_ready(child->watchdog);
    if (child->kill_ms && now_ms >= child->kill_ms)
        why = "child did not stop in time";
    else if (!ready && !child->stopping && now_ms - child->started_ms >= start_ms)
        why = "child did not start in time";
    else if (ready && watchdog_ms && host_watchdog_age_ms(child->watchdog) > watchdog_ms)
        why = "child stuck";
    if (!why)
        return;
    kill_because(child, why);
    /* Once a second at most, until the kernel is done with it. */
    child->kill_ms = now_ms + 1000;
}

static void say_end(const struct host_child *child, int wait_status)
{
    char request[HOST_WATCHDOG_REQUEST_MAX + 1];
    struct lest_log_field fields[4] = { lest_log_text("child", child->name),
                                        lest_log_integer("child_pid", child->pid) };
    size_t count = 2;
    /* One that cannot start says itself why: in a check that is all there is to say. */
    bool well = child->stopping && WIFEXITED(wait_status) &&
                (WEXITSTATUS(wait_status) == 0 || !host_watchdog_is_ready(child->watchdog));
    if (WIFSIGNALED(wait_status))
        fields[count++] = lest_log_integer("signal", WTERMSIG(wait_status));
    else
        fields[count++] = lest_log_integer("status", WEXITSTATUS(wait_status));
    host_watchdog_request(child->watchdog, request);
    if (*request)
        fields[count++] = lest_log_text("request", request);
    lest_log_write(well ? LEST_LOG_INFO : LEST_LOG_ERROR, "child ended", fields, count);
}

int host_child_ended(struct host_child *child, int wait_status, int64_t now_ms)
{
    host_relay_close(&child->relay);
    say_end(child, wait_status);
    if (now_ms - child->started_ms >= STEADY_MS || child->backoff_ms == 0)
        child->backoff_ms = BACKOFF_MIN_MS;
    else
        child->backoff_ms = child->backoff_ms * 2 < BACKOFF_MAX_MS ? child->backoff_ms * 2 : BACKOFF_MAX_MS;
    child->restart_ms = now_ms + child->backoff_ms;
    child->pid = 0;
    child->kill_ms = 0;
    host_watchdog_kept(child->watchdog, child->kept);
    lest_meters_end(child->meters);
    let_go(child);
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
}

void host_child_free(struct host_child *child)
{
    if (child->meters)
        close(child->meters_fd);
    host_page_free(child->meters, sizeof *child->meters);
    child->meters = NULL;
}
