#include "host/role/notify.h"

#include "base/clock.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* While something takes long, the manager is asked every EXTEND_MS to wait EXTEND_BY_MS longer. */
enum { EXTEND_MS = 5000, EXTEND_BY_MS = 30000, TEXT_MAX = 2048 };

static struct {
    int fd;
    struct sockaddr_un name;
    socklen_t name_len;
    int64_t watchdog_ms; /* 0: none */
    int64_t next_beat_ms;
    int64_t next_extension_ms;
} manager = { .fd = -1 };

static void tell(const char *text)
{
    /* A manager that does not listen is told nothing. */
    if (manager.fd >= 0 && sendto(manager.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                                  (const struct sockaddr *)&manager.name, manager.name_len) < 0) {
    }
}

/* "/path" or "@name", as sd_notify(3) has it */
static void open_socket(const char *address)
{
    size_t len = address ? strlen(address) : 0;
    if (len < 2 || len >= sizeof manager.name.sun_path || (*address != '/' && *address != '@'))
        return;
    manager.name.sun_family = AF_UNIX;
    memcpy(manager.name.sun_path, address, len);
    if (*address == '@')
        manager.name.sun_path[0] = '\0';
    manager.name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void host_notify_open(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    open_socket(getenv("NOTIFY_SOCKET"));
    if (usec && (!pid || strtol(pid, NULL, 10) == getpid()))
        manager.watchdog_ms = strtoll(usec, NULL, 10) / 1000;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void host_notify_ready(const char *status)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "READY=1\nSTATUS=%s", status);
    tell(text);
}

void host_notify_status(const char *status)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "STATUS=%s", status);
    tell(text);
}

void host_notify_reloading(void)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading",
             (long long)lest_clock_monotonic_ms() * 1000);
    tell(text);
}

void host_notify_stopping(void)
{
    tell("STOPPING=1\nSTATUS=stopping");
}

void host_notify_turn(int64_t now_ms, bool is_late)
{
    char text[TEXT_MAX];
    if (manager.watchdog_ms > 0 && now_ms >= manager.next_beat_ms) {
        tell("WATCHDOG=1");
        manager.next_beat_ms = now_ms + manager.watchdog_ms / 3;
    }
    if (is_late && now_ms >= manager.next_extension_ms) {
        snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%d000\nSTATUS=bringing the ledger to this version",
                 (int)EXTEND_BY_MS);
        tell(text);
        manager.next_extension_ms = now_ms + EXTEND_MS;
    }
}
