/* libcurl on the event loop: requests that are under way, and the connections that are kept after them. */
#ifndef LEST_NET_MULTI_H
#define LEST_NET_MULTI_H

#include "net/curl.h"
#include "net/loop.h"

struct net_multi;

/** A request; the first member of the caller's own struct.
 *  easy   the caller's, ready to be sent
 *  done   called from the loop when libcurl is done with it. May free the request and the net_multi
 *  fd     the socket that libcurl waits for on its behalf, or -1
 *  added  net_multi_add() has taken it, net_multi_remove() not given it back */
struct net_multi_request {
    CURL *easy;
    void (*done)(struct net_multi_request *request, CURLcode code);
    int fd;
    bool added;
};

/** On this loop, which outlives it. idle_ms: kept connections are closed after this time without a request.
 *  NULL: no memory. */
struct net_multi *net_multi_new(struct net_loop *loop, int64_t idle_ms);

/** Close all connections; its requests must have been removed. NULL is fine. */
void net_multi_free(struct net_multi *multi);

/** The loop's. */
struct event_base *net_multi_get0_base(struct net_multi *multi);

/** Let libcurl begin with a request. False: no memory, or no descriptor. */
bool net_multi_add(struct net_multi *multi, struct net_multi_request *request);

/** Take it back, finished or not; one that was not added is fine. */
void net_multi_remove(struct net_multi *multi, struct net_multi_request *request);

#endif
