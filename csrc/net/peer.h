/* Who is on the other end of a connection of the server. */
#ifndef LEST_NET_PEER_H
#define LEST_NET_PEER_H

#include "net/address.h"
#include "net/identity.h"

#include <openssl/ssl.h>

/** Shared by the connection and its exchanges.
 *  chain    the verified client's certificate, the rest of its path without the anchor, then what else it
 *           sent; NULL without one
 *  expired  likewise, of one of our own CAs whose certificate has expired, and counts as none (net/tls.h)
 *  refusal  why the certificate that the client did show is none of its: a sentence, else NULL
 *  identity of a client without certificates; NULL where there are some. Proven once `version` is there */
struct net_peer {
    int refs;
    char address[NET_ADDRESS_SIZE];
    int port;
    const char *version; /* "TLSv1.3"; NULL before the end of the handshake */
    const char *cipher;
    char group[32];
    STACK_OF(X509) * chain;
    STACK_OF(X509) * expired;
    char *refusal;
    struct net_identity *identity;
};

/** A peer at an address, with one reference; NULL: no memory. */
struct net_peer *net_peer_new(const struct sockaddr_storage *address);

/** It turns out to be at another address. */
void net_peer_set_address(struct net_peer *peer, const struct sockaddr_storage *address);

struct net_peer *net_peer_ref(struct net_peer *peer);
void net_peer_free(struct net_peer *peer);

/** Note what the handshake came to. */
void net_peer_note_handshake(struct net_peer *peer, SSL *ssl);

#endif
