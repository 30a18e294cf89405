/* One request and its answer, as the server hands it over. */
#ifndef LEST_NET_EXCHANGE_H
#define LEST_NET_EXCHANGE_H

#include "base/buf.h"
#include "http/request.h"
#include "net/address.h"

#include <openssl/x509.h>

/** Who is on the other end of a connection; shared by its exchanges.
 *  chain  the verified client's certificate, then what it sent along; NULL without one */
struct net_peer {
    int refs;
    char address[NET_ADDRESS_SIZE];
    int port;
    const char *version; /* "TLSv1.3"; NULL before the end of the handshake */
    const char *cipher;
    char group[32];
    STACK_OF(X509) * chain;
};

/** Room for the id of a request: random bytes of the server, the process's number, a number, all in hex. */
enum { NET_REQUEST_ID_SIZE = 48 };

/** To be read only.
 *  id           also the client's, as X-Request-Id of every answer
 *  request      its slices point into head, which the exchange owns
 *  body         whole if complete
 *  complete     the body is there
 *  under_way    counted among the server's requests
 *  answered     net_exchange_respond has succeeded, or nobody may answer any more
 *  why_aborted  NULL, or why nobody waits for the answer: "closed", "timeout", "refused", "stopped"
 *  refusal      what the server answered then, which it does for "timeout" and "refused"; status 0 otherwise
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
    struct net_connection *connection;
    void *user;
    int refs;
};

struct net_header {
    struct http_slice name;
    struct http_slice value;
};

/** Borrowed for the call. Content-Length, Date, X-Request-Id and Connection are added, so they may not be
 * among the headers, nor Transfer-Encoding. */
struct net_answer {
    int status; /* 200 to 599; 204 and 304 have no body */
    const struct net_header *headers;
    size_t header_count;
    struct http_slice body;
};

/** Answer. Only queued here, sent by the loop.
 *  Errors: LEST_E_CLOSED (nobody waits any more), LEST_E_USAGE (answered already, a status or header that is
 * not the caller's to send), LEST_E_MALFORMED (a header with control characters: answered with 500 instead),
 *  LEST_E_NOMEM */
enum lest_status net_exchange_respond(struct net_exchange *exchange, const struct net_answer *answer,
                                      struct lest_error *err) LEST_MUST_USE;

void net_peer_free(struct net_peer *peer);
struct net_exchange *net_exchange_ref(struct net_exchange *exchange);
void net_exchange_free(struct net_exchange *exchange);

#endif
