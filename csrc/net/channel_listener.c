/* The ends of message sockets that have an address: listening and connecting. */
#include "base/log.h"
#include "net/channel.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAUSE_MS = 100 };

struct net_channel_listener {
    struct net_loop *loop;
    int fd;
    char *path; /* removed at the end; NULL if not ours or abstract */
    struct event *readable;
    struct event *resume;
    void (*accepted)(void *arg, struct net_channel *channel);
    void *arg;
    bool accepting; /* inside on_connection: free later */
    bool released;
};

static enum lest_status make_address(const char *address, struct sockaddr_un *out, socklen_t *out_len,
                                     struct lest_error *err)
{
    size_t len = strlen(address);
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    if (len < 1 || len >= sizeof out->sun_path)
        return lest_error_set(err, LEST_E_USAGE, "%s: a socket's address is 1 to %zu bytes", address,
                              sizeof out->sun_path - 1);
    memcpy(out->sun_path, address, len);
    *out_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (address[0] == '@') {
        out->sun_path[0] = '\0';
        (*out_len)--;
    }
    return LEST_OK;
}

static int make_socket(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Out of descriptors: the connection stays in the backlog, and trying again at once would spin. */
static void pause_listener(struct net_channel_listener *listener)
{
    struct timeval delay = { 0, PAUSE_MS * 1000 };
    event_del(listener->readable);
    event_add(listener->resume, &delay);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct net_channel_listener *listener = arg;
    event_add(listener->readable, NULL);
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct net_channel_listener *listener = arg;
    listener->accepting = true;
    for (int i = 0; i < NET_CHANNEL_BATCH && !listener->released; i++) {
        struct lest_error err;
        struct net_channel *channel;
        int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_listener(listener);
            break;
        }
        if (net_channel_adopt(listener->loop, connection, &channel, &err))
            lest_log(LEST_LOG_ERROR, "channel refused", "%s", err.message);
        else
            listener->accepted(listener->arg, channel);
    }
    listener->accepting = false;
    if (listener->released)
        net_channel_listener_free(listener);
}

static enum lest_status start(struct net_loop *loop, int fd, const char *path,
                              void (*accepted)(void *arg, struct net_channel *channel), void *arg,
                              struct net_channel_listener **out, struct lest_error *err)
{
    struct event_base *base = net_loop_get0_base(loop);
    struct net_channel_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        close(fd);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    *listener = (struct net_channel_listener){ .loop = loop, .fd = fd, .accepted = accepted, .arg = arg };
    listener->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_connection, listener);
    listener->resume = evtimer_new(base, on_resume, listener);
    listener->path = path ? strdup(path) : NULL;
    if (!listener->readable || !listener->resume || (path && !listener->path) ||
        event_add(listener->readable, NULL) < 0) {
        net_channel_listener_free(listener);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    *out = listener;
    return LEST_OK;
}

/* A process that died leaves its socket file behind; connecting to it is refused. */
static bool is_stale(const struct sockaddr_un *name, socklen_t len)
{
    struct stat info;
    if (lstat(name->sun_path, &info) < 0 || !S_ISSOCK(info.st_mode))
        return false;
    int fd = make_socket();
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)name, len) < 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return stale;
}

enum lest_status net_channel_listen(struct net_loop *loop, const char *address,
                                    void (*accepted)(void *arg, struct net_channel *channel), void *arg,
                                    struct net_channel_listener **out, struct lest_error *err)
{
    struct sockaddr_un name;
    socklen_t len;
    *out = NULL;
    enum lest_status status = make_address(address, &name, &len, err);
    if (status)
        return status;
    bool is_path = name.sun_path[0] != '\0';
    int fd = make_socket();
    /* On Linux the file that bind() makes takes its mode from the socket: no moment of wider access. */
    if (fd < 0 || (is_path && fchmod(fd, 0600) < 0)) {
        status = lest_error_set_errno(err, LEST_E_IO, errno, "a socket cannot be made");
        goto out;
    }
    int bound = bind(fd, (struct sockaddr *)&name, len);
    if (bound < 0 && errno == EADDRINUSE && is_path && is_stale(&name, len)) {
        unlink(name.sun_path);
        bound = bind(fd, (struct sockaddr *)&name, len);
    }
    if (bound < 0 || listen(fd, SOMAXCONN) < 0) {
        status = lest_error_set_errno(err, errno == EADDRINUSE ? LEST_E_EXISTS : LEST_E_IO, errno,
                                      "%s: cannot listen there", address);
        goto out;
    }
    return start(loop, fd, is_path ? address : NULL, accepted, arg, out, err);
out:
    if (fd >= 0)
        close(fd);
    return status;
}

void net_channel_listener_free(struct net_channel_listener *listener)
{
    if (!listener)
        return;
    if (listener->readable)
        event_free(listener->readable);
    if (listener->resume)
        event_free(listener->resume);
    listener->readable = listener->resume = NULL;
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    if (listener->path)
        unlink(listener->path);
    free(listener->path);
    listener->path = NULL;
    listener->released = true;
    if (!listener->accepting)
        free(listener);
}

enum lest_status net_channel_connect(struct net_loop *loop, const char *address, struct net_channel **out,
                                     struct lest_error *err)
{
    struct sockaddr_un name;
    socklen_t len;
    *out = NULL;
    enum lest_status status = make_address(address, &name, &len, err);
    if (status)
        return status;
    int fd = make_socket();
    if (fd < 0)
        return lest_error_set_errno(err, LEST_E_IO, errno, "a socket cannot be made");
    if (connect(fd, (struct sockaddr *)&name, len) < 0) {
        bool nobody = errno == ECONNREFUSED || errno == ENOENT || errno == EAGAIN;
        status = lest_error_set_errno(err, nobody ? LEST_E_UNAVAILABLE : LEST_E_IO, errno,
                                      "%s: cannot be reached", address);
        close(fd);
        return status;
    }
    return net_channel_adopt(loop, fd, out, err);
}
