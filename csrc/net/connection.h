/* One connection of the server, from accept to close; for the files of the server only. */
#ifndef LEST_NET_CONNECTION_H
#define LEST_NET_CONNECTION_H

#include "net/service.h"
#include "net/tls.h"

/** Begin serving an accepted socket, which is taken in every case.
 *  tls     NULL for plain HTTP
 *  counts  where it was counted: service->counts, or service->unnamed where a balancer is to say first who
 *          the client is */
void net_connection_start(struct net_service *service, struct net_tls *tls, int fd,
                          const struct sockaddr_storage *address, struct net_peer_counts *counts);

/** Close at once: with close_notify, but without waiting for the peer. */
void net_connection_kill(struct net_connection *c);

/** Close all that serve or await no request. */
void net_connections_stop(struct net_service *service);

/** Close all at once. */
void net_connections_kill(struct net_service *service);

#endif
