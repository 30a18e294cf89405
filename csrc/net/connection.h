/* One connection of the server, from accept to close; for the files of the server only. */
#ifndef LEST_NET_CONNECTION_H
#define LEST_NET_CONNECTION_H

#include "base/log.h"
#include "http/chunked.h"
#include "net/server.h"
#include "net/stream.h"

#include <sys/queue.h>

/* A request line; what is read at once: one TLS record. */
enum { NET_REQUEST_LINE_MAX = 8 * 1024, NET_READ_BYTES = 16 * 1024 };

enum net_connection_state {
    NET_HANDSHAKE, /* TLS */
    NET_HEAD,      /* waiting for a request, or in the middle of its head */
    NET_BODY,      /* head delivered, reading the body */
    NET_ANSWER,    /* request delivered, waiting for the answer */
    NET_WRITE,     /* the answer is on its way */
    NET_DISCARD,   /* reading the rest of a body that was answered early */
    NET_LINGER,    /* our side is closed, the peer's not yet */
    NET_CLOSED     /* to be freed */
};

/** is_waiting  for the peer, so in the server's list of those that may be closed for a newer one: all but those
 *              whose request is under way
 *  begun       the first byte of the next request has come
 *  parsed      bytes of `in` that the parser has seen
 *  ended       the peer sends no more
 *  deadline    of the state, monotonic ms; armed is what the timer is set to, or 0 */
struct net_connection {
    TAILQ_ENTRY(net_connection) all;
    TAILQ_ENTRY(net_connection) waiting;
    struct net_server *server;
    struct net_peer *peer;
    struct net_peer_key key;
    struct net_stream stream;
    struct event timer;
    int64_t deadline, armed;
    enum net_connection_state state;
    bool running, is_waiting, begun, ended, close_after;
    int requests;
    struct lest_buf in;
    size_t parsed;
    struct lest_buf out;
    size_t out_done;
    struct http_chunked chunked;
    uint64_t body_left;
    size_t linger_left;
    struct net_exchange *exchange;
};
TAILQ_HEAD(net_connections, net_connection);

/** Lines of one kind in the log, of which strangers may cause any number: past a few in a while the rest is
 *  only counted, in one line at the end of that while. At level debug there are all. */
struct net_lines {
    const char *event;
    struct event timer; /* pending during the while */
    int written, left_out;
};

struct net_listening {
    int fd;
    struct event event;
};

/** waiting  oldest first; see is_waiting
 *  ids      of requests so far, of which one that was refused before its head was whole has no exchange
 *  refs     the owner's and one for each connection */
struct net_server {
    struct net_loop *loop;
    struct net_tls *tls;
    struct net_limits limits;
    struct net_handler handler;
    struct net_peer_counts *counts;
    struct net_connections all, waiting;
    struct net_listening listening[NET_LISTENING_MAX];
    size_t listening_count; /* 0 once it has stopped */
    struct event retry_event;
    char address[NET_ENDPOINT_SIZE];
    int connections, requests;
    char id_prefix[NET_REQUEST_ID_SIZE / 2];
    uint64_t ids;
    struct net_lines handshakes, refusals;
    bool accepting, paused, stopped, retrying;
    int64_t warned_at;
    int unwarned;
    int refs;
};

/** Begin serving an accepted socket, which is taken in every case, and was counted in server->counts. */
void net_connection_start(struct net_server *server, int fd, const struct sockaddr_storage *address);

/** Close at once: with close_notify, but without waiting for the peer. */
void net_connection_kill(struct net_connection *c);

/** The server stops: close if no request is being served or awaited. */
void net_connection_stop(struct net_connection *c);

/** Nobody may answer the exchange any more, and it is not under way any more. */
void net_connection_set_answered(struct net_server *server, struct net_exchange *x);

/** The exchange of this connection has its answer in c->out. */
void net_connection_answered(struct net_connection *c);

/** Whether the connection will be closed after this exchange's answer. */
bool net_connection_will_close(const struct net_connection *c);

/* What the steps use. A handler may do anything to the server, so that after these three the connection may
 * be NET_CLOSED and its exchange over: tell_abort, end_exchange, drop. */

/** Tell the handler, once, that nobody waits for the answer any more. */
void net_connection_tell_abort(struct net_server *server, struct net_exchange *x, const char *why);
void net_connection_end_exchange(struct net_connection *c, const char *why);

/** Close at once. */
void net_connection_drop(struct net_connection *c, const char *why);

/** Nothing more is served. close_notify and the end of our side go out; then the peer is given a little time
 * to do the same, since closing with unread bytes would reset the connection and may destroy our last answer.
 */
void net_connection_finish(struct net_connection *c);

/** Answer for the server itself, with a sentence, and end the connection. */
void net_connection_refuse(struct net_connection *c, int status, const char *sentence);

/** Send what is in c->out. */
void net_connection_start_write(struct net_connection *c);

/** Wait for a request, or go on with one that has come already. */
void net_connection_next_request(struct net_connection *c);

/** Set when the present state ends, from now; whether it is among those that a full server closes first. */
void net_connection_set_deadline(struct net_connection *c, int ms);
void net_connection_set_waiting(struct net_connection *c, bool waiting);

/** The most that is kept of bytes that are not understood yet. */
size_t net_connection_in_max(const struct net_connection *c);

/** Do what the state asks for. True: something has happened, and the next step may be done at once; false:
 * wait for the stream. */
bool net_connection_step_head(struct net_connection *c);
bool net_connection_step_body(struct net_connection *c);
bool net_connection_step_answer(struct net_connection *c);
bool net_connection_step_write(struct net_connection *c);
bool net_connection_step_discard(struct net_connection *c);

/** server.c's: a line about a stranger, if there were not too many. */
void net_lines_write(struct net_lines *lines, const struct lest_log_field *fields, size_t count);

/** server.c's: the id of one more request. */
void net_server_next_id(struct net_server *server, char out[NET_REQUEST_ID_SIZE]);

/** server.c's: a connection has gone, or may be closed for a newer one now. */
void net_server_changed(struct net_server *server);
void net_server_unref(struct net_server *server);

#endif
