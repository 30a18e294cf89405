#include "net/route.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel's notes of changes have at most 8 KiB: what is longer is cut, and counts as a change. */
enum { DATAGRAM_MAX = 8192, DATAGRAMS_PER_TURN = 64 };

struct net_route {
    int fd;
    struct event *readable;
    void (*changed)(void *arg);
    void *arg;
};

/* A route to other machines: not this machine's own addresses, nor the broadcasts of a network. */
static bool is_new_route(const unsigned char *body, size_t len)
{
    struct rtmsg route;
    if (len < sizeof route)
        return false;
    memcpy(&route, body, sizeof route);
    return route.rtm_type == RTN_UNICAST && route.rtm_scope < RT_SCOPE_HOST;
}

/* An address that is ready for use, beyond this machine and its link. */
static bool is_new_address(const unsigned char *body, size_t len)
{
    struct ifaddrmsg address;
    if (len < sizeof address)
        return false;
    memcpy(&address, body, sizeof address);
    return !(address.ifa_flags & IFA_F_TENTATIVE) && address.ifa_scope < RT_SCOPE_LINK;
}

/* Whether one of the messages of a datagram says that a network may be there. What follows a length that
 * cannot be is not read. */
static bool has_news(const unsigned char *data, size_t len)
{
    struct nlmsghdr header;
    while (len >= sizeof header) {
        memcpy(&header, data, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > len)
            return false;
        const unsigned char *body = data + sizeof header;
        size_t body_len = header.nlmsg_len - sizeof header;
        if ((header.nlmsg_type == RTM_NEWROUTE && is_new_route(body, body_len)) ||
            (header.nlmsg_type == RTM_NEWADDR && is_new_address(body, body_len)))
            return true;
        size_t step = NLMSG_ALIGN((size_t)header.nlmsg_len);
        if (step >= len)
            return false;
        data += step;
        len -= step;
    }
    return false;
}

enum reading { NONE, NEWS, NOTHING_NEW, BROKEN };

/* One datagram. Only the kernel has the port 0: others can send to this socket, too. */
static enum reading read_one(int fd)
{
    unsigned char data[DATAGRAM_MAX];
    struct sockaddr_nl from = { 0 };
    struct iovec part = { .iov_base = data, .iov_len = sizeof data };
    struct msghdr message = {
        .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1
    };
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return NONE;
    if (got < 0) /* ENOBUFS: there was more than the kernel could keep */
        return errno == ENOBUFS || errno == ENOMEM ? NEWS : BROKEN;
    if (message.msg_namelen != sizeof from || from.nl_family != AF_NETLINK || from.nl_pid != 0)
        return NOTHING_NEW;
    return message.msg_flags & MSG_TRUNC || has_news(data, (size_t)got) ? NEWS : NOTHING_NEW;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct net_route *route = arg;
    bool is_new = false;
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        enum reading reading = read_one(fd);
        is_new = is_new || reading == NEWS;
        if (reading == BROKEN) /* and would be at each turn of the loop: the hints end */
            event_del(route->readable);
        if (reading == NONE || reading == BROKEN)
            break;
    }
    if (is_new)
        route->changed(route->arg);
}

static enum lest_status open_socket(int *fd, struct lest_error *err)
{
    struct sockaddr_nl own = { .nl_family = AF_NETLINK,
                               .nl_groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_IFADDR |
                                            RTMGRP_IPV6_IFADDR };
    *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (*fd >= 0 && !bind(*fd, (struct sockaddr *)&own, sizeof own))
        return LEST_OK;
    return lest_error_set(err, LEST_E_UNAVAILABLE, "the kernel does not say when a route appears: %s",
                          strerror(errno));
}

enum lest_status net_route_watch(struct net_loop *loop, void (*changed)(void *arg), void *arg,
                                 struct net_route **out, struct lest_error *err)
{
    *out = NULL;
    enum lest_status result = LEST_OK;
    struct net_route *route = calloc(1, sizeof *route);
    if (!route)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    route->changed = changed;
    route->arg = arg;
    result = open_socket(&route->fd, err);
    if (result)
        goto out;
    route->readable =
        event_new(net_loop_get0_base(loop), route->fd, EV_READ | EV_PERSIST, on_readable, route);
    if (!route->readable || event_add(route->readable, NULL) < 0) {
        result = lest_error_set(err, LEST_E_NOMEM, "out of memory");
        goto out;
    }
    *out = route;
    route = NULL;
out:
    net_route_free(route);
    return result;
}

void net_route_free(struct net_route *route)
{
    if (!route)
        return;
    if (route->readable)
        event_free(route->readable);
    if (route->fd >= 0)
        close(route->fd);
    free(route);
}
