/* OpenSSL 3 calls SRP old, and has nothing in its place. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "net/client_key.h"

#include "net/tls_suites.h"
#include "pki/error.h"

#include <openssl/crypto.h>
#include <string.h>

/* Where an SSL_CTX keeps its copy; set once for the process. */
static CRYPTO_ONCE index_once = CRYPTO_ONCE_STATIC_INIT;
static int key_index = -1;

static void free_key(void *parent, void *item, CRYPTO_EX_DATA *data, int index, long number, void *pointer)
{
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    OPENSSL_clear_free(item, sizeof(struct net_client_key));
}

static void make_index(void)
{
    key_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, free_key);
}

static const struct net_client_key *key_of(SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), key_index);
}

static enum lest_status set_name(struct net_client_key *out, const char *name, struct lest_error *err)
{
    size_t name_len = strlen(name);
    if (name_len == 0 || name_len > NET_IDENTITY_NAME_MAX)
        return lest_error_set(err, LEST_E_USAGE, "the name in a handshake has 1 to %d bytes",
                              NET_IDENTITY_NAME_MAX);
    memcpy(out->name, name, name_len + 1);
    return LEST_OK;
}

enum lest_status net_client_key_set(struct net_client_key *out, const char *name, const void *key,
                                    size_t key_len, struct lest_error *err)
{
    enum lest_status status = set_name(out, name, err);
    if (status)
        return status;
    if (key_len < NET_IDENTITY_KEY_MIN || key_len > NET_IDENTITY_KEY_MAX)
        return lest_error_set(err, LEST_E_USAGE, "a pre-shared key has %d to %d bytes", NET_IDENTITY_KEY_MIN,
                              NET_IDENTITY_KEY_MAX);
    memcpy(out->key, key, key_len);
    out->key_len = key_len;
    return LEST_OK;
}

enum lest_status net_client_key_set_password(struct net_client_key *out, const char *name,
                                             const char *password, struct lest_error *err)
{
    size_t len = strlen(password);
    enum lest_status status = pki_srp_check(err);
    if (!status)
        status = set_name(out, name, err);
    if (!status && (len == 0 || len > NET_CLIENT_PASSWORD_MAX))
        status =
            lest_error_set(err, LEST_E_USAGE, "a password of SRP has 1 to %d bytes", NET_CLIENT_PASSWORD_MAX);
    if (status)
        return status;
    memcpy(out->key, password, len + 1);
    out->key_len = len;
    out->is_password = true;
    return LEST_OK;
}

/* TLS 1.3. After a HelloRetryRequest the hash is known, and the key is for one. */
static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **name, size_t *name_len,
                       SSL_SESSION **out)
{
    const struct net_client_key *key = key_of(ssl);
    *out = NULL;
    if (md && !EVP_MD_is_a(md, "SHA256"))
        return 1;
    *out = net_psk_session(ssl, key->key, key->key_len);
    *name = (const unsigned char *)key->name;
    *name_len = strlen(key->name);
    return *out != NULL;
}

/* TLS 1.2 */
static unsigned use_key(SSL *ssl, const char *hint, char *name, unsigned name_max, unsigned char *out,
                        unsigned out_max)
{
    const struct net_client_key *key = key_of(ssl);
    (void)hint;
    if (strlen(key->name) >= name_max || key->key_len > out_max)
        return 0;
    memcpy(name, key->name, strlen(key->name) + 1);
    memcpy(out, key->key, key->key_len);
    return (unsigned)key->key_len;
}

#ifndef OPENSSL_NO_SRP
/* OpenSSL zeroes this copy as soon as it has used it. */
static char *use_password(SSL *ssl, void *arg)
{
    (void)arg;
    return OPENSSL_strdup((const char *)key_of(ssl)->key);
}

/* RFC 5054 has no suite of TLS 1.3. What is too small, or no group of appendix A, OpenSSL refuses before the
 * password is used (2.5.3). */
static bool prepare_password(const struct net_client_key *key, SSL_CTX *ctx)
{
    char name[sizeof key->name];
    memcpy(name, key->name, sizeof name);
    return SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) && SSL_CTX_set_srp_username(ctx, name) == 1 &&
           SSL_CTX_set_srp_strength(ctx, PKI_SRP_BITS_MIN) == 1 &&
           SSL_CTX_set_srp_client_pwd_callback(ctx, use_password) == 1;
}
#else
static bool prepare_password(const struct net_client_key *key, SSL_CTX *ctx)
{
    (void)key, (void)ctx;
    return false;
}
#endif

enum lest_status net_client_key_prepare(const struct net_client_key *key, SSL_CTX *ctx,
                                        struct lest_error *err)
{
    if (!CRYPTO_THREAD_run_once(&index_once, make_index) || key_index < 0)
        return pki_error(err, LEST_E_CRYPTO, "OpenSSL cannot be set up");
    struct net_client_key *copy = OPENSSL_memdup(key, sizeof *key);
    if (!copy || !SSL_CTX_set_ex_data(ctx, key_index, copy)) {
        OPENSSL_clear_free(copy, sizeof *copy);
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    }
    if (!key->is_password) {
        SSL_CTX_set_psk_use_session_callback(ctx, use_session);
        SSL_CTX_set_psk_client_callback(ctx, use_key);
    } else if (!prepare_password(key, ctx)) {
        return pki_error(err, LEST_E_CRYPTO, "SRP cannot be set up");
    }
    return net_tls_set_keyed_suites(ctx, !key->is_password, key->is_password, err);
}
