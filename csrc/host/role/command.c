#include "host/role/command.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a process group of its own, so that what it starts can be ended with it. */
static enum lest_status start(char *const argv[], int output, pid_t *pid, struct lest_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = posix_spawnattr_init(&attributes);
    if (failed)
        return lest_error_set_errno(err, LEST_E_IO, failed, "%s: cannot be run", argv[0]);
    failed = posix_spawn_file_actions_init(&actions);
    if (failed) {
        posix_spawnattr_destroy(&attributes);
        return lest_error_set_errno(err, LEST_E_IO, failed, "%s: cannot be run", argv[0]);
    }
    failed = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (!failed)
        failed = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed ? lest_error_set_errno(err, LEST_E_IO, failed, "%s: cannot be run", argv[0]) : LEST_OK;
}

static enum lest_status read_until(int fd, int64_t deadline_ms, const char *name, struct lest_buf *out,
                                   struct lest_error *err)
{
    for (;;) {
        char piece[512];
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        int64_t left = deadline_ms - lest_clock_monotonic_ms();
        int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return lest_error_set(err, LEST_E_TIMEOUT, "%s: takes too long to answer", name);
        ssize_t got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return lest_buf_status(out, err);
        lest_buf_append(out, piece, (size_t)got);
        lest_wipe(piece, sizeof piece);
        if (out->failed)
            return lest_buf_status(out, err);
    }
}

enum lest_status host_command_read(char *const argv[], int timeout_ms, struct lest_buf *out,
                                   struct lest_error *err)
{
    int ends[2], wait_status = 0;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "%s: cannot be run", argv[0]);
    enum lest_status status = start(argv, ends[1], &pid, err);
    close(ends[1]);
    if (status) {
        close(ends[0]);
        return status;
    }
    status = read_until(ends[0], lest_clock_monotonic_ms() + timeout_ms, argv[0], out, err);
    close(ends[0]);
    if (status)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
    }
    if (!status && !(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0))
        status = lest_error_set(err, LEST_E_IO, "%s: failed (status %d)", argv[0],
                                WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -WTERMSIG(wait_status));
    return status;
}
