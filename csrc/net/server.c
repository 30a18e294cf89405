#include "net/server.h"

#include "base/clock.h"
#include "base/hex.h"
#include "net/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ACCEPT_BATCH  accepted at once; few, since the workers share the socket and a handshake is long
 * RETRY_MS      until the next attempt when there are no descriptors left
 * WARN_MS       between two warnings of one kind
 * LINES_MAX     of one kind in LINES_S */
enum { ACCEPT_BATCH = 4, RETRY_MS = 200, WARN_MS = 10000, LINES_MAX = 20, LINES_S = 10 };

static bool is_full(const struct net_server *server)
{
    return server->connections >= server->limits.connections_max;
}

void net_server_changed(struct net_server *server)
{
    bool wanted = !server->paused && !server->stopped && !server->retrying &&
                  (!is_full(server) || !TAILQ_EMPTY(&server->waiting));
    bool done = wanted != server->accepting;
    for (size_t i = 0; wanted != server->accepting && i < server->listening_count; i++) {
        struct event *event = &server->listening[i].event;
        done = (wanted ? event_add(event, NULL) : event_del(event)) == 0 && done;
    }
    if (done)
        server->accepting = wanted;
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

void net_lines_write(struct net_lines *lines, const struct lest_log_field *fields, size_t count)
{
    static const struct timeval delay = { LINES_S, 0 };
    if (!evtimer_pending(&lines->timer, NULL))
        evtimer_add(&lines->timer, &delay);
    if (lines->written >= LINES_MAX && !lest_log_shows(LEST_LOG_DEBUG)) {
        lines->left_out++;
        return;
    }
    lines->written++;
    lest_log_write(LEST_LOG_INFO, lines->event, fields, count);
}

static void end_lines(struct net_lines *lines)
{
    if (lines->left_out)
        lest_log(LEST_LOG_WARNING, "lines left out", "%s: %d more within %d seconds", lines->event,
                 lines->left_out, (int)LINES_S);
    lines->written = lines->left_out = 0;
}

static void on_lines(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    end_lines(arg);
}

static void init_lines(struct net_lines *lines, struct event_base *base, const char *event)
{
    lines->event = event;
    evtimer_assign(&lines->timer, base, on_lines, lines);
}

void net_server_next_id(struct net_server *server, char out[NET_REQUEST_ID_SIZE])
{
    snprintf(out, NET_REQUEST_ID_SIZE, "%s-%" PRIx64, server->id_prefix, ++server->ids);
}

/* Random, so that a process that happens to have the number of another one repeats none of its ids. */
static bool make_id_prefix(char out[NET_REQUEST_ID_SIZE / 2])
{
    uint8_t random[6];
    char text[2 * sizeof random + 1] = { 0 };
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    lest_hex_encode(random, sizeof random, text);
    snprintf(out, NET_REQUEST_ID_SIZE / 2, "%s-%x", text, (unsigned)getpid());
    return true;
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct net_server *server = arg;
    server->retrying = false;
    net_server_changed(server);
}

/* No descriptors, say: the listening socket stays ready, so it must not be asked for a while. A waiting
 * connection's descriptor helps. */
static void accept_failed(struct net_server *server, int number)
{
    static const struct timeval delay = { RETRY_MS / 1000, RETRY_MS % 1000 * 1000 };
    bool exhausted = number == EMFILE || number == ENFILE;
    struct net_connection *oldest = exhausted ? TAILQ_FIRST(&server->waiting) : NULL;
    if (number == EINTR || number == ECONNABORTED)
        return;
    warn(server, exhausted ? "no file descriptor is left" : strerror(number), server->address);
    if (oldest)
        net_connection_kill(oldest);
    if (server->stopped)
        return;
    server->retrying = event_add(&server->retry_event, &delay) == 0;
    net_server_changed(server);
}

/* When full, a new peer comes in for the one that this server has waited for longest, whatever it waits for:
 * else whoever sends slowly, from enough addresses, keeps all others out. */
static void take(struct net_server *server, int fd, const struct sockaddr_storage *address)
{
    int yes = 1;
    struct net_connection *oldest = is_full(server) ? TAILQ_FIRST(&server->waiting) : NULL;
    char text[NET_ADDRESS_SIZE];
    if (!net_peer_counts_enter(server->counts, net_peer_key(address),
                               server->limits.connections_per_address_max)) {
        net_address_text(address, text);
        warn(server, "too many connections from one address", text);
        close(fd);
        return;
    }
    if (oldest)
        net_connection_kill(oldest);
    /* A handler was told of it, and may have done anything. */
    if (server->stopped) {
        net_peer_counts_leave(server->counts, net_peer_key(address));
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    net_connection_start(server, fd, address);
}

static void on_accept(evutil_socket_t listening, short what, void *arg)
{
    (void)what;
    struct net_server *server = arg;
    server->refs++;
    for (int i = 0; i < ACCEPT_BATCH && server->accepting; i++) {
        struct sockaddr_storage address = { 0 };
        socklen_t len = sizeof address;
        int fd = accept4(listening, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(server, fd, &address);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            break;
        accept_failed(server, errno);
    }
    net_server_unref(server);
}

/* A peer that has gone must be an error of write(2), not the end of the process, also inside somebody else's
 * interpreter. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
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

static void listen_at(struct net_server *server, const int *fds, size_t count)
{
    struct event_base *base = net_loop_get0_base(server->loop);
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof address;
    getsockname(fds[0], (struct sockaddr *)&address, &len);
    net_address_endpoint(&address, server->address);
    for (size_t i = 0; i < count; i++) {
        struct net_listening *listening = &server->listening[server->listening_count++];
        listening->fd = fds[i];
        event_assign(&listening->event, base, fds[i], EV_READ | EV_PERSIST, on_accept, server);
    }
}

static void close_listening(struct net_server *server)
{
    for (size_t i = 0; i < server->listening_count; i++)
        close(server->listening[i].fd);
    server->listening_count = 0;
}

enum lest_status net_server_new(struct net_loop *loop, const int *fds, size_t fds_count, struct net_tls *tls,
                                const struct net_limits *limits, const struct net_handler *handler,
                                struct net_server **out, struct lest_error *err)
{
    *out = NULL;
    enum lest_status status = LEST_OK;
    for (size_t i = 0; !status && i < fds_count; i++)
        status = check_listening(fds[i], err);
    if (status) {
        close_all(fds, fds_count);
        return status;
    }
    struct net_server *server = calloc(1, sizeof *server);
    struct net_peer_counts *counts = net_peer_counts_new();
    char id_prefix[NET_REQUEST_ID_SIZE / 2];
    if (!server || !counts || !make_id_prefix(id_prefix)) {
        free(server);
        net_peer_counts_free(counts);
        close_all(fds, fds_count);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    ignore_sigpipe();
    *server = (struct net_server){ .loop = loop,
                                   .tls = net_tls_ref(tls),
                                   .limits = *limits,
                                   .handler = *handler,
                                   .counts = counts,
                                   .refs = 1 };
    memcpy(server->id_prefix, id_prefix, sizeof id_prefix);
    TAILQ_INIT(&server->all);
    TAILQ_INIT(&server->waiting);
    listen_at(server, fds, fds_count);
    struct event_base *base = net_loop_get0_base(loop);
    evtimer_assign(&server->retry_event, base, on_retry, server);
    init_lines(&server->handshakes, base, "handshake failed");
    init_lines(&server->refusals, base, "request refused");
    net_server_changed(server);
    *out = server;
    return LEST_OK;
}

void net_server_unref(struct net_server *server)
{
    if (--server->refs > 0)
        return;
    end_lines(&server->handshakes);
    end_lines(&server->refusals);
    event_del(&server->handshakes.timer);
    event_del(&server->refusals.timer);
    net_tls_free(server->tls);
    net_peer_counts_free(server->counts);
    free(server);
}

void net_server_stop(struct net_server *server)
{
    struct net_connection *c, *next;
    if (server->stopped)
        return;
    server->stopped = true;
    net_server_changed(server);
    event_del(&server->retry_event);
    close_listening(server);
    server->refs++;
    for (c = TAILQ_FIRST(&server->waiting); c; c = next) {
        next = TAILQ_NEXT(c, waiting);
        net_connection_stop(c);
    }
    net_server_unref(server);
}

void net_server_free(struct net_server *server)
{
    struct net_connection *c, *next;
    if (!server)
        return;
    server->handler.head = server->handler.request = server->handler.abort = NULL;
    server->handler.handshake_failed = NULL;
    server->stopped = true;
    net_server_changed(server);
    event_del(&server->retry_event);
    close_listening(server);
    for (c = TAILQ_FIRST(&server->all); c; c = next) {
        next = TAILQ_NEXT(c, all);
        net_connection_kill(c);
    }
    server->handler.done = NULL;
    net_server_unref(server);
}

void net_server_pause(struct net_server *server)
{
    server->paused = true;
    net_server_changed(server);
}

void net_server_resume(struct net_server *server)
{
    server->paused = false;
    net_server_changed(server);
}

const char *net_server_address(const struct net_server *server)
{
    return server->address;
}

int net_server_connections(const struct net_server *server)
{
    return server->connections;
}

int net_server_requests(const struct net_server *server)
{
    return server->requests;
}

void net_server_set_tls(struct net_server *server, struct net_tls *tls)
{
    struct net_tls *before = server->tls;
    server->tls = net_tls_ref(tls);
    net_tls_free(before);
}
