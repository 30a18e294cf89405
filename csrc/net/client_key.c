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

enum lest_status net_client_key_set(struct net_client_key *out, const char *name, const void *key,
                                    size_t key_len, struct lest_error *err)
{
    size_t name_len = strlen(name);
    if (name_len == 0 || name_len > NET_IDENTITY_NAME_MAX)
        return lest_error_set(err, LEST_E_USAGE, "the identity of a key has 1 to %d bytes",
                              NET_IDENTITY_NAME_MAX);
    if (key_len < NET_IDENTITY_KEY_MIN || key_len > NET_IDENTITY_KEY_MAX)
        return lest_error_set(err, LEST_E_USAGE, "a pre-shared key has %d to %d bytes", NET_IDENTITY_KEY_MIN,
                              NET_IDENTITY_KEY_MAX);
    memcpy(out->name, name, name_len + 1);
    memcpy(out->key, key, key_len);
    out->key_len = key_len;
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
    SSL_CTX_set_psk_use_session_callback(ctx, use_session);
    SSL_CTX_set_psk_client_callback(ctx, use_key);
    return net_tls_set_keyed_suites(ctx, err);
}
