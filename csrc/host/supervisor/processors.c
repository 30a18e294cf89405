#include "host/supervisor/processors.h"

#include "base/file.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char ROOT[] = "/sys/fs/cgroup";

static unsigned count_allowed(void)
{
    cpu_set_t allowed;
    /* It fails where there are more than a cpu_set_t has room for. */
    long count = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed)
                                                                     : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (unsigned)count;
}

/* A small file of the kernel as a string. */
static bool read_text(const char *path, char *out, size_t size)
{
    struct lest_error err;
    struct lest_buf text;
    lest_buf_init(&text, size - 1);
    bool done = !lest_file_read(path, &text, &err);
    snprintf(out, size, "%.*s", done ? (int)text.len : 0, done ? (const char *)text.data : "");
    lest_buf_free(&text);
    return done;
}

/* What "QUOTA PERIOD" is worth, UINT_MAX for "max PERIOD" and for what is neither. */
static unsigned worth(const char *text)
{
    char *end;
    unsigned long quota = strtoul(text, &end, 10);
    unsigned long period = end > text ? strtoul(end, NULL, 10) : 0;
    if (!quota || !period)
        return UINT_MAX;
    unsigned long count = quota / period + (quota % period != 0);
    return count < UINT_MAX ? (unsigned)count : UINT_MAX;
}

/* The quota of each group from this process's up to the root that it sees. */
static unsigned count_quota(void)
{
    char groups[8192], path[PATH_MAX], text[64];
    unsigned least = UINT_MAX;
    if (!read_text("/proc/self/cgroup", groups, sizeof groups))
        return least;
    const char *line = strncmp(groups, "0::", 3) == 0 ? groups : strstr(groups, "\n0::");
    if (!line)
        return least;
    line = strchr(line, '/');
    size_t len = line ? strcspn(line, "\n") : 0;
    while (len > 0) {
        snprintf(path, sizeof path, "%s%.*s/cpu.max", ROOT, (int)len, line);
        unsigned count = read_text(path, text, sizeof text) ? worth(text) : UINT_MAX;
        least = count < least ? count : least;
        do
            len--;
        while (len > 0 && line[len] != '/');
    }
    snprintf(path, sizeof path, "%s/cpu.max", ROOT);
    unsigned count = read_text(path, text, sizeof text) ? worth(text) : UINT_MAX;
    return count < least ? count : least;
}

unsigned host_processors_count(void)
{
    unsigned allowed = count_allowed(), quota = count_quota();
    return allowed < quota ? allowed : quota;
}
