/* Whom a client of the server names in a handshake without certificates: the identity of a pre-shared key
 * (RFC 8446 4.2.11, RFC 4279), or the user of a password (SRP, RFC 5054). The secret is another process's, so
 * the handshake stands still until that has answered.
 *
 * It does so in a fibre of OpenSSL's (ASYNC_JOB), since the callback that wants the key of TLS 1.2 has no
 * other way to wait. A fibre ends only by being run to its end: net_identity_close() does that. */
#ifndef LEST_NET_IDENTITY_H
#define LEST_NET_IDENTITY_H

#include "base/error.h"
#include "net/address.h"
#include "pki/key/srp.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/** NAME_MAX   bytes of a name; nobody has a longer one
 *  KEY_MIN    bytes of a key: 128 bits, which nobody guesses (RFC 9257 4.2)
 *  GRANT_MAX  bytes of what stands for the answer */
enum {
    NET_IDENTITY_NAME_MAX = 255,
    NET_IDENTITY_KEY_MIN = 16,
    NET_IDENTITY_KEY_MAX = 64,
    NET_IDENTITY_GRANT_MAX = 512
};

enum net_identity_state {
    NET_IDENTITY_NONE,     /* none was named yet */
    NET_IDENTITY_ASKED,    /* one was, and the handshake stands still */
    NET_IDENTITY_ANSWERED, /* its secret is there */
    NET_IDENTITY_REFUSED   /* there is none: the handshake fails */
};

/** What proves an identity, borrowed.
 *  key    of "psk", KEY_MIN to KEY_MAX bytes; of "srp" the password's verifier
 *  salt   of "srp", as is group: the bits of its prime */
struct net_identity_secret {
    const uint8_t *key;
    size_t key_len;
    const uint8_t *salt;
    size_t salt_len;
    int64_t group;
};

/** The identity of one connection. Counted references: the connection's, and that of who answers.
 *  kind     "psk" or "srp"
 *  name     any bytes
 *  address  of the client
 *  grant    what the answer has besides the secret: it stands for it, later
 *  resume   the connection's: go on with the handshake; NULL once nobody waits for the answer
 *  To be read only, but for resume. */
struct net_identity {
    int refs;
    enum net_identity_state state;
    const char *kind;
    uint8_t name[NET_IDENTITY_NAME_MAX];
    size_t name_len;
    char address[NET_ADDRESS_SIZE];
    uint8_t key[PKI_SRP_VERIFIER_MAX];
    size_t key_len;
    uint8_t salt[PKI_SRP_SALT_MAX];
    size_t salt_len;
    int64_t group;
    uint8_t grant[NET_IDENTITY_GRANT_MAX];
    size_t grant_len;
    void (*resume)(void *arg);
    void *arg;
};

/** The session that stands for a key in TLS 1.3, of client or server: the caller's, NULL without memory. It
 *  is for SHA-256, as the suites of net_tls_set_keyed_suites(). */
SSL_SESSION *net_psk_session(SSL *ssl, const uint8_t *key, size_t key_len);

/** Let handshakes of this context ask for the keys of identities (psk), for the verifiers of passwords (srp),
 *  or for both; LEST_E_CRYPTO without memory or fibres, or where OpenSSL has no SRP. */
enum lest_status net_identity_prepare(SSL_CTX *ctx, bool psk, bool srp, struct lest_error *err) LEST_MUST_USE;

/** One for the handshake of ssl, with one reference; NULL: no memory. address: of the client, to be told. */
struct net_identity *net_identity_new(SSL *ssl, const char *address);
struct net_identity *net_identity_ref(struct net_identity *identity);
void net_identity_free(struct net_identity *identity);

/** Answer, and let the handshake go on, which it does from the loop.
 *  secret  NULL refuses
 *  Errors: LEST_E_CLOSED (the client has gone, or it was answered), LEST_E_USAGE (a length, the group) */
enum lest_status net_identity_answer(struct net_identity *identity, const struct net_identity_secret *secret,
                                     const void *grant, size_t grant_len,
                                     struct lest_error *err) LEST_MUST_USE;

/** The handshake of ssl is over, whatever it came to: forget the secret. */
void net_identity_finish(struct net_identity *identity, SSL *ssl);

/** The connection is over: end a handshake that stands still, and forget the secret. ssl may be freed
 *  then. */
void net_identity_close(struct net_identity *identity, SSL *ssl);

#endif
