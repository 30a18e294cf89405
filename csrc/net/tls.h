/* TLS contexts of the server: which versions, suites and groups are spoken, and which clients' certificates
 * are believed. */
#ifndef LEST_NET_TLS_H
#define LEST_NET_TLS_H

#include "pki/x509/cert.h"
#include "pki/x509/store.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct net_tls;

/** What a server presents and asks for. All borrowed for the call; what is kept has its own reference.
 *  cert, key    what is presented; both NULL where net_tls_set_identity() is to say, before the first
 *               handshake
 *  chain        sent after cert; NULL for none
 *  store        clients are asked for a certificate, and one that is presented must verify against it
 *               (chain, time, purpose, CRLs); NULL does not ask
 *  lenient      a certificate that does not verify counts as none, and the handshake goes on, unless its key
 *               has more than PKI_RSA_BITS_MAX bits
 *  own          certificates of CAs, NULL for none. A certificate that one of their keys has signed, and in
 *               which nothing is wrong but that it expired at most expired_s ago, counts as none as well, and
 *               net_tls_has_expired() tells
 *  curves       of clients' EC keys, besides the NIST curves, separated by ':'; NULL for none
 *  ciphers      OpenSSL's list for TLS 1.2; names that begin with "TLS_" are for 1.3. NULL for the default,
 *               which is AEAD alone. Only authenticated suites with an ephemeral key exchange are accepted
 *  min_version  "1.2" or "1.3"; NULL is "1.2"
 *  psk          instead of all that: no certificate on either side, but a key that both have
 *               (net/identity.h), and suites for that. cert, chain, key, store, lenient, own and ciphers are
 *               not looked at
 *  srp          likewise, by a password (RFC 5054), with TLS 1.2 alone; it may stand beside psk */
struct net_tls_options {
    const struct pki_cert *cert;
    const struct pki_certs *chain;
    EVP_PKEY *key;
    const struct pki_store *store;
    bool lenient;
    const struct pki_certs *own;
    int64_t expired_s;
    const char *curves;
    const char *ciphers;
    const char *min_version;
    bool psk;
    bool srp;
};

/** A context for accepting connections. No resumption, tickets, early data, compression or renegotiation.
 *  out  the caller's, net_tls_free(); NULL on failure
 *  Errors: LEST_E_CONFIG (key and certificate do not fit, a cipher that is not allowed), LEST_E_NOMEM */
enum lest_status net_tls_server_new(const struct net_tls_options *options, struct net_tls **out,
                                    struct lest_error *err) LEST_MUST_USE;

/** Another certificate, with what is sent after it and its key, for the sessions that net_tls_accept() gives
 *  from now on; those that there are keep theirs. All borrowed for the call; chain may be NULL.
 *  Errors: LEST_E_CONFIG (the key is not the certificate's, or of another algorithm than the one before,
 *  which would stay beside it), LEST_E_CERT_MALFORMED, LEST_E_NOMEM */
enum lest_status net_tls_set_identity(struct net_tls *tls, const struct pki_cert *cert,
                                      const struct pki_certs *chain, EVP_PKEY *key,
                                      struct lest_error *err) LEST_MUST_USE;

/** Another store for the handshakes that begin from now on, as with reloaded CRLs; NULL asks no more.
 *  Errors: LEST_E_NOMEM */
enum lest_status net_tls_set_store(struct net_tls *tls, const struct pki_store *store,
                                   struct lest_error *err) LEST_MUST_USE;

/** The OCSP response about its certificate, for clients that ask for one in handshakes from now on; der NULL:
 *  none. Copied. Errors: as net_staple_set */
enum lest_status net_tls_set_staple(struct net_tls *tls, const void *der, size_t len,
                                    struct lest_error *err) LEST_MUST_USE;

/** Whether a client has asked for one yet. */
bool net_tls_staple_is_wanted(const struct net_tls *tls);

/** One more reference; never fails. */
struct net_tls *net_tls_ref(struct net_tls *tls);
void net_tls_free(struct net_tls *tls);

/** A session for one accepted connection; free with SSL_free(). NULL without memory. */
SSL *net_tls_accept(struct net_tls *tls);

/** Whether its clients have no certificates but identities, and each session wants a net_identity. */
bool net_tls_asks(const struct net_tls *tls);

/** Whether the certificate that was shown is one of `own` that has expired, and nothing else is wrong. */
bool net_tls_has_expired(const SSL *ssl);

/** Say in out, which it empties first, why the handshake or connection of ssl failed, or why a lenient one
 *  counts no certificate: the peer's certificate and what is wrong with it, else OpenSSL's reasons.
 *  Empties OpenSSL's queue. */
void net_tls_reason(SSL *ssl, struct lest_error *out);

#endif
