#include "host/member.h"

#include "base/clock.h"
#include "base/log.h"
#include "host/child.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 5000, STEADY_MS = 10000 };

static struct lest_log_field text(const char *key, const char *value)
{
    return (struct lest_log_field){ key, LEST_LOG_TEXT, value, strlen(value), 0 };
}

static struct lest_log_field integer(const char *key, int64_t value)
{
    return (struct lest_log_field){ .key = key, .kind = LEST_LOG_INTEGER, .integer = value };
}

enum lest_status host_member_start(struct host_member *member, char *const argv[], int *fds, size_t fds_count,
                                   struct lest_error *err)
{
    int page_fd;
    enum lest_status status = host_page_new(&member->page, &page_fd, err);
    if (status)
        return status;
    fds[0] = page_fd;
    status = host_child_start(argv, fds, fds_count, &member->pid, err);
    close(page_fd);
    if (status) {
        host_page_free(member->page);
        member->page = NULL;
        return status;
    }
    member->started_ms = lest_clock_monotonic_ms();
    member->kill_ms = 0;
    member->stopping = false;
    struct lest_log_field fields[] = { text("child", member->name), integer("child_pid", member->pid) };
    lest_log_write(LEST_LOG_INFO, "child started", fields, 2);
    return LEST_OK;
}

bool host_member_is_ready(const struct host_member *member)
{
    return member->pid && host_page_is_ready(member->page);
}

void host_member_stop(struct host_member *member, int64_t kill_ms)
{
    if (!member->pid || member->stopping)
        return;
    member->stopping = true;
    member->kill_ms = kill_ms;
    kill(member->pid, SIGTERM);
}

static void kill_because(struct host_member *member, const char *event)
{
    char request[HOST_PAGE_REQUEST_MAX + 1];
    host_page_request(member->page, request);
    struct lest_log_field fields[] = { text("child", member->name), integer("child_pid", member->pid),
                                       text("request", request) };
    lest_log_write(LEST_LOG_ERROR, event, fields, *request ? 3 : 2);
    kill(member->pid, SIGKILL);
}

void host_member_watch(struct host_member *member, int64_t now_ms, int64_t start_ms, int64_t watchdog_ms)
{
    const char *why = NULL;
    if (!member->pid)
        return;
    bool ready = host_page_is_ready(member->page);
    if (member->kill_ms && now_ms >= member->kill_ms)
        why = "child did not stop in time";
    else if (!ready && !member->stopping && now_ms - member->started_ms >= start_ms)
        why = "child did not start in time";
    else if (ready && watchdog_ms && host_page_age_ms(member->page) > watchdog_ms)
        why = "child stuck";
    if (!why)
        return;
    kill_because(member, why);
    /* Once a second at most, until the kernel is done with it. */
    member->kill_ms = now_ms + 1000;
}

static void say_end(const struct host_member *member, int wait_status)
{
    char request[HOST_PAGE_REQUEST_MAX + 1];
    struct lest_log_field fields[4] = { text("child", member->name), integer("child_pid", member->pid) };
    size_t count = 2;
    /* One that cannot start says itself why: in a check that is all there is to say. */
    bool well = member->stopping && WIFEXITED(wait_status) &&
                (WEXITSTATUS(wait_status) == 0 || !host_page_is_ready(member->page));
    if (WIFSIGNALED(wait_status))
        fields[count++] = integer("signal", WTERMSIG(wait_status));
    else
        fields[count++] = integer("status", WEXITSTATUS(wait_status));
    host_page_request(member->page, request);
    if (*request)
        fields[count++] = text("request", request);
    lest_log_write(well ? LEST_LOG_INFO : LEST_LOG_ERROR, "child ended", fields, count);
}

int host_member_ended(struct host_member *member, int wait_status, int64_t now_ms)
{
    say_end(member, wait_status);
    if (now_ms - member->started_ms >= STEADY_MS || member->backoff_ms == 0)
        member->backoff_ms = BACKOFF_MIN_MS;
    else
        member->backoff_ms =
            member->backoff_ms * 2 < BACKOFF_MAX_MS ? member->backoff_ms * 2 : BACKOFF_MAX_MS;
    member->restart_ms = now_ms + member->backoff_ms;
    member->pid = 0;
    member->kill_ms = 0;
    host_page_free(member->page);
    member->page = NULL;
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
}
