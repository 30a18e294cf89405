/* The HTTPS server: accepts, bounds, and hands over exchanges. It knows no path and no policy. */
#ifndef LEST_NET_SERVER_H
#define LEST_NET_SERVER_H

#include "net/exchange.h"
#include "net/loop.h"
#include "net/tls.h"

/** Every bound of the server, over all of its sockets. Times are absolute: one byte a second does not prolong
 *  them. X(name, default, lowest); the highest is NET_LIMIT_MAX. */
#define NET_LIMITS(X)                                                                                        \
    X(handshake_ms, 10000, 1)               /* from accept to the end of the TLS handshake */                \
    X(header_ms, 10000, 1)                  /* from a request's first byte, or the handshake, to its head */ \
    X(body_ms, 30000, 1)                    /* from the head to the end of the body */                       \
    X(answer_ms, 60000, 1)                  /* from the whole request to the answer; then 503 */             \
    X(write_ms, 30000, 1)                   /* from the answer until the kernel has taken it */              \
    X(idle_ms, 15000, 1)                    /* between two requests of a connection */                       \
    X(header_max, 16384, 256)               /* bytes of header lines */                                      \
    X(body_max, 65536, 0)                   /* bytes of a body */                                            \
    X(connections_max, 4096, 1)             /* in all */                                                     \
    X(connections_per_address_max, 1024, 1) /* for each IPv4 address or IPv6 /64 */                          \
    X(requests_max, 256, 1)                 /* there and not answered; more are 503 */                       \
    X(requests_per_connection_max, 100, 1)

struct net_limits {
#define X(name, value, lowest) int name;
    NET_LIMITS(X)
#undef X
};
enum { NET_LIMIT_MAX = INT32_MAX / 2, NET_LISTENING_MAX = 16 };

/** Who gets the exchanges. Called from the loop; each may be NULL. An exchange that head was called for is
 *  over with done, in every case. Inside, anything may be done to the server but freeing it.
 *  head              the head is complete and valid: refuse it now, or the body is read
 *  request           the body is there too
 *  abort             nobody waits for the answer any more (exchange->why_aborted)
 *  done              the server will not touch this exchange again
 *  handshake_failed  why is borrowed */
struct net_handler {
    void *arg;
    void (*head)(void *arg, struct net_exchange *exchange);
    void (*request)(void *arg, struct net_exchange *exchange);
    void (*abort)(void *arg, struct net_exchange *exchange);
    void (*done)(void *arg, struct net_exchange *exchange);
    void (*handshake_failed)(void *arg, const struct net_peer *peer, const struct lest_error *why);
};

struct net_server;

/** Begin accepting on listening sockets.
 *  loop     borrowed, must live longer
 *  fds      1 to NET_LISTENING_MAX, taken in every case; made non-blocking and close-on-exec
 *  tls      kept by a reference of its own
 *  limits   copied
 *  out      the caller's, net_server_free(); NULL on failure
 *  Errors: LEST_E_IO, LEST_E_NOMEM */
enum lest_status net_server_new(struct net_loop *loop, const int *fds, size_t fds_count, struct net_tls *tls,
                                const struct net_limits *limits, const struct net_handler *handler,
                                struct net_server **out, struct lest_error *err) LEST_MUST_USE;

/** Close everything at once; no handler is called any more, except done for what is under way. */
void net_server_free(struct net_server *server);

/** Stop accepting for a while, and go on. */
void net_server_pause(struct net_server *server);
void net_server_resume(struct net_server *server);

/** Stop accepting for good: idle connections are closed, the others after their answer. */
void net_server_stop(struct net_server *server);

/** "127.0.0.1:8443", borrowed: of the first socket. */
const char *net_server_address(const struct net_server *server);
int net_server_connections(const struct net_server *server);
int net_server_requests(const struct net_server *server);

/** Another context for the connections accepted from now on. */
void net_server_set_tls(struct net_server *server, struct net_tls *tls);

#endif
