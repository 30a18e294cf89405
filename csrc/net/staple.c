#include "net/staple.h"

#include <openssl/crypto.h>
#include <openssl/tls1.h>
#include <stdlib.h>
#include <string.h>

/* "MUST NOT send it where the client has not asked" (RFC 6066 8): OpenSSL calls this only where it has. A
 * session that gets no response goes on: who must have one ends the handshake itself. */
static int on_status(SSL *ssl, void *arg)
{
    struct net_staple *staple = arg;
    staple->is_wanted = true;
    uint8_t *copy = staple->data ? OPENSSL_memdup(staple->data, staple->len) : NULL;
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    /* It is the session's from here on. */
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->len);
    return SSL_TLSEXT_ERR_OK;
}

void net_staple_prepare(SSL_CTX *ctx, struct net_staple *staple)
{
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_tlsext_status_arg(ctx, staple);
}

enum lest_status net_staple_set(struct net_staple *staple, const void *data, size_t len,
                                struct lest_error *err)
{
    uint8_t *copy = NULL;
    if (data && (len == 0 || len > NET_STAPLE_MAX))
        return lest_error_set(err, LEST_E_TOO_LARGE, "an OCSP response has between 1 and %d bytes here",
                              NET_STAPLE_MAX);
    if (data && !(copy = malloc(len)))
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    if (data)
        memcpy(copy, data, len);
    net_staple_clear(staple);
    staple->data = copy;
    staple->len = data ? len : 0;
    return LEST_OK;
}

void net_staple_clear(struct net_staple *staple)
{
    free(staple->data);
    staple->data = NULL;
    staple->len = 0;
}
