/* HTTP/1.1 as a carrier of answers: how a connection takes the answer of its exchange. */
#ifndef LEST_NET_CONNECTION_ANSWER_H
#define LEST_NET_CONNECTION_ANSWER_H

#include "net/exchange.h"

/** For exchanges whose carried_by is the struct net_connection that serves them. */
extern const struct net_carrier net_connection_carrier;

#endif
