/* What the connections of a server share; for the files of the server only. */
#ifndef LEST_NET_SERVICE_H
#define LEST_NET_SERVICE_H

#include "base/meter.h"
#include "net/exchange.h"
#include "net/limits.h"
#include "net/lines.h"
#include "net/loop.h"

#include <sys/queue.h>

struct net_connection;
TAILQ_HEAD(net_connections, net_connection);

/** all       the connections
 *  counts    by the address of the client
 *  unnamed   by the address of the balancer, while it has not said who the client is
 *  waiting   those that may be closed for a newer one, oldest first: their peer is waited for
 *  ids       given so far; a request that is refused before its head is whole has one, but no exchange
 *  requests  under way
 *  asking    handshakes that stand still until the handler answers
 *  stopped   for good
 *  refs      the owner's and one for each connection
 *  changed   the owner's: a connection has gone, or may be closed for a newer one now
 *  release   the owner's: the last reference has gone */
struct net_service {
    struct net_loop *loop;
    struct net_limits limits;
    struct net_handler handler;
    struct net_peer_counts *counts, *unnamed;
    struct net_connections all, waiting;
    int connections, requests, asking;
    char id_prefix[NET_REQUEST_ID_SIZE / 2];
    uint64_t ids;
    struct net_lines handshakes, refusals, ends;
    bool stopped;
    int refs;
    void (*changed)(struct net_service *service);
    void (*release)(struct net_service *service);
};

/** Begin, with one reference. What limits and handler point to is copied. Error: LEST_E_NOMEM, and nothing is
 *  to be freed. */
enum lest_status net_service_init(struct net_service *service, struct net_loop *loop,
                                  const struct net_limits *limits, const struct net_handler *handler,
                                  struct lest_error *err) LEST_MUST_USE;

void net_service_ref(struct net_service *service);
void net_service_unref(struct net_service *service);

/** No connection may be added any more. */
bool net_service_is_full(const struct net_service *service);

/** No request may be added any more. */
bool net_service_is_busy(const struct net_service *service);

/** One connection more, or less. */
void net_service_count_connection(struct net_service *service, int change);

/** No connection of this balancer may be added whose client it has not named: one that names none has half of
 *  the places at most. */
int net_service_unnamed_max(const struct net_service *service);

/** Count a connection that was turned away, and log one that was ended by this end, and why. */
void net_service_count_turned_away(enum lest_meter_turned_away why);
void net_service_report_end(struct net_service *service, const char *address, int port, const char *why);

/** The id of one more request. */
void net_service_next_id(struct net_service *service, char out[NET_REQUEST_ID_SIZE]);

/** The exchange is under way from now on, until net_service_end_answer(). */
void net_service_begin_answer(struct net_service *service, struct net_exchange *x);

/** The exchange is answered, or will never be: it is not under way any more, and answering it fails. */
void net_service_end_answer(struct net_service *service, struct net_exchange *x);

/** Tell the handler, once, that the answer is not waited for any more. The handler may do anything to the
 *  server. */
void net_service_tell_abort(struct net_service *service, struct net_exchange *x, const char *why);

#endif
