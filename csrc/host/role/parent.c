#include "host/role/parent.h"

#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static void end_by(unsigned long number, pid_t parent)
{
    /* A parent that ended before prctl() sends no signal: then init has adopted us. */
    if (prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) < 0 || getppid() != parent)
        _exit(1);
}

void host_parent_follow(pid_t parent)
{
    end_by(SIGTERM, parent);
}

void host_parent_die_with(pid_t parent)
{
    end_by(SIGKILL, parent);
}

bool host_parent_keep_only(int fd)
{
    if (fd <= STDERR_FILENO)
        return close_range(STDERR_FILENO + 1, UINT_MAX, 0) == 0;
    for (int i = STDERR_FILENO + 1; i < fd; i++)
        close(i);
    return close_range((unsigned)fd + 1, UINT_MAX, 0) == 0;
}
