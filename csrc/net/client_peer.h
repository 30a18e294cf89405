/* The server at the other end of a client's connection: who it has to be, whether it is, and what its
 * handshake came to. Known as well when the handshake fails, which is when one wants to know. */
#ifndef LEST_NET_CLIENT_PEER_H
#define LEST_NET_CLIENT_PEER_H

#include "base/error.h"
#include "net/records.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/** Whom a client believes: explicit anchors, the system's (RFC 7030 1.1: an Implicit Trust Anchor database),
 *  or any server at all for now, to fetch what is compared with a fingerprint (4.1.1); or no certificate, but
 *  who proves to have a key, or what a password is kept as (3.6). */
enum net_trust {
    NET_TRUST_ANCHORS,
    NET_TRUST_SYSTEM,
    NET_TRUST_PROVISIONAL,
    NET_TRUST_KEY,
    NET_TRUST_PASSWORD,
    NET_TRUST_COUNT
};

/** What is known about one connection's peer. Counted references: the request that opens the connection
 *  has one, the SSL_CTX another, since a connection that is kept lives longer than its request.
 *  shown         we have a certificate to show to it
 *  asked         it asked for one
 *  refused       its certificate was not accepted, and err says why
 *  by_cmc_ra     the name did not match; id-kp-cmcRA stood for it (RFC 7030 3.6.1)
 *  ended         it said that it will send no more (close_notify)
 *  alert         the last fatal alert that it sent, or -1
 *  alert_sent    that we sent
 *  records       what it has sent besides data
 *  chain         its certificates as it sent them, its own first; NULL before they came
 *  path          from its certificate to the anchor, where that was found
 *  version, cipher   of the finished handshake, else NULL: "TLSv1.3" and OpenSSL's name
 *  group, protocol   of its key agreement, and of ALPN; "" for none */
struct net_client_peer {
    unsigned references;
    enum net_trust trust;
    bool cmc_ra;
    bool shown;
    bool asked;
    bool refused;
    bool by_cmc_ra;
    bool is_ip;
    bool ended;
    int alert;
    int alert_sent;
    struct net_records records;
    STACK_OF(X509) * chain;
    STACK_OF(X509) * path;
    const char *version;
    const char *cipher;
    char group[32];
    char protocol[16];
    struct lest_error err;
    char host[256];
};

/** A peer to be called by this host name in A-labels, or an address without brackets. cmc_ra: with explicit
 *  anchors an RA may have another name. shown: see above. NULL: no memory. */
struct net_client_peer *net_client_peer_new(enum net_trust trust, bool cmc_ra, bool shown, const char *host);
struct net_client_peer *net_client_peer_ref(struct net_client_peer *peer);
void net_client_peer_free(struct net_client_peer *peer);

/** Let the one connection of this context be verified as this peer, and be noted there. The context keeps a
 *  reference. Errors: LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status net_client_peer_watch(struct net_client_peer *peer, SSL_CTX *ctx,
                                       struct lest_error *err) LEST_MUST_USE;

/** The peer that was verified when this session's connection was opened; borrowed, NULL if unknown. */
struct net_client_peer *net_client_peer_get0(SSL *ssl);

/** "unknown CA" of an alert; NULL for -1. */
const char *net_alert_text(int alert);

/** Whether an alert is about our certificate: the peer refused it, or wants one (RFC 8446 6.2). */
bool net_alert_is_about_us(int alert);

#endif
