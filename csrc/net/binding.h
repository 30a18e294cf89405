/* The channel binding of a TLS connection: what both its ends know, and nobody knows of another one. */
#ifndef LEST_NET_BINDING_H
#define LEST_NET_BINDING_H

#include <openssl/ssl.h>
#include <stdbool.h>

/** Room for the text of any, with a NUL. */
enum { NET_BINDING_SIZE = 4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1 };

/** Write it as a request carries it (RFC 7030 3.5): the base64 of tls-unique, with TLS 1.2, or of
 *  tls-exporter, with TLS 1.3, which has no tls-unique (RFC 9266). False: the handshake has not ended, or
 *  there is no memory. Of either end. It holds as long as the connection, since neither end renegotiates. */
bool net_binding_write(SSL *ssl, char text[NET_BINDING_SIZE]);

#endif
