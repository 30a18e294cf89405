/* One HTTPS request of a client, and the server's answer.
 *
 * It follows no redirect, answers no challenge, and sends a password only where the request says so: all that
 * is for the flows above it. */
#ifndef LEST_NET_TRANSFER_H
#define LEST_NET_TRANSFER_H

#include "net/client.h"
#include "net/reader.h"
#include "net/seen.h"

/** Make the body of a request once its connection is there: at most body_len bytes are appended to out.
 *  binding  that of the connection, as net_binding_write */
typedef enum lest_status net_body_make(void *arg, const char *binding, struct lest_buf *out,
                                       struct lest_error *err);

/** All borrowed for the call to net_transfer_send(), which copies.
 *  method, url   method is a token; url may hold a host in Unicode, no user or password
 *  headers       at most NET_READER_HEADERS_MAX, besides Host, Content-Length, User-Agent and Accept-Encoding
 *  body          NULL: none (a POST then has an empty one)
 *  make_body     instead: called from the loop once the handshake is done, with the argument of done. The
 *                head has gone by then, so the body is filled up with newlines to body_len. Only over TLS
 *  username, password  Basic, sent at once; NULL: none
 *  timeout_ms    for all of it; connect_timeout_ms for address, connection and handshake
 *  body_max      of the answer, in bytes
 *  watched       note what is on the wire, see net_transfer_get0_seen() */
struct net_request {
    const char *method;
    const char *url;
    const struct http_header *headers;
    size_t header_count;
    const void *body;
    size_t body_len;
    net_body_make *make_body;
    const char *username;
    const char *password;
    int64_t timeout_ms;
    int64_t connect_timeout_ms;
    size_t body_max;
    bool watched;
};

/** A complete answer of the server, borrowed from the transfer.
 *  headers      of the final response in their order
 *  peer_chain   what the server sent, leaf first; NULL without TLS
 *  tls_version  "TLSv1.3", or NULL
 *  by_cmc_ra    the server's name did not match, see net_client_tls_config */
struct net_response {
    int status;
    const struct http_header *headers;
    size_t header_count;
    struct http_slice body;
    STACK_OF(X509) * peer_chain;
    const char *tls_version;
    bool by_cmc_ra;
};

/** A request under way, or finished. */
struct net_transfer;

/** Called once from the loop, never from net_transfer_send(); may free the transfer. answer is NULL on
 *  failure.
 *  err: LEST_E_TRUST, LEST_E_UNAUTHENTICATED (the server refused our certificate), LEST_E_TLS,
 *  LEST_E_NETWORK, LEST_E_TIMEOUT, LEST_E_CLOSED (also an answer that was cut short), LEST_E_PROTOCOL,
 *  LEST_E_TOO_LARGE, LEST_E_NOMEM */
typedef void net_transfer_done(void *arg, const struct net_response *answer, const struct lest_error *err);

/** Begin a request. Errors: LEST_E_USAGE, LEST_E_NOMEM, LEST_E_INTERNAL */
enum lest_status net_transfer_send(struct net_client *client, const struct net_request *request,
                                   net_transfer_done *done, void *arg, struct net_transfer **out,
                                   struct lest_error *err) LEST_MUST_USE;

/** Whether any of a request that failed, or is under way, may have reached the server. A request with a body
 *  is sent once at most, so that the server has acted on it once at most. */
bool net_transfer_was_sent(const struct net_transfer *transfer);

/** What was on the wire, of a finished request that is watched; else NULL. Borrowed from the transfer. */
const struct net_seen *net_transfer_get0_seen(const struct net_transfer *transfer);

/** Let go of a transfer; one under way is cancelled, its connection closed. NULL is fine. */
void net_transfer_free(struct net_transfer *transfer);

#endif
