#include "host/supervisor/children.h"

enum { COPY_MS = 500 };

struct host_child *host_children_at(struct host_children *children, size_t section)
{
    switch (section) {
    case LEST_BOARD_AUTHORITY: return &children->authority;
    case LEST_BOARD_MONITOR: return &children->monitor;
    case LEST_BOARD_CONTROL: return &children->control;
    case LEST_BOARD_BACKEND: return &children->backend;
    default: return &children->workers[section - LEST_BOARD_WORKER];
    }
}

size_t host_children_sections(const struct host_children *children)
{
    return LEST_BOARD_WORKER + children->workers_count;
}

struct host_child *host_children_find(struct host_children *children, pid_t pid)
{
    if (children->tests.pid == pid)
        return &children->tests;
    for (size_t i = LEST_BOARD_AUTHORITY; i < host_children_sections(children); i++)
        if (host_children_at(children, i)->pid == pid)
            return host_children_at(children, i);
    return NULL;
}

bool host_children_workers_are_gone(const struct host_children *children)
{
    for (unsigned i = 0; i < children->workers_count; i++)
        if (children->workers[i].pid)
            return false;
    return true;
}

bool host_children_workers_are_ready(const struct host_children *children)
{
    for (unsigned i = 0; i < children->workers_count; i++)
        if (!host_child_is_ready(&children->workers[i]))
            return false;
    return true;
}

void host_children_watch(struct host_children *children, int64_t now_ms, int64_t start_ms,
                         int64_t watchdog_ms)
{
    /* An authority that says, before it is ready, what it is on brings a ledger to its version. That takes as
     * long as the ledger is large, and would begin anew after a kill. */
    host_child_watch(&children->tests, now_ms, INT64_MAX, 0);
    bool migrates = host_child_is_on_something(&children->authority);
    for (size_t i = LEST_BOARD_AUTHORITY; i < host_children_sections(children); i++)
        host_child_watch(host_children_at(children, i), now_ms,
                         migrates && i == LEST_BOARD_AUTHORITY ? INT64_MAX : start_ms, watchdog_ms);
}

static void link_to_authority(const struct host_children *children, struct host_child *child, unsigned number,
                              enum host_inbox_role role)
{
    if (!child->pid)
        return;
    if (host_child_asks(child))
        child->is_linked = false;
    if (!child->is_linked && child->inbox >= 0 && children->authority.pid)
        child->is_linked = host_child_link(child, number, &children->authority, role);
}

void host_children_link(struct host_children *children)
{
    link_to_authority(children, &children->backend, 0, HOST_INBOX_BACKEND);
    for (unsigned i = 0; i < children->workers_count; i++) {
        struct host_child *worker = &children->workers[i];
        link_to_authority(children, worker, i + 1, HOST_INBOX_AUTHORITY);
        if (worker->pid && children->control.pid && worker->control_pid != children->control.pid &&
            worker->inbox >= 0 && host_child_link(worker, i + 1, &children->control, HOST_INBOX_CONTROL))
            worker->control_pid = children->control.pid;
    }
}

void host_children_unlink(struct host_children *children)
{
    children->backend.is_linked = false;
    for (unsigned i = 0; i < children->workers_count; i++)
        children->workers[i].is_linked = false;
}

void host_children_pass_lines(struct host_children *children)
{
    if (children->tests.pid)
        host_relay_pass(&children->tests.relay);
    for (size_t i = LEST_BOARD_AUTHORITY; i < host_children_sections(children); i++)
        if (host_children_at(children, i)->pid)
            host_relay_pass(&host_children_at(children, i)->relay);
}

static struct pollfd readable(int fd)
{
    return (struct pollfd){ .fd = fd, .events = POLLIN };
}

size_t host_children_waits(const struct host_children *children, struct pollfd *out)
{
    size_t count = 0;
    if (children->tests.pid)
        out[count++] = readable(children->tests.relay.fd);
    if (children->authority.pid)
        out[count++] = readable(children->authority.relay.fd);
    if (children->monitor.pid)
        out[count++] = readable(children->monitor.relay.fd);
    if (children->control.pid)
        out[count++] = readable(children->control.relay.fd);
    if (children->control.pid)
        out[count++] = readable(children->control.inbox);
    if (children->backend.pid) {
        out[count++] = readable(children->backend.relay.fd);
        out[count++] = readable(children->backend.inbox);
    }
    for (unsigned i = 0; i < children->workers_count; i++)
        if (children->workers[i].pid) {
            out[count++] = readable(children->workers[i].relay.fd);
            out[count++] = readable(children->workers[i].inbox);
        }
    return count;
}

/* A process that was taken over may have written anything: each has a section of its own, so that it
 * changes no other's numbers. */
void host_children_copy_meters(struct host_children *children, struct lest_meters *board, int64_t now_ms)
{
    if (children->copied_ms && now_ms - children->copied_ms < COPY_MS)
        return;
    children->copied_ms = now_ms;
    lest_meters_copy(&board[LEST_BOARD_SUPERVISOR], lest_meters_get0());
    for (size_t i = LEST_BOARD_AUTHORITY; i < host_children_sections(children); i++)
        if (host_children_at(children, i)->meters)
            lest_meters_copy(&board[i], host_children_at(children, i)->meters);
}

void host_children_free(struct host_children *children)
{
    host_child_free(&children->tests);
    for (size_t i = LEST_BOARD_AUTHORITY; i < host_children_sections(children); i++)
        host_child_free(host_children_at(children, i));
}
