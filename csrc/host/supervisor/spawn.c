#include "host/supervisor/spawn.h"

#include "host/role/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { OUT_OF_THE_WAY = HOST_FD_LISTEN + HOST_SPAWN_FDS_MAX };

void host_spawn_close_from(int first)
{
    struct rlimit limit;
    if (close_range((unsigned)first, UINT_MAX, 0) == 0)
        return;
    /* Before Linux 5.9. */
    int end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT_MAX ? (int)limit.rlim_cur : 65536;
    for (int fd = first; fd < end; fd++)
        close(fd);
}

/* Two steps, since a source may have the number that another one shall get. */
static int place(const int *fds, size_t count)
{
    int moved[HOST_SPAWN_FDS_MAX];
    for (size_t i = 0; i < count; i++) {
        moved[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
        if (fds[i] >= 0 && moved[i] < 0)
            return -1;
    }
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || dup2(input, STDIN_FILENO) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        int number = 3 + (int)i;
        if (moved[i] < 0)
            close(number);
        else if (dup2(moved[i], number) < 0)
            return -1;
    }
    host_spawn_close_from(3 + (int)count);
    return 0;
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, number == SIGINT || number == SIGHUP || number == SIGPIPE ? SIG_IGN : SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become(char *const argv[], const int *fds, size_t count, pid_t parent)
{
    static const char failed[] = "lest: a child process cannot be started\n";
    struct rlimit limit;
    reset_signals();
    host_parent_follow(parent);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    /* A role that crashes while it reads a key must not leave it in a core file. */
    limit = (struct rlimit){ 0, 0 };
    setrlimit(RLIMIT_CORE, &limit);
    if (place(fds, count) == 0)
        execve("/proc/self/exe", argv, environ);
    if (write(STDERR_FILENO, failed, sizeof failed - 1) < 0) {
    }
    _exit(127);
}

enum lest_status host_spawn(char *const argv[], const int *fds, size_t fds_count, pid_t *out,
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
        become(argv, fds, fds_count, parent);
    return LEST_OK;
}
