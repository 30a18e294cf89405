/* The states of a connection of the server, and what a change of state does; for the files of the connection
 * only.
 *
 *   PROXY          +-------------------------------------------------+
 *     v            v                    (the next request)           |
 *   HANDSHAKE --> HEAD --> BODY --> ANSWER --> WRITE -----------> DISCARD
 *       |          |         |                 ^   |                 |
 *       |          |         +-----------------+   +--> HEAD         |
 *       |          |          (answered early)     |                 |
 *       | (failed) | (the peer ends,               | (the last       | (too much
 *       |          |  the server stops)            |  answer)        |  or too late)
 *       +----------+-------------------------------+-----------------+---> LINGER --> CLOSED
 *
 * PROXY is left out where no balancer names the client, DISCARD where the body was whole before the answer,
 * LINGER where the peer has ended already.
 * HEAD, BODY and ANSWER also go to WRITE with an answer of the server's own (net_connection_refuse), which is
 * the last. A broken or killed connection goes to CLOSED from any state.
 *
 * When its time is up: PROXY, HANDSHAKE, WRITE and LINGER go to CLOSED; HEAD and BODY to WRITE with 408 (HEAD
 * between two requests to LINGER); ANSWER to WRITE with 503, or to CLOSED if the peer has left; DISCARD to
 * LINGER.
 */
#ifndef LEST_NET_CONNECTION_STATE_H
#define LEST_NET_CONNECTION_STATE_H

#include "net/body.h"
#include "net/service.h"
#include "net/stream.h"
#include "net/tls.h"

/** REQUEST_LINE_MAX  of a request
 *  READ_BYTES        what is read at once: one TLS record
 *  DISCARD_MAX       a body that was answered early is read to its end if it is not longer, to keep the
 *                    connection */
enum { NET_REQUEST_LINE_MAX = 8 * 1024, NET_READ_BYTES = 16 * 1024, NET_DISCARD_MAX = 64 * 1024 };

enum net_connection_state {
    NET_PROXY,     /* the balancer says who the client is */
    NET_HANDSHAKE, /* TLS */
    NET_HEAD,      /* waiting for a request, or in the middle of its head */
    NET_BODY,      /* head delivered, reading the body */
    NET_ANSWER,    /* request delivered, waiting for the answer */
    NET_WRITE,     /* the answer is on its way */
    NET_DISCARD,   /* reading the rest of a body that was answered early */
    NET_LINGER,    /* our side is closed, the peer's not yet */
    NET_CLOSED     /* to be freed */
};

/** tls         of the session, which has callbacks into it; NULL for plain HTTP
 *  is_waiting  for the peer, so in the service's list of those that may be closed for a newer one: all but
 *              those whose request is under way
 *  counts      where the connection is counted by `key`
 *  begun       the first byte of the next request has come
 *  parsed      bytes of `in` that the parser has seen
 *  asking      the handshake stands still until the handler answers
 *  ended       the peer sends no more
 *  tail        what is sent after `out`, or NULL; so much of it was
 *  deadline    of the state, monotonic ms; armed is what the timer is set to, or 0 */
struct net_connection {
    TAILQ_ENTRY(net_connection) all;
    TAILQ_ENTRY(net_connection) waiting;
    struct net_service *service;
    struct net_peer *peer;
    struct net_tls *tls;
    struct net_peer_counts *counts;
    struct net_peer_key key;
    struct net_stream stream;
    struct event timer;
    int64_t deadline, armed;
    enum net_connection_state state;
    bool running, is_waiting, asking, begun, ended, close_after;
    int requests;
    struct lest_buf in;
    size_t parsed;
    struct lest_buf out;
    size_t out_done;
    struct lest_sealed *tail;
    size_t tail_done;
    struct net_body body;
    size_t linger_left;
    struct net_exchange *exchange;
};

/* A handler may do anything to the server, so that after end_exchange, drop, finish and refuse the connection
 * may be NET_CLOSED and its exchange over. */

/** The exchange is over; `why` goes to the handler if its answer was still waited for. */
void net_connection_end_exchange(struct net_connection *c, const char *why);

/** Close at once. */
void net_connection_drop(struct net_connection *c, const char *why);

/** Nothing more is served. close_notify and the end of our side go out; then the peer is given a little time
 * to do the same, since closing with unread bytes would reset the connection and may destroy our last answer.
 */
void net_connection_finish(struct net_connection *c);

/** Log why this end of the connection comes from the server. */
void net_connection_report_end(const struct net_connection *c, const char *why);

/** Answer for the server itself, with a sentence, and end the connection. */
void net_connection_refuse(struct net_connection *c, int status, const char *sentence);

/** Send what is in c->out, and then the tail. */
void net_connection_start_write(struct net_connection *c);

/** Wait for a request, or go on with one that has come already. */
void net_connection_next_request(struct net_connection *c);

/** Set when the present state ends, from now; whether it is among those that a full server closes first. */
void net_connection_set_deadline(struct net_connection *c, int ms);
void net_connection_set_waiting(struct net_connection *c, bool waiting);

/** The tail is not sent, or was. */
void net_connection_drop_tail(struct net_connection *c);

/** The most that is kept of bytes that are not understood yet. */
size_t net_connection_in_max(const struct net_connection *c);

#endif
