/* One request and its answer, as the server hands it over. */
#ifndef LEST_NET_EXCHANGE_H
#define LEST_NET_EXCHANGE_H

#include "base/buf.h"
#include "base/sealed.h"
#include "http/request.h"
#include "net/binding.h"
#include "net/peer.h"

/** Room for the id of a request: random bytes of the server, the process's number, a number, all in hex. */
enum { NET_REQUEST_ID_SIZE = 48 };

struct net_carrier;

/** To be read only.
 *  id           also the client's, as X-Request-Id of every answer
 *  request      its slices point into head, which the exchange owns
 *  body         whole if complete
 *  complete     the body is there
 *  under_way    counted among the server's requests
 *  answered     net_exchange_respond has succeeded, or would fail from now on
 *  why_aborted  NULL, or why the answer is not waited for: "closed", "timeout", "refused", "stopped"
 *  refusal      what the server answered by itself then ("timeout", "refused"); status 0 if it did not
 *  carrier      how the answer is sent
 *  carried_by   the carrier's own, such as the connection; NULL once the answer is not waited for
 *  user         for the handler */
struct net_exchange {
    char id[NET_REQUEST_ID_SIZE];
    struct http_request request;
    struct lest_buf head;
    struct lest_buf body;
    bool complete;
    bool under_way;
    bool answered;
    bool delivered;
    const char *why_aborted;
    struct http_refusal refusal;
    struct net_peer *peer;
    const struct net_carrier *carrier;
    void *carried_by;
    void *user;
    int refs;
};

/** sealed: if not NULL, the body, in place of `body`; a reference is kept while it is sent, and no copy.
 * raw: if data is not NULL, exactly these bytes in place of all else, after which the connection is closed:
 * for one who plays a server, with answers that may be none.
 * Borrowed for the call. The carrier adds headers of its own (over HTTP: Content-Length, Date, X-Request-Id,
 * Connection), so they may not be among the headers, nor Transfer-Encoding. */
struct net_answer {
    int status; /* 200 to 599; 204 and 304 have no body */
    const struct http_header *headers;
    size_t header_count;
    struct http_slice body;
    struct lest_sealed *sealed;
    struct http_slice raw;
};

/** How answers get to the client, for each protocol that brings requests.
 *  check    whether the protocol can carry this answer, without looking at the client. Error: LEST_E_USAGE
 *  respond  queue the answer, and see to it that the exchange is answered; carried_by is not NULL. Errors:
 *           LEST_E_MALFORMED, LEST_E_NOMEM, after which the client gets a failure in place of the answer
 *  binding  as net_exchange_binding; carried_by is not NULL */
struct net_carrier {
    enum lest_status (*check)(const struct net_answer *answer, struct lest_error *err);
    enum lest_status (*respond)(struct net_exchange *exchange, const struct net_answer *answer,
                                struct lest_error *err);
    bool (*binding)(const struct net_exchange *exchange, char text[NET_BINDING_SIZE]);
};

/** The channel binding of the connection that brought the request, as net_binding_write. False: it has none,
 *  or the client has gone. */
bool net_exchange_binding(const struct net_exchange *exchange, char text[NET_BINDING_SIZE]);

/** Answer. Only queued here, sent by the loop.
 *  Errors: LEST_E_CLOSED (the client has gone), LEST_E_USAGE (answered already; a status or header that the
 *  caller may not send), LEST_E_MALFORMED (a header with control characters: the client gets 500 instead),
 *  LEST_E_NOMEM */
enum lest_status net_exchange_respond(struct net_exchange *exchange, const struct net_answer *answer,
                                      struct lest_error *err) LEST_MUST_USE;

struct net_exchange *net_exchange_ref(struct net_exchange *exchange);
void net_exchange_free(struct net_exchange *exchange);

/** Who gets the exchanges. Called from the loop; each may be NULL. An exchange that head was called for is
 *  over with done, in every case. Inside, anything may be done to the server but freeing it.
 *  head              the head is complete and valid: refuse it now, or the body is read
 *  request           the body is there too
 *  abort             the answer is not waited for any more (exchange->why_aborted)
 *  done              the server will not touch this exchange again
 *  handshake_failed  why is borrowed
 *  identity          a handshake stands still until net_identity_answer(); absent, it fails */
struct net_handler {
    void *arg;
    void (*head)(void *arg, struct net_exchange *exchange);
    void (*request)(void *arg, struct net_exchange *exchange);
    void (*abort)(void *arg, struct net_exchange *exchange);
    void (*done)(void *arg, struct net_exchange *exchange);
    void (*handshake_failed)(void *arg, const struct net_peer *peer, const struct lest_error *why);
    void (*identity)(void *arg, struct net_identity *identity);
};

#endif
