/* When a network appears: the kernel's word of new routes and addresses (rtnetlink(7)), on the event loop.
 *
 * It is a hint that something may work now, and no more: nothing of a message is kept. */
#ifndef LEST_NET_ROUTE_H
#define LEST_NET_ROUTE_H

#include "net/loop.h"

struct net_route;

/** Call changed, from the loop, after a route to other machines or an address that they can reach has come:
 *  once for all that a turn has read; also where the kernel had more to say than it could keep. changed may
 *  free the watch. *out is the caller's, free with net_route_free(), before the loop; NULL on failure.
 *  Errors: LEST_E_UNAVAILABLE (a sandbox without AF_NETLINK), LEST_E_NOMEM */
enum lest_status net_route_watch(struct net_loop *loop, void (*changed)(void *arg), void *arg,
                                 struct net_route **out, struct lest_error *err) LEST_MUST_USE;

/** NULL is fine. */
void net_route_free(struct net_route *route);

#endif
