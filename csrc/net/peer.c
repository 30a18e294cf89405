#include "net/peer.h"

#include "net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct net_peer *net_peer_new(const struct sockaddr_storage *address)
{
    struct net_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->refs = 1;
    net_peer_set_address(peer, address);
    return peer;
}

void net_peer_set_address(struct net_peer *peer, const struct sockaddr_storage *address)
{
    net_address_text(address, peer->address);
    peer->port = net_address_port(address);
}

struct net_peer *net_peer_ref(struct net_peer *peer)
{
    peer->refs++;
    return peer;
}

void net_peer_free(struct net_peer *peer)
{
    if (!peer || --peer->refs > 0)
        return;
    sk_X509_pop_free(peer->chain, X509_free);
    sk_X509_pop_free(peer->expired, X509_free);
    free(peer->refusal);
    net_identity_free(peer->identity);
    free(peer);
}

static bool add(STACK_OF(X509) * list, X509 *cert)
{
    return X509_add_cert(list, cert, X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP);
}

/* The path that was verified, without its anchor, which the authority has; then what the client sent besides,
 * which a label's own anchors may need. What is cut off where there is much of it is the latter. */
static STACK_OF(X509) * chain_of(SSL *ssl, X509 *leaf)
{
    STACK_OF(X509) *path = SSL_get0_verified_chain(ssl), *sent = SSL_get_peer_cert_chain(ssl);
    STACK_OF(X509) *chain = sk_X509_new_null();
    bool ok = chain && add(chain, leaf);
    for (int i = 1; ok && i < sk_X509_num(path) - 1; i++)
        ok = add(chain, sk_X509_value(path, i));
    for (int i = 0; ok && i < sk_X509_num(sent); i++)
        ok = add(chain, sk_X509_value(sent, i));
    if (ok)
        return chain;
    sk_X509_pop_free(chain, X509_free);
    return NULL;
}

void net_peer_note_handshake(struct net_peer *peer, SSL *ssl)
{
    peer->version = SSL_get_version(ssl);
    peer->cipher = SSL_get_cipher_name(ssl);
    const char *group = SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));
    snprintf(peer->group, sizeof peer->group, "%s", group ? group : "");
    if (peer->identity)
        return;
    /* Without a certificate the result is X509_V_OK. A lenient context lets one through that did not verify,
     * and any context one that has expired, where its options say so: it is no proof of anything. */
    bool is_good = SSL_get_verify_result(ssl) == X509_V_OK;
    if (!is_good) {
        struct lest_error why;
        net_tls_reason(ssl, &why);
        peer->refusal = strdup(why.message);
    }
    X509 *leaf = is_good || net_tls_has_expired(ssl) ? SSL_get1_peer_certificate(ssl) : NULL;
    if (!leaf)
        return;
    *(is_good ? &peer->chain : &peer->expired) = chain_of(ssl, leaf);
    X509_free(leaf);
}
