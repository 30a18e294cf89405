/* The HTTPS server, which serves plain HTTP too: accepts, bounds, and hands over exchanges. It knows no path
 * and no policy. */
#ifndef LEST_NET_SERVER_H
#define LEST_NET_SERVER_H

#include "net/exchange.h"
#include "net/limits.h"
#include "net/loop.h"
#include "net/tls.h"

/** LISTENING_MAX  sockets of a server
 *  BALANCERS_MAX  networks of balancers of one of them */
enum { NET_LISTENING_MAX = 16, NET_BALANCERS_MAX = 16 };

struct net_server;

/** A listening socket, borrowed but for fd.
 *  fd         taken in every case; made non-blocking and close-on-exec
 *  tls        NULL for plain HTTP
 *  balancers  who alone may connect, and must say first who the client is (net/proxy.h); count 0: anybody
 *             may, and no such header is read */
struct net_listen {
    int fd;
    struct net_tls *tls;
    struct net_network balancers[NET_BALANCERS_MAX];
    size_t balancers_count;
};

/** Begin accepting on listening sockets.
 *  loop     borrowed, must live longer
 *  sockets  1 to NET_LISTENING_MAX, copied
 *  limits   copied
 *  out      the caller's, net_server_free(); NULL on failure
 *  Errors: LEST_E_IO, LEST_E_NOMEM */
enum lest_status net_server_new(struct net_loop *loop, const struct net_listen *sockets, size_t count,
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

#endif
