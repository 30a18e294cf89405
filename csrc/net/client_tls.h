/* The TLS side of the client: whom its connections trust, who they are, and what became of a handshake.
 *
 * libcurl makes an SSL_CTX for each connection and hands it out before the handshake; all that decides
 * about trust is set on it here, and libcurl's own checks are off. */
#ifndef LEST_NET_CLIENT_TLS_H
#define LEST_NET_CLIENT_TLS_H

#include "base/error.h"
#include "net/records.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/** Whom a client believes: explicit anchors, the system's (RFC 7030 1.1: an Implicit Trust Anchor database),
 *  or any server at all for now, to fetch what is compared with a fingerprint (4.1.1). */
enum net_trust { NET_TRUST_ANCHORS, NET_TRUST_SYSTEM, NET_TRUST_PROVISIONAL };

/** All borrowed for the call to net_client_tls_new(), which keeps references.
 *  anchors     for NET_TRUST_ANCHORS; servers are told their names (RFC 7030 4.1.3)
 *  cmc_ra      with anchors, a certificate with id-kp-cmcRA need not have the URL's name (RFC 7030 3.6.1)
 *  cert, chain, chain_len, key  what the client shows when asked; all absent: nothing */
struct net_client_tls_config {
    enum net_trust trust;
    X509_STORE *anchors;
    bool cmc_ra;
    X509 *cert;
    X509 *const *chain;
    size_t chain_len;
    EVP_PKEY *key;
};

/** Settings of all connections of a client: references to what the configuration borrows. */
struct net_client_tls;

/** Errors: LEST_E_USAGE (a key without its certificate or the reverse), LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status net_client_tls_new(const struct net_client_tls_config *config, struct net_client_tls **out,
                                    struct lest_error *err) LEST_MUST_USE;
void net_client_tls_free(struct net_client_tls *tls);

/** What is known about one connection's peer. Counted references: the request that opens the connection
 *  has one, the SSL_CTX another, since a connection that is kept lives longer than its request.
 *  shown         we have a certificate to show to it
 *  refused       the peer's certificate was not accepted, and err says why
 *  alert         the last fatal alert that the peer sent, or -1
 *  ended         the peer said that it will send no more (close_notify)
 *  records       what the peer has sent besides data
 *  by_cmc_ra     the name did not match; id-kp-cmcRA stood for it (RFC 7030 3.6.1) */
struct net_client_peer {
    unsigned references;
    enum net_trust trust;
    bool cmc_ra;
    bool shown;
    bool refused;
    bool by_cmc_ra;
    bool is_ip;
    bool ended;
    int alert;
    struct net_records records;
    struct lest_error err;
    char host[256];
};

/** A peer to be called by this host name in A-labels, or an address without brackets; NULL: no memory. */
struct net_client_peer *net_client_peer_new(const struct net_client_tls *tls, const char *host);
struct net_client_peer *net_client_peer_ref(struct net_client_peer *peer);
void net_client_peer_free(struct net_client_peer *peer);

/** The peer that was verified when this session's connection was opened; borrowed, NULL if unknown. */
struct net_client_peer *net_client_peer_get0(SSL *ssl);

/** Prepare the context of one connection. It keeps a reference to the peer. */
enum lest_status net_client_tls_prepare(const struct net_client_tls *tls, SSL_CTX *ctx,
                                        struct net_client_peer *peer, struct lest_error *err) LEST_MUST_USE;

/** Whether an alert is about our certificate: the peer refused it, or wants one (RFC 8446 6.2). */
bool net_alert_is_about_us(int alert);

#endif
