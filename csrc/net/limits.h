/* Every bound of the server, over all of its sockets. */
#ifndef LEST_NET_LIMITS_H
#define LEST_NET_LIMITS_H

#include <stdint.h>

/** Times are absolute: one byte a second does not prolong them. X(name, default, lowest); the highest is
 *  NET_LIMIT_MAX. */
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
    X(requests_per_connection_max, 100, 1)  /* then the connection is closed */

struct net_limits {
#define X(name, value, lowest) int name;
    NET_LIMITS(X)
#undef X
};
enum { NET_LIMIT_MAX = INT32_MAX / 2 };

#endif
