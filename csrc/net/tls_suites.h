/* What a TLS context of the server negotiates: groups and cipher suites. */
#ifndef LEST_NET_TLS_SUITES_H
#define LEST_NET_TLS_SUITES_H

#include "base/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/** Offer the server's groups, as far as this OpenSSL has them, in its order of preference. In TLS 1.2 they
 *  are also the curves that a client's EC key may be on (RFC 8422 5.1.1).
 *  curves  further ones, after all others: names separated by ':'; one that is no group of TLS is left out.
 *          NULL for none
 *  Errors: LEST_E_CRYPTO */
enum lest_status net_tls_set_groups(SSL_CTX *ctx, const char *curves, struct lest_error *err) LEST_MUST_USE;

/** Set the cipher suites; see net_tls_options. The security level of ctx stays as it is.
 *  Errors: LEST_E_CONFIG, with the name that is unknown or not allowed */
enum lest_status net_tls_set_suites(SSL_CTX *ctx, const char *ciphers, struct lest_error *err) LEST_MUST_USE;

/** Set the suites of a context without certificates, of server or client: those of a pre-shared key (psk)
 *  beside an ephemeral key exchange, those of a password (srp), or both. A key is for SHA-256 in TLS 1.3
 *  (RFC 8446 4.2.11). Errors: LEST_E_CRYPTO */
enum lest_status net_tls_set_keyed_suites(SSL_CTX *ctx, bool psk, bool srp,
                                          struct lest_error *err) LEST_MUST_USE;

#endif
