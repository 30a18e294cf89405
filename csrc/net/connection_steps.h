/* The steps of a connection from the end of its handshake on; for the files of the connection only. */
#ifndef LEST_NET_CONNECTION_STEPS_H
#define LEST_NET_CONNECTION_STEPS_H

#include "net/connection_state.h"

/** Do what the state asks for. True: something has happened, and the next step may be done at once; false:
 * wait for the stream. */
bool net_connection_step_head(struct net_connection *c);
bool net_connection_step_body(struct net_connection *c);
bool net_connection_step_answer(struct net_connection *c);
bool net_connection_step_write(struct net_connection *c);
bool net_connection_step_discard(struct net_connection *c);

#endif
