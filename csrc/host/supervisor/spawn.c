#include "host/supervisor/spawn.h"

#include "host/role/parent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { OUT_OF_THE_WAY = HOST_FD_LISTEN + HOST_SPAWN_FDS_MAX };

bool host_spawn_close_from(int first)
{
    if (close_range((unsigned)first, UINT_MAX, 0) == 0)
        return true;
    /* Before Linux 5.9, and where a filter refuses it. */
    DIR *list = opendir("/proc/self/fd");
    if (!list)
        return false;
    for (struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (fd >= first && fd != dirfd(list))
            close(fd);
    }
    closedir(list);
    return true;
}

/* Two steps, since a source may have the number that another one shall get. */
static bool place(const int *fds, size_t count, int output)
{
    int moved[HOST_SPAWN_FDS_MAX];
    for (size_t i = 0; i < count; i++) {
        moved[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
        if (fds[i] >= 0 && moved[i] < 0)
            return false;
    }
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        int number = 3 + (int)i;
        if (moved[i] < 0)
            close(number);
        else if (dup2(moved[i], number) < 0)
            return false;
    }
    return host_spawn_close_from(3 + (int)count);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, number == SIGINT || number == SIGHUP || number == SIGPIPE ? SIG_IGN : SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A role that crashes while it reads a key must not leave it in a core file. */
static void forbid_core(void)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
}

static void become(char *const argv[], const int *fds, size_t count, int output, pid_t parent)
{
    reset_signals();
    setsid();
    host_parent_follow(parent);
    forbid_core();
    const char *failed = "its standard error";
    if (dup2(output, STDERR_FILENO) >= 0)
        failed = "its descriptors";
    if (place(fds, count, output)) {
        failed = "/proc/self/exe";
        execve(failed, argv, environ);
    }
    dprintf(STDERR_FILENO, "lest: a child process cannot be started: %s: %s\n", failed, strerror(errno));
    _exit(127);
}

enum lest_status host_spawn(char *const argv[], const int *fds, size_t fds_count, int output, pid_t *out,
                            struct lest_error *err)
{
    if (fds_count > HOST_SPAWN_FDS_MAX)
        return lest_error_set(err, LEST_E_INTERNAL, "too many descriptors for a child");
    pid_t parent = getpid();
    *out = fork();
    if (*out < 0) {
        *out = 0;
        return lest_error_set_errno(err, LEST_E_IO, errno, "a child process cannot be started");
    }
    if (*out == 0)
        become(argv, fds, fds_count, output, parent);
    return LEST_OK;
}
