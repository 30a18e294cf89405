#include "net/server.h"

#include "base/clock.h"
#include "net/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ACCEPT_BATCH  accepted at once; few, since the workers share the socket and a handshake is long
 * LAST_MAX      accepted of each socket before it is closed
 * RETRY_MS      until the next attempt when there are no descriptors left
 * WARN_MS       between two warnings of one kind */
enum { ACCEPT_BATCH = 4, LAST_MAX = 256, RETRY_MS = 200, WARN_MS = 10000 };

/** socket  its tls is a reference */
struct listening {
    struct net_server *server;
    struct net_listen socket;
    struct event event;
};

/** service          first, so that its address is the server's; its references keep the server, too
 *  listening_count  0 once it has stopped */
struct net_server {
    struct net_service service;
    struct listening listening[NET_LISTENING_MAX];
    size_t listening_count;
    struct event retry_event;
    char address[NET_ENDPOINT_SIZE];
    bool accepting, paused, retrying;
    int64_t warned_at;
    int unwarned;
};

/* Accept, or accept no more, as it has become right. */
static void update(struct net_server *server)
{
    const struct net_service *service = &server->service;
    bool wanted = !server->paused && !service->stopped && !server->retrying &&
                  (!net_service_is_full(service) || !TAILQ_EMPTY(&service->waiting));
    bool done = wanted != server->accepting;
    for (size_t i = 0; wanted != server->accepting && i < server->listening_count; i++) {
        struct event *event = &server->listening[i].event;
        done = (wanted ? event_add(event, NULL) : event_del(event)) == 0 && done;
    }
    if (done)
        server->accepting = wanted;
}

static void on_changed(struct net_service *service)
{
    update((struct net_server *)service);
}

static void on_release(struct net_service *service)
{
    free((struct net_server *)service);
}

static void warn(struct net_server *server, const char *what, const char *address)
{
    int64_t now = lest_clock_monotonic_ms();
    server->unwarned++;
    if (server->warned_at && now - server->warned_at < WARN_MS)
        return;
    lest_log(LEST_LOG_WARNING, "connection limit", "%s, lastly %s (%d times since the last line)", what,
             address, server->unwarned);
    server->warned_at = now;
    server->unwarned = 0;
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct net_server *server = arg;
    server->retrying = false;
    update(server);
}

/* No descriptors, say: the listening socket stays ready, so it must not be asked for a while. A waiting
 * connection's descriptor helps. */
static void accept_failed(struct net_server *server, int number)
{
    static const struct timeval delay = { RETRY_MS / 1000, RETRY_MS % 1000 * 1000 };
    bool exhausted = number == EMFILE || number == ENFILE;
    struct net_connection *oldest = exhausted ? TAILQ_FIRST(&server->service.waiting) : NULL;
    if (number == EINTR || number == ECONNABORTED)
        return;
    warn(server, exhausted ? "no file descriptor is left" : strerror(number), server->address);
    net_service_count_turned_away(LEST_TURNED_AWAY_FAILED);
    if (oldest)
        net_connection_kill(oldest);
    if (server->service.stopped)
        return;
    server->retrying = event_add(&server->retry_event, &delay) == 0;
    update(server);
}

/* Count a connection by its address; by that of the balancer until this has named the client. NULL: there are
 * too many. */
static struct net_peer_counts *count_in(struct net_service *service, bool is_named,
                                        const struct sockaddr_storage *address)
{
    struct net_peer_counts *counts = is_named ? service->counts : service->unnamed;
    int max = is_named ? service->limits.connections_per_address_max : net_service_unnamed_max(service);
    return net_peer_counts_enter(counts, net_peer_key(address), max) ? counts : NULL;
}

/* Whether the peer may connect here. */
static bool may_connect(struct net_server *server, const struct net_listen *socket,
                        const struct sockaddr_storage *address)
{
    char text[NET_ADDRESS_SIZE];
    if (socket->balancers_count == 0 || net_network_has(socket->balancers, socket->balancers_count, address))
        return true;
    net_service_count_turned_away(LEST_TURNED_AWAY_PROXY);
    net_address_text(address, text);
    net_service_report_end(&server->service, text, net_address_port(address),
                           "only a balancer may connect here, and this address is of none");
    return false;
}

/* When full, a new peer comes in for the one that this server has waited for longest, no matter for what:
 * else peers that send slowly, from enough addresses, keep all others out. */
static void take(struct net_server *server, const struct net_listen *socket, int fd,
                 const struct sockaddr_storage *address)
{
    int yes = 1;
    struct net_service *service = &server->service;
    struct net_connection *oldest = net_service_is_full(service) ? TAILQ_FIRST(&service->waiting) : NULL;
    char text[NET_ADDRESS_SIZE];
    if (!may_connect(server, socket, address)) {
        close(fd);
        return;
    }
    struct net_peer_counts *counts = count_in(service, socket->balancers_count == 0, address);
    if (!counts) {
        net_service_count_turned_away(LEST_TURNED_AWAY_ADDRESS);
        net_address_text(address, text);
        warn(server, "too many connections from one address", text);
        close(fd);
        return;
    }
    if (oldest) {
        net_service_count_turned_away(LEST_TURNED_AWAY_DISPLACED);
        net_connection_kill(oldest);
    }
    /* A handler was told of it, and may have done anything. */
    if (service->stopped) {
        net_peer_counts_leave(counts, net_peer_key(address));
        close(fd);
        return;
    }
    lest_meter_add(lest_meter_key(LEST_METER_ACCEPTED, 0, 0, 0, 0), 1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    net_connection_start(service, socket->tls, fd, address, counts);
}

/* Accept so many at most, as far as there are any. */
static void accept_some(const struct listening *listening, int most)
{
    struct net_server *server = listening->server;
    for (int i = 0; i < most && server->accepting; i++) {
        struct sockaddr_storage address = { 0 };
        socklen_t len = sizeof address;
        int accepted =
            accept4(listening->socket.fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            take(server, &listening->socket, accepted, &address);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            break;
        accept_failed(server, errno);
    }
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    const struct listening *listening = arg;
    struct net_service *service = &listening->server->service;
    net_service_ref(service);
    accept_some(listening, ACCEPT_BATCH);
    net_service_unref(service);
}

/* A peer that has gone must be an error of write(2), not the end of the process, also where this module is
 * loaded into another program's interpreter. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static void close_all(const struct net_listen *sockets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(sockets[i].fd);
}

static enum lest_status check_listening(int fd, struct lest_error *err)
{
    int flags = fcntl(fd, F_GETFL), listening = 0;
    socklen_t size = sizeof listening;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
        return lest_error_set_errno(err, LEST_E_IO, errno, "descriptor %d is no listening socket", fd);
    return LEST_OK;
}

static void listen_at(struct net_server *server, const struct net_listen *sockets, size_t count)
{
    struct event_base *base = net_loop_get0_base(server->service.loop);
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof address;
    getsockname(sockets[0].fd, (struct sockaddr *)&address, &len);
    net_address_endpoint(&address, server->address);
    for (size_t i = 0; i < count; i++) {
        struct listening *listening = &server->listening[server->listening_count++];
        listening->server = server;
        listening->socket = sockets[i];
        if (listening->socket.tls)
            net_tls_ref(listening->socket.tls);
        event_assign(&listening->event, base, sockets[i].fd, EV_READ | EV_PERSIST, on_accept, listening);
    }
}

static void close_listening(struct net_server *server)
{
    for (size_t i = 0; i < server->listening_count; i++) {
        close(server->listening[i].socket.fd);
        net_tls_free(server->listening[i].socket.tls);
    }
    server->listening_count = 0;
}

enum lest_status net_server_new(struct net_loop *loop, const struct net_listen *sockets, size_t count,
                                const struct net_limits *limits, const struct net_handler *handler,
                                struct net_server **out, struct lest_error *err)
{
    *out = NULL;
    enum lest_status status = LEST_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = check_listening(sockets[i].fd, err);
    if (status) {
        close_all(sockets, count);
        return status;
    }
    struct net_server *server = calloc(1, sizeof *server);
    if (!server || net_service_init(&server->service, loop, limits, handler, err)) {
        free(server);
        close_all(sockets, count);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    ignore_sigpipe();
    server->service.changed = on_changed;
    server->service.release = on_release;
    listen_at(server, sockets, count);
    evtimer_assign(&server->retry_event, net_loop_get0_base(loop), on_retry, server);
    update(server);
    *out = server;
    return LEST_OK;
}

static void stop_accepting(struct net_server *server)
{
    server->service.stopped = true;
    update(server);
    event_del(&server->retry_event);
    close_listening(server);
}

void net_server_stop(struct net_server *server)
{
    if (server->service.stopped)
        return;
    net_service_ref(&server->service);
    /* The kernel resets who has connected and was not accepted when the last listener closes. */
    for (size_t i = 0; i < server->listening_count; i++)
        accept_some(&server->listening[i], LAST_MAX);
    stop_accepting(server);
    net_connections_stop(&server->service);
    net_service_unref(&server->service);
}

void net_server_free(struct net_server *server)
{
    if (!server)
        return;
    struct net_handler *handler = &server->service.handler;
    handler->head = handler->request = handler->abort = NULL;
    handler->handshake_failed = NULL;
    handler->identity = NULL;
    stop_accepting(server);
    net_connections_kill(&server->service);
    handler->done = NULL;
    net_service_unref(&server->service);
}

void net_server_pause(struct net_server *server)
{
    server->paused = true;
    update(server);
}

void net_server_resume(struct net_server *server)
{
    server->paused = false;
    update(server);
}

const char *net_server_address(const struct net_server *server)
{
    return server->address;
}

int net_server_connections(const struct net_server *server)
{
    return server->service.connections;
}

int net_server_requests(const struct net_server *server)
{
    return server->service.requests;
}
