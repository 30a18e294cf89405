#include "host/role/inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor, aligned as a header of them must be. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

enum lest_status host_inbox_new(int ends[2], struct lest_error *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0)
        return LEST_OK;
    ends[0] = ends[1] = -1;
    return lest_error_set_errno(err, LEST_E_IO, errno, "a child's inbox cannot be made");
}

bool host_inbox_put(int inbox, const struct host_inbox_label *label, int fd)
{
    union control control = { 0 };
    struct host_inbox_label copy = *label;
    struct iovec bytes = { &copy, sizeof copy };
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(inbox, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof copy;
}

bool host_inbox_is_asked(int inbox, bool *ended)
{
    char byte;
    ssize_t got = recv(inbox, &byte, sizeof byte, MSG_DONTWAIT);
    *ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    return got > 0;
}

void host_inbox_ask(int inbox)
{
    /* With a full queue it has been asked. */
    if (send(inbox, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    }
}

void host_inbox_tell(int inbox, const struct host_inbox_outcome *outcome)
{
    if (send(inbox, outcome, sizeof *outcome, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    }
}

enum host_inbox_kind host_inbox_take(int inbox, struct host_inbox_label *label, int *fd,
                                     struct host_inbox_outcome *outcome)
{
    union control control = { 0 };
    struct iovec bytes = { outcome, sizeof *outcome };
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    *fd = -1;
    ssize_t got = recvmsg(inbox, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        return HOST_INBOX_END;
    struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof *fd))
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    if (*fd < 0)
        return got == (ssize_t)sizeof *outcome ? HOST_INBOX_OUTCOME : HOST_INBOX_NOTHING;
    if (got == (ssize_t)sizeof *label) {
        memcpy(label, outcome, sizeof *label);
        return HOST_INBOX_SOCKET;
    }
    close(*fd);
    *fd = -1;
    return HOST_INBOX_NOTHING;
}
