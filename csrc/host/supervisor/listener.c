#include "host/supervisor/listener.h"

#include "base/log.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

/* "ADDRESS:PORT" in two strings */
static bool split(const char *text, char host[HOST_ADDRESS_MAX], const char **port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !colon[1])
        return false;
    const char *start = text, *end = colon;
    if (*start == '[') {
        if (end[-1] != ']')
            return false;
        start++;
        end--;
    } else if (memchr(start, ':', (size_t)(end - start))) {
        return false;
    }
    snprintf(host, HOST_ADDRESS_MAX, "%.*s", (int)(end - start), start);
    *port = colon + 1;
    return true;
}

static struct addrinfo *resolve(const char *text)
{
    char host[HOST_ADDRESS_MAX];
    const char *port;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
    struct addrinfo *found = NULL;
    if (!split(text, host, &port) || getaddrinfo(host, port, &hints, &found) != 0)
        return NULL;
    return found;
}

static bool is_wildcard_v6(const struct addrinfo *address)
{
    return address->ai_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)address->ai_addr)->sin6_addr);
}

static bool lists_v4_wildcard(char addresses[][HOST_ADDRESS_MAX], size_t count, const char *v6)
{
    char wanted[HOST_ADDRESS_MAX];
    snprintf(wanted, sizeof wanted, "0.0.0.0%s", strrchr(v6, ':'));
    for (size_t i = 0; i < count; i++)
        if (strcmp(addresses[i], wanted) == 0)
            return true;
    return false;
}

/* 0, or the errno of the failure */
static int bind_to(struct host_listener *listener, const struct addrinfo *address)
{
    int yes = 1, v6_only = listener->v6_only;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        (address->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) == 0) &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        listener->fd = fd;
        return 0;
    }
    int number = errno;
    if (fd >= 0)
        close(fd);
    return number;
}

/* A system without IPv6 still has something to say for "[::]". */
static int bind_v4_instead(struct host_listener *listener, const struct addrinfo *v6)
{
    struct sockaddr_in any = { .sin_family = AF_INET,
                               .sin_port =
                                   ((const struct sockaddr_in6 *)(const void *)v6->ai_addr)->sin6_port };
    struct addrinfo v4 = { .ai_family = AF_INET,
                           .ai_addr = (struct sockaddr *)&any,
                           .ai_addrlen = sizeof any };
    lest_log(LEST_LOG_WARNING, "no ipv6", "%s serves IPv4 only: this system has no IPv6", listener->address);
    return bind_to(listener, &v4);
}

static enum lest_status open_listener(const struct host_passed *passed, struct host_listener *listener,
                                      struct lest_error *err)
{
    struct addrinfo *address = resolve(listener->address);
    if (!address)
        return lest_error_set(err, LEST_E_CONFIG,
                              "%s is not ADDRESS:PORT with a numeric address, as 0.0.0.0:8443 or "
                              "[::]:8443",
                              listener->address);
    listener->fd = host_passed_find(passed, address->ai_addr);
    listener->is_passed = listener->fd >= 0;
    int failed = listener->is_passed ? 0 : bind_to(listener, address);
    if ((failed == EAFNOSUPPORT || failed == EADDRNOTAVAIL) && is_wildcard_v6(address) && !listener->v6_only)
        failed = bind_v4_instead(listener, address);
    freeaddrinfo(address);
    if (failed)
        return lest_error_set_errno(err, LEST_E_IO, failed, "cannot listen at %s", listener->address);
    if (!host_passed_describe(listener->fd, listener->bound, sizeof listener->bound))
        snprintf(listener->bound, sizeof listener->bound, "%s", listener->address);
    return LEST_OK;
}

static enum lest_status acquire(struct host_listeners *listeners, const char *address, bool v6_only,
                                struct host_listener **out, struct lest_error *err)
{
    enum { PLACES = sizeof listeners->list / sizeof *listeners->list };
    struct host_listener **place = NULL;
    for (size_t i = 0; i < PLACES; i++) {
        struct host_listener *listener = listeners->list[i];
        if (!listener) {
            place = place ? place : &listeners->list[i];
        } else if (strcmp(listener->address, address) == 0 && listener->v6_only == v6_only) {
            listener->users++;
            *out = listener;
            return LEST_OK;
        }
    }
    struct host_listener *made = place ? calloc(1, sizeof *made) : NULL;
    if (!made)
        return lest_error_set(err, LEST_E_NOMEM, "no room for another listening socket");
    snprintf(made->address, sizeof made->address, "%s", address);
    made->v6_only = v6_only;
    made->users = 1;
    enum lest_status status = open_listener(&listeners->passed, made, err);
    if (status) {
        free(made);
        return status;
    }
    *place = *out = made;
    return LEST_OK;
}

enum lest_status host_listeners_acquire(struct host_listeners *listeners, char addresses[][HOST_ADDRESS_MAX],
                                        size_t count, struct host_listener **out, struct lest_error *err)
{
    for (size_t i = 0; i < count; i++) {
        bool is_any = strncmp(addresses[i], "[::]:", 5) == 0;
        bool v6_only = is_any && lists_v4_wildcard(addresses, count, addresses[i]);
        enum lest_status status = acquire(listeners, addresses[i], v6_only, &out[i], err);
        if (status) {
            host_listeners_release(listeners, out, i);
            return status;
        }
    }
    return LEST_OK;
}

void host_listeners_compare(const struct host_listeners *listeners, char addresses[][HOST_ADDRESS_MAX],
                            size_t count)
{
    const struct host_passed *passed = &listeners->passed;
    bool is_used[HOST_LISTENERS_MAX] = { false };
    for (size_t i = 0; passed->count && i < count; i++) {
        struct addrinfo *address = resolve(addresses[i]);
        int fd = address ? host_passed_find(passed, address->ai_addr) : -1;
        if (address && fd < 0)
            lest_log(LEST_LOG_WARNING, "socket not passed",
                     "the configuration has %s, which the service manager did not open", addresses[i]);
        if (address)
            freeaddrinfo(address);
        for (size_t j = 0; j < passed->count; j++)
            is_used[j] = is_used[j] || passed->fds[j] == fd;
    }
    for (size_t j = 0; j < passed->count; j++) {
        char name[HOST_ADDRESS_MAX];
        if (is_used[j])
            continue;
        if (!host_passed_describe(passed->fds[j], name, sizeof name))
            snprintf(name, sizeof name, "no listening TCP socket");
        lest_log(LEST_LOG_WARNING, "socket not used",
                 "the service manager passed %s, which the configuration does not have", name);
    }
}

static void restore(struct host_listener *listener)
{
    int listening = 0;
    socklen_t size = sizeof listening;
    if (getsockopt(listener->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
        listening = 0;
    bool lost = listen(listener->fd, BACKLOG) < 0;
    if (lost && !listener->lost)
        lest_log(LEST_LOG_ERROR, "cannot listen again", "a child has shut %s down: %s", listener->bound,
                 strerror(errno));
    else if (!lost && !listening)
        lest_log(LEST_LOG_ERROR, "listening again", "a child had shut %s down", listener->bound);
    listener->lost = lost;
}

void host_listeners_restore(struct host_listeners *listeners)
{
    enum { PLACES = sizeof listeners->list / sizeof *listeners->list };
    for (size_t i = 0; i < PLACES; i++)
        if (listeners->list[i] && listeners->list[i]->fd >= 0)
            restore(listeners->list[i]);
}

static void close_own(struct host_listener *listener)
{
    if (!listener->is_passed && listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
}

void host_listeners_close(struct host_listener **used, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close_own(used[i]);
}

void host_listeners_release(struct host_listeners *listeners, struct host_listener **used, size_t count)
{
    enum { PLACES = sizeof listeners->list / sizeof *listeners->list };
    for (size_t i = 0; i < count; i++) {
        if (--used[i]->users)
            continue;
        close_own(used[i]);
        for (size_t j = 0; j < PLACES; j++)
            if (listeners->list[j] == used[i])
                listeners->list[j] = NULL;
        free(used[i]);
    }
}
