/* The HTTPS client: libcurl's multi interface on the event loop.
 *
 * A client has one setting of trust and identity; its connections are kept and used again for its own
 * requests only. It follows no redirect, answers no challenge, and sends a password only where the request
 * says so: all that is for the flows above it. */
#ifndef LEST_NET_CLIENT_H
#define LEST_NET_CLIENT_H

#include "base/buf.h"
#include "http/text.h"
#include "net/loop.h"

#include <openssl/x509.h>

/** Whom a client believes: explicit anchors, the system's (RFC 7030 1.1: an Implicit Trust Anchor database),
 *  or any server at all for now, to fetch what is compared with a fingerprint (4.1.1). */
enum net_trust { NET_TRUST_ANCHORS, NET_TRUST_SYSTEM, NET_TRUST_PROVISIONAL };

/** All borrowed for the call to net_client_new(), which keeps references.
 *  anchors     for NET_TRUST_ANCHORS; servers are told their names (RFC 7030 4.1.3)
 *  cmc_ra      with anchors, a certificate with id-kp-cmcRA need not have the URL's name (RFC 7030 3.6.1)
 *  cert, chain, chain_len, key  what the client shows when asked; all absent: nothing
 *  plain_http  URLs may be http:// as well
 *  idle_ms     kept connections are closed after this time without a request */
struct net_client_config {
    enum net_trust trust;
    X509_STORE *anchors;
    bool cmc_ra;
    X509 *cert;
    X509 *const *chain;
    size_t chain_len;
    EVP_PKEY *key;
    bool plain_http;
    int64_t idle_ms;
};

struct net_client;

/** A client on this loop. *out: net_client_free(), before the loop goes.
 *  Errors: LEST_E_USAGE, LEST_E_CRYPTO, LEST_E_INTERNAL (libcurl without OpenSSL), LEST_E_NOMEM */
enum lest_status net_client_new(struct net_loop *loop, const struct net_client_config *config,
                                struct net_client **out, struct lest_error *err) LEST_MUST_USE;

/** Let go of a client: its connections are closed when its last transfer has been freed. NULL is fine. */
void net_client_free(struct net_client *client);

enum { NET_CLIENT_HEADERS_MAX = 256, NET_CLIENT_HEAD_MAX = 128 * 1024 };

struct net_header {
    struct http_slice name, value;
};

/** All borrowed for the call to net_client_send(), which copies.
 *  method, url   method is a token; url may hold a host in Unicode, no user or password
 *  headers       besides Host, Content-Length, User-Agent and Accept-Encoding
 *  body          NULL: none (a POST then has an empty one)
 *  username, password  Basic, sent at once; NULL: none
 *  timeout_ms    for all of it; connect_timeout_ms for address, connection and handshake
 *  body_max      of the answer, in bytes */
struct net_request {
    const char *method;
    const char *url;
    const struct net_header *headers;
    size_t header_count;
    const void *body;
    size_t body_len;
    const char *username;
    const char *password;
    int64_t timeout_ms;
    int64_t connect_timeout_ms;
    size_t body_max;
};

/** A complete answer, borrowed from the transfer.
 *  headers      of the final response in their order
 *  peer_chain   what the server sent, leaf first; NULL without TLS
 *  tls_version  "TLSv1.3", or NULL
 *  by_cmc_ra    the server's name did not match, see net_client_config */
struct net_answer {
    int status;
    const struct net_header *headers;
    size_t header_count;
    struct http_slice body;
    STACK_OF(X509) * peer_chain;
    const char *tls_version;
    bool by_cmc_ra;
};

/** A request under way, or finished. */
struct net_transfer;

/** Called once from the loop, never from net_client_send(); may free the transfer. answer is NULL on failure.
 *  err: LEST_E_TRUST, LEST_E_UNAUTHENTICATED (the server refused our certificate), LEST_E_TLS,
 *  LEST_E_NETWORK, LEST_E_TIMEOUT, LEST_E_CLOSED (also an answer that was cut short), LEST_E_PROTOCOL,
 *  LEST_E_TOO_LARGE, LEST_E_NOMEM */
typedef void net_client_done(void *arg, const struct net_answer *answer, const struct lest_error *err);

/** Begin a request. Errors: LEST_E_USAGE, LEST_E_NOMEM, LEST_E_INTERNAL */
enum lest_status net_client_send(struct net_client *client, const struct net_request *request,
                                 net_client_done *done, void *arg, struct net_transfer **out,
                                 struct lest_error *err) LEST_MUST_USE;

/** Let go of a transfer; one under way is cancelled, its connection closed. NULL is fine. */
void net_transfer_free(struct net_transfer *transfer);

#endif
