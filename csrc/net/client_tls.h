/* The TLS side of the client: whom its connections trust, and who they are.
 *
 * libcurl makes an SSL_CTX for each connection and hands it out before the handshake; all that decides
 * about trust is set on it here, and libcurl's own checks are off. */
#ifndef LEST_NET_CLIENT_TLS_H
#define LEST_NET_CLIENT_TLS_H

#include "net/client_key.h"
#include "net/client_peer.h"

/** All borrowed for the call to net_client_tls_new(), which keeps references.
 *  anchors     for NET_TRUST_ANCHORS; servers are told their names (RFC 7030 4.1.3)
 *  cmc_ra      with anchors, a certificate with id-kp-cmcRA need not have the URL's name (RFC 7030 3.6.1)
 *  psk_identity, psk, psk_len  for NET_TRUST_KEY: who the client is, and the key that proves either side
 *  srp_user, srp_password  for NET_TRUST_PASSWORD, likewise
 *  cert, chain, chain_len, key  what the client shows when asked; all absent: nothing */
struct net_client_tls_config {
    enum net_trust trust;
    X509_STORE *anchors;
    bool cmc_ra;
    X509 *cert;
    X509 *const *chain;
    size_t chain_len;
    EVP_PKEY *key;
    const char *psk_identity;
    const void *psk;
    size_t psk_len;
    const char *srp_user;
    const char *srp_password;
};

/** Settings of all connections of a client: references to what the configuration borrows. */
struct net_client_tls;

/** Errors: LEST_E_USAGE (a key without its certificate or the reverse, a bad length), LEST_E_CRYPTO,
 *  LEST_E_NOMEM */
enum lest_status net_client_tls_new(const struct net_client_tls_config *config, struct net_client_tls **out,
                                    struct lest_error *err) LEST_MUST_USE;
void net_client_tls_free(struct net_client_tls *tls);

/** A peer of these settings, see net_client_peer_new(). */
struct net_client_peer *net_client_tls_peer(const struct net_client_tls *tls, const char *host);

/** Prepare the context of one connection. It keeps a reference to the peer. */
enum lest_status net_client_tls_prepare(const struct net_client_tls *tls, SSL_CTX *ctx,
                                        struct net_client_peer *peer, struct lest_error *err) LEST_MUST_USE;

#endif
