/* What comes first on a connection from a balancer: who the client is; for the files of the connection
 * only. */
#ifndef LEST_NET_CONNECTION_PROXY_H
#define LEST_NET_CONNECTION_PROXY_H

#include "net/connection_state.h"

/** The step of NET_PROXY: read the header (net/proxy.h) and no byte that follows it. From its end on, the
 *  connection is the client's that it names: counted, bounded and logged as that. */
bool net_connection_step_proxy(struct net_connection *c);

/** There will be no header: close at once, count it and log it. */
void net_connection_end_proxy(struct net_connection *c, const char *why);

#endif
