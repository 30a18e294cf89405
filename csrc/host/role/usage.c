#include "host/role/usage.h"

#include "base/clock.h"
#include "base/meter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Counting the descriptors of a server with thousands of connections takes a millisecond. */
enum { EVERY_MS = 5000 };

static void show(enum lest_meter_name name, uint64_t value)
{
    lest_meter_set(lest_meter_key(name, 0, 0, 0, 0), value);
}

/* /proc/self/statm (proc_pid_statm(5)): pages of the program, then those that are resident. Where it cannot
 * be read, the value before stays. */
static void show_memory(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    const char *space = strchr(text, ' ');
    if (space)
        show(LEST_METER_MEMORY_BYTES, strtoull(space, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE));
}

/* How many are open, of so many; all are where there is none left to count them with. */
static uint64_t open_descriptors(uint64_t max)
{
    uint64_t count = 0;
    DIR *list = opendir("/proc/self/fd");
    if (!list)
        return errno == EMFILE ? max : 0;
    for (const struct dirent *entry = readdir(list); entry; entry = readdir(list))
        count += entry->d_name[0] != '.';
    closedir(list);
    return count ? count - 1 : 0; /* without that of the list */
}

static void show_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    show(LEST_METER_DESCRIPTORS, open_descriptors(limit.rlim_cur));
    show(LEST_METER_DESCRIPTORS_MAX, limit.rlim_cur);
}

void host_usage_measure(int64_t now_ms)
{
    static int64_t measured_ms, started_s;
    if (measured_ms && now_ms - measured_ms < EVERY_MS)
        return;
    measured_ms = now_ms;
    if (!started_s)
        started_s = lest_clock_wall_s();
    show(LEST_METER_STARTED_S, (uint64_t)started_s);
    show(LEST_METER_CPU_US, (uint64_t)lest_clock_cpu_us());
    show_memory();
    show_descriptors();
}
