#include "net/intake.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* HEAD_MAX  of the handshake and of all heads */
enum { HEAD_MAX = 256 * 1024 };

void net_intake_init(struct net_intake *intake, size_t body_max)
{
    *intake = (struct net_intake){ .max = HEAD_MAX + 2 * (uint64_t)body_max, .fd = -1 };
}

bool net_intake_is_over(struct net_intake *intake, int fd)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return false;
    if (fd != intake->fd || info.tcpi_bytes_received < intake->before) {
        intake->fd = fd;
        intake->before = info.tcpi_bytes_received;
    }
    return info.tcpi_bytes_received - intake->before > intake->max;
}
