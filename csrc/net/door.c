#include "net/door.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* TURN_MAX  so that a crowd keeps no turn of the loop
 * PAUSE_MS  without a descriptor, before it is tried again */
enum { TURN_MAX = 16, PAUSE_MS = 200 };

struct net_door {
    int fd;
    struct event *readable;
    struct event *pause;
    net_door_handler *handler;
    void *arg;
    bool is_running; /* inside a handler: free later */
    bool is_released;
};

static bool read_peer(int fd, struct net_door_peer *peer)
{
    struct ucred who;
    socklen_t size = sizeof who;
    memset(peer, 0, sizeof *peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0 || size != sizeof who)
        return false;
    peer->pid = who.pid;
    peer->uid = who.uid;
    peer->gid = who.gid;
    size = sizeof peer->groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) == 0)
        peer->groups_count = size / sizeof *peer->groups;
    return true;
}

static void on_visitors(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct net_door *door = arg;
    struct net_door_peer peer;
    door->is_running = true;
    for (int i = 0; i < TURN_MAX && !door->is_released; i++) {
        int visitor = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (visitor < 0) {
            struct timeval pause = { 0, PAUSE_MS * 1000 };
            bool is_full = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
            /* Else the loop would spin at a socket that stays readable. */
            if (is_full && evtimer_add(door->pause, &pause) == 0)
                event_del(door->readable);
            break;
        }
        if (read_peer(visitor, &peer))
            door->handler(door->arg, visitor, &peer);
        else
            close(visitor);
    }
    door->is_running = false;
    if (door->is_released)
        net_door_free(door);
}

static void on_pause_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct net_door *door = arg;
    event_add(door->readable, NULL);
}

enum lest_status net_door_open(struct net_loop *loop, int fd, net_door_handler *handler, void *arg,
                               struct net_door **out, struct lest_error *err)
{
    struct event_base *base = net_loop_get0_base(loop);
    struct net_door *door = *out = calloc(1, sizeof *door);
    if (door) {
        *door = (struct net_door){ .fd = fd, .handler = handler, .arg = arg };
        door->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_visitors, door);
        door->pause = evtimer_new(base, on_pause_end, door);
    }
    if (door && door->readable && door->pause && event_add(door->readable, NULL) == 0)
        return LEST_OK;
    net_door_free(door);
    *out = NULL;
    return lest_error_set(err, LEST_E_NOMEM, "out of memory");
}

void net_door_free(struct net_door *door)
{
    if (!door)
        return;
    door->is_released = true;
    if (door->is_running)
        return;
    if (door->readable)
        event_free(door->readable);
    if (door->pause)
        event_free(door->pause);
    free(door);
}

static enum lest_status refuse(const char *path, int number, struct lest_error *err)
{
    static const struct {
        int number;
        enum lest_status status;
    } known[] = { { ENOENT, LEST_E_NOT_FOUND },    { ENOTDIR, LEST_E_NOT_FOUND },
                  { ECONNREFUSED, LEST_E_CLOSED }, { EACCES, LEST_E_REFUSED },
                  { EPERM, LEST_E_REFUSED },       { EAGAIN, LEST_E_TIMEOUT } };
    enum lest_status status = LEST_E_IO;
    if (number == ESTALE)
        return lest_error_set(err, LEST_E_REFUSED, "%s: an account listens there that is not trusted", path);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == number)
            status = known[i].status;
    return lest_error_set_errno(err, status, number, "%s: cannot connect", path);
}

/* Who owns the folder may put there what it likes, and root; nobody else is spoken to. */
static bool is_trusted(int folder, const struct net_door_peer *peer)
{
    struct stat info;
    return peer->uid == 0 || peer->uid == geteuid() ||
           (fstat(folder, &info) == 0 && peer->uid == info.st_uid);
}

enum lest_status net_door_enter(const char *path, int timeout_ms, int *fd, struct net_door_peer *peer,
                                struct lest_error *err)
{
    char folder[PATH_MAX];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    *fd = -1;
    if (strlen(path) >= sizeof folder || !*name)
        return refuse(path, ENAMETOOLONG, err);
    int folder_len = slash && slash != path ? (int)(slash - path) : 1;
    snprintf(folder, sizeof folder, "%.*s", folder_len, slash ? path : ".");
    int place = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place < 0)
        return refuse(path, errno, err);
    int len = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", place, name);
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), failed = 0;
    if ((size_t)len >= sizeof address.sun_path)
        failed = ENAMETOOLONG;
    else if (made < 0 || setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
             connect(made, (struct sockaddr *)&address, sizeof address) < 0)
        failed = errno;
    else if (!read_peer(made, peer) || !is_trusted(place, peer))
        failed = ESTALE;
    close(place);
    if (!failed) {
        *fd = made;
        return LEST_OK;
    }
    if (made >= 0)
        close(made);
    return refuse(path, failed, err);
}
