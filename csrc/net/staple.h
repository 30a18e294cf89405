/* The OCSP response that a server gives with its certificate to a client that asks for one (status_request,
 * RFC 6066 8; RFC 8446 4.4.2.1). */
#ifndef LEST_NET_STAPLE_H
#define LEST_NET_STAPLE_H

#include "base/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

enum { NET_STAPLE_MAX = 16384 };

/** data is NULL where there is none: a client that asks gets a handshake without. is_wanted says that one has
 *  asked. */
struct net_staple {
    uint8_t *data;
    size_t len;
    bool is_wanted;
};

/** Let handshakes of a context give what staple has at their time; it lives as long as the context's
 *  sessions. */
void net_staple_prepare(SSL_CTX *ctx, struct net_staple *staple);

/** Another response, DER of 1 to NET_STAPLE_MAX bytes, which is copied; data NULL: none.
 *  Errors: LEST_E_TOO_LARGE, LEST_E_NOMEM; what was there stays */
enum lest_status net_staple_set(struct net_staple *staple, const void *data, size_t len,
                                struct lest_error *err) LEST_MUST_USE;

/** Free what it has. */
void net_staple_clear(struct net_staple *staple);

#endif
