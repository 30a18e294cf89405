#include "net/channel.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGES_MAX = 1024, BYTES_MAX = 8 * 1024 * 1024, SEND_BUFFER = 256 * 1024 };

/* Room for one descriptor, aligned as a header of them must be. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

struct message {
    struct message *next;
    struct lest_sealed *sealed;
    size_t len;
    unsigned char data[];
};

struct net_channel {
    int fd;
    struct event *readable;
    struct event *writable;
    struct net_channel_handlers handlers;
    struct net_channel_limits limits;
    struct message *first; /* of those that wait */
    struct message *last;
    size_t queued;
    size_t queued_bytes;
    unsigned char *inbox;
    size_t sealed_max; /* 0: none is taken */
    bool reading;      /* inside a handler called by on_readable: free later */
    bool released;     /* net_channel_free() was called meanwhile */
};

static void drop_first(struct net_channel *channel)
{
    struct message *message = channel->first;
    channel->first = message->next;
    channel->queued--;
    channel->queued_bytes -= message->len;
    lest_wipe(message->data, message->len); /* it may hold a secret */
    lest_sealed_free(message->sealed);
    free(message);
}

static void drop_queue(struct net_channel *channel)
{
    while (channel->first)
        drop_first(channel);
}

static void shut(struct net_channel *channel)
{
    if (channel->readable)
        event_free(channel->readable);
    if (channel->writable)
        event_free(channel->writable);
    channel->readable = channel->writable = NULL;
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
    drop_queue(channel);
}

/* The end came from the other side: tell once. The handler may free the channel. */
static void end(struct net_channel *channel)
{
    shut(channel);
    void (*closed)(void *arg) = channel->handlers.closed;
    channel->handlers.closed = NULL;
    if (closed)
        closed(channel->handlers.arg);
}

static bool would_block(int number)
{
    /* ENOBUFS and ENOMEM: the kernel is short of memory for the moment. */
    return number == EAGAIN || number == EWOULDBLOCK || number == EINTR || number == ENOBUFS ||
           number == ENOMEM;
}

/* The one descriptor that came with a packet, or -1; where there are more, none is kept. */
static int take_descriptor(struct msghdr *message)
{
    int fd = -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return -1;
    /* The padding behind one has room for another. */
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof fd;
    for (size_t i = 0; i < count; i++) {
        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        if (count > 1)
            close(fd);
    }
    return count == 1 ? fd : -1;
}

/* What came with a packet, where the channel takes any. */
static struct lest_sealed *take_sealed(const struct net_channel *channel, struct msghdr *message)
{
    struct lest_error why;
    struct lest_sealed *sealed;
    int fd = message->msg_control ? take_descriptor(message) : -1;
    if (fd >= 0 && lest_sealed_adopt(fd, channel->sealed_max, &sealed, &why))
        lest_log(LEST_LOG_WARNING, "file not taken", "%s", why.message);
    return fd >= 0 ? sealed : NULL;
}

/* One packet: its length, 0 when there is none for now, -1 when the channel is at its end. */
static ssize_t receive(struct net_channel *channel, struct lest_sealed **sealed)
{
    union control control = { 0 };
    struct iovec room = { channel->inbox, NET_CHANNEL_MESSAGE_MAX };
    struct msghdr header = { .msg_iov = &room, .msg_iovlen = 1 };
    if (channel->sealed_max) {
        header.msg_control = &control;
        header.msg_controllen = sizeof control;
    }
    ssize_t got = recvmsg(channel->fd, &header, MSG_CMSG_CLOEXEC);
    /* Told once, where the peer has closed and left something unread; what it said before comes next. */
    if (got < 0 && errno == ECONNRESET)
        got = recvmsg(channel->fd, &header, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return would_block(errno) ? 0 : -1;
    *sealed = take_sealed(channel, &header);
    if (header.msg_flags & MSG_TRUNC) {
        lest_log(LEST_LOG_WARNING, "channel closed", "the other process sent more than %d bytes at once",
                 (int)NET_CHANNEL_MESSAGE_MAX);
        return -1;
    }
    /* An empty packet looks the same as the end; net_channel_send() makes none. */
    return got == 0 ? -1 : got;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct net_channel *channel = arg;
    bool ended = false;
    channel->reading = true;
    for (int i = 0; i < NET_CHANNEL_BATCH && channel->handlers.message && !channel->released; i++) {
        struct lest_sealed *sealed = NULL;
        ssize_t got = receive(channel, &sealed);
        ended = got < 0;
        if (got > 0) {
            channel->handlers.message(channel->handlers.arg, channel->inbox, (size_t)got, sealed);
            lest_wipe(channel->inbox, (size_t)got);
        }
        lest_sealed_free(sealed);
        if (got <= 0)
            break;
    }
    if (ended && !channel->released)
        end(channel);
    channel->reading = false;
    if (channel->released)
        net_channel_free(channel);
}

static ssize_t put(int fd, const void *data, size_t len, const struct lest_sealed *sealed)
{
    if (!sealed)
        return send(fd, data, len, MSG_NOSIGNAL);
    union control control = { 0 };
    struct iovec bytes = { (void *)(uintptr_t)data, len };
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof sealed->fd);
    memcpy(CMSG_DATA(header), &sealed->fd, sizeof sealed->fd);
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct net_channel *channel = arg;
    while (channel->first) {
        if (put(fd, channel->first->data, channel->first->len, channel->first->sealed) < 0) {
            if (would_block(errno))
                return;
            /* Nothing more can be sent, but what the peer sent before it left is still to be read;
             * the reader then meets the end. */
            drop_queue(channel);
            break;
        }
        drop_first(channel);
    }
    event_del(channel->writable);
}

static bool add_events(struct net_loop *loop, struct net_channel *channel)
{
    struct event_base *base = net_loop_get0_base(loop);
    channel->readable = event_new(base, channel->fd, EV_READ | EV_PERSIST, on_readable, channel);
    channel->writable = event_new(base, channel->fd, EV_WRITE | EV_PERSIST, on_writable, channel);
    channel->inbox = malloc(NET_CHANNEL_MESSAGE_MAX);
    return channel->readable && channel->writable && channel->inbox;
}

enum lest_status net_channel_adopt(struct net_loop *loop, int fd, struct net_channel **out,
                                   struct lest_error *err)
{
    *out = NULL;
    int size = SEND_BUFFER;
    if (evutil_make_socket_nonblocking(fd) < 0) {
        enum lest_status status =
            lest_error_set_errno(err, LEST_E_IO, errno, "a message socket cannot be used");
        close(fd);
        return status;
    }
    struct net_channel *channel = calloc(1, sizeof *channel);
    if (!channel) {
        close(fd);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    /* Where the system's default is small, a message of full size would not fit; best effort. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    channel->fd = fd;
    net_channel_set_limits(channel, (struct net_channel_limits){ 0, 0 });
    if (!add_events(loop, channel)) {
        net_channel_free(channel);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    *out = channel;
    return LEST_OK;
}

void net_channel_set_limits(struct net_channel *channel, struct net_channel_limits limits)
{
    channel->limits.messages_max = limits.messages_max ? limits.messages_max : MESSAGES_MAX;
    channel->limits.bytes_max = limits.bytes_max ? limits.bytes_max : BYTES_MAX;
}

void net_channel_set_handlers(struct net_channel *channel, struct net_channel_handlers handlers)
{
    channel->handlers = handlers;
    if (channel->fd < 0)
        return;
    if (handlers.message)
        event_add(channel->readable, NULL);
    else
        event_del(channel->readable);
}

void net_channel_take_sealed(struct net_channel *channel, size_t max)
{
    channel->sealed_max = max;
}

static enum lest_status queue(struct net_channel *channel, const void *data, size_t len,
                              struct lest_sealed *sealed, struct lest_error *err)
{
    if (channel->queued >= channel->limits.messages_max ||
        len > channel->limits.bytes_max - channel->queued_bytes)
        return lest_error_set(err, LEST_E_UNAVAILABLE, "too many messages wait to be sent");
    struct message *message = malloc(sizeof *message + len);
    if (!message)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    message->next = NULL;
    message->sealed = lest_sealed_ref(sealed);
    message->len = len;
    memcpy(message->data, data, len);
    if (channel->first)
        channel->last->next = message;
    else
        channel->first = message;
    channel->last = message;
    channel->queued++;
    channel->queued_bytes += len;
    event_add(channel->writable, NULL);
    return LEST_OK;
}

static enum lest_status check_message(const struct net_channel *channel, size_t len, struct lest_error *err)
{
    if (len == 0 || len > NET_CHANNEL_MESSAGE_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "a message is 1 to %d bytes, not %zu",
                              (int)NET_CHANNEL_MESSAGE_MAX, len);
    if (channel->fd < 0)
        return lest_error_set(err, LEST_E_CLOSED, "the other process has closed the channel");
    return LEST_OK;
}

static enum lest_status not_sent(int number, size_t len, struct lest_error *err)
{
    if (number == EMSGSIZE)
        return lest_error_set_errno(err, LEST_E_TOO_LARGE, number, "a message of %zu bytes does not fit",
                                    len);
    return lest_error_set_errno(err, LEST_E_CLOSED, number, "the other process has closed the channel");
}

enum lest_status net_channel_send(struct net_channel *channel, const void *data, size_t len,
                                  struct lest_sealed *sealed, struct lest_error *err)
{
    enum lest_status status = check_message(channel, len, err);
    if (status)
        return status;
    if (channel->queued)
        return queue(channel, data, len, sealed, err);
    if (put(channel->fd, data, len, sealed) >= 0)
        return LEST_OK;
    if (would_block(errno))
        return queue(channel, data, len, sealed, err);
    return not_sent(errno, len, err);
}

enum lest_status net_channel_send_wait(struct net_channel *channel, const void *data, size_t len,
                                       int timeout_ms, struct lest_error *err)
{
    enum lest_status status = check_message(channel, len, err);
    int64_t end_ms = lest_clock_monotonic_ms() + timeout_ms, left_ms = timeout_ms;
    while (!status && send(channel->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        struct pollfd room = { .fd = channel->fd, .events = POLLOUT };
        if (!would_block(errno))
            return not_sent(errno, len, err);
        if (left_ms <= 0)
            return lest_error_set(err, LEST_E_TIMEOUT, "the other process reads nothing");
        poll(&room, 1, (int)left_ms);
        left_ms = end_ms - lest_clock_monotonic_ms();
    }
    return status;
}

int net_channel_fd(const struct net_channel *channel)
{
    return channel->fd;
}

size_t net_channel_queued(const struct net_channel *channel)
{
    return channel->queued;
}

void net_channel_free(struct net_channel *channel)
{
    if (!channel)
        return;
    shut(channel);
    channel->handlers = (struct net_channel_handlers){ 0 };
    channel->released = true;
    if (channel->reading)
        return;
    free(channel->inbox);
    free(channel);
}
