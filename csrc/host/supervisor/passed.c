#include "host/supervisor/passed.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

int host_passed_take(struct host_passed *passed)
{
    const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
    long wanted = count && pid && strtol(pid, NULL, 10) == getpid() ? strtol(count, NULL, 10) : 0;
    passed->count = 0;
    while ((long)passed->count < wanted && passed->count < HOST_LISTENERS_MAX) {
        int fd = FIRST_FD + (int)passed->count;
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            break;
        passed->fds[passed->count++] = fd;
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    return FIRST_FD + (int)passed->count;
}

static int option(int fd, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

/* The address of a listening TCP socket; false for anything else. */
static bool get_address(int fd, struct sockaddr_storage *out)
{
    socklen_t len = sizeof *out;
    memset(out, 0, sizeof *out);
    return option(fd, SO_TYPE) == SOCK_STREAM && option(fd, SO_ACCEPTCONN) == 1 &&
           getsockname(fd, (struct sockaddr *)out, &len) == 0 &&
           (out->ss_family == AF_INET || out->ss_family == AF_INET6);
}

static bool is_same(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
        return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
    return x->sin6_port == y->sin6_port && memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

int host_passed_find(const struct host_passed *passed, const struct sockaddr *address)
{
    for (size_t i = 0; i < passed->count; i++) {
        struct sockaddr_storage name;
        if (get_address(passed->fds[i], &name) && is_same((struct sockaddr *)&name, address))
            return passed->fds[i];
    }
    return -1;
}

bool host_passed_describe(int fd, char *out, size_t size)
{
    struct sockaddr_storage name;
    char host[64], port[8];
    if (!get_address(fd, &name) || getnameinfo((struct sockaddr *)&name, sizeof name, host, sizeof host, port,
                                               sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    snprintf(out, size, name.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return true;
}
