/* The client's half of a handshake without certificates: a pre-shared key (RFC 8446 4.2.11, RFC 4279) or a
 * password (SRP, RFC 5054), which proves either side to the other. */
#ifndef LEST_NET_CLIENT_KEY_H
#define LEST_NET_CLIENT_KEY_H

#include "base/error.h"
#include "net/identity.h"

#include <openssl/ssl.h>

enum { NET_CLIENT_PASSWORD_MAX = 1024 };

/** Who the client is, in bytes without a zero, and its key; or its password, without a zero as well. */
struct net_client_key {
    char name[NET_IDENTITY_NAME_MAX + 1];
    uint8_t key[NET_CLIENT_PASSWORD_MAX + 1];
    size_t key_len;
    bool is_password;
};

/** Check and copy. Errors: LEST_E_USAGE */
enum lest_status net_client_key_set(struct net_client_key *out, const char *name, const void *key,
                                    size_t key_len, struct lest_error *err) LEST_MUST_USE;

/** Likewise of a password. Errors: LEST_E_USAGE, LEST_E_CRYPTO where OpenSSL has no SRP */
enum lest_status net_client_key_set_password(struct net_client_key *out, const char *name,
                                             const char *password, struct lest_error *err) LEST_MUST_USE;

/** Let the connection of this context prove itself by a key, and offer nothing else. The context has a copy
 *  of its own, which is zeroed with it. Errors: LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status net_client_key_prepare(const struct net_client_key *key, SSL_CTX *ctx,
                                        struct lest_error *err) LEST_MUST_USE;

#endif
