/* OpenSSL 3 calls SRP old, and has nothing in its place. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "net/identity.h"

#include "pki/error.h"

#include <openssl/async.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where an SSL keeps its identity; set once for the process. */
static CRYPTO_ONCE index_once = CRYPTO_ONCE_STATIC_INIT;
static int identity_index = -1;

static void make_index(void)
{
    identity_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, NULL);
}

/* A handshake names one. A client that is told to begin anew (HelloRetryRequest) names it again. */
static bool is_named(struct net_identity *identity, const char *kind, const void *name, size_t len)
{
    if (identity->state != NET_IDENTITY_NONE)
        return identity->kind == kind && identity->name_len == len && memcmp(identity->name, name, len) == 0;
    if (len == 0 || len > sizeof identity->name)
        return false;
    memcpy(identity->name, name, len);
    identity->name_len = len;
    identity->kind = kind;
    identity->state = NET_IDENTITY_ASKED;
    return true;
}

/* Stand still until the identity's secret is there. False: there is none. */
static bool learn(struct net_identity *identity, const char *kind, const void *name, size_t len)
{
    if (!identity || !ASYNC_get_current_job() || !is_named(identity, kind, name, len))
        return false;
    while (identity->state == NET_IDENTITY_ASKED)
        if (!ASYNC_pause_job())
            return false;
    return identity->state == NET_IDENTITY_ANSWERED;
}

static const char PSK[] = "psk", SRP[] = "srp";

SSL_SESSION *net_psk_session(SSL *ssl, const uint8_t *key, size_t key_len)
{
    static const unsigned char aes_128_gcm_sha256[] = { 0x13, 0x01 };
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
    SSL_SESSION *session = SSL_SESSION_new();
    if (session && cipher && SSL_SESSION_set1_master_key(session, key, key_len) &&
        SSL_SESSION_set_cipher(session, cipher) && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
        return session;
    SSL_SESSION_free(session);
    return NULL;
}

/* TLS 1.3. Every identity has a key, be it nobody's: so the first one counts, and no answer tells which are
 * known. */
static int find_session(SSL *ssl, const unsigned char *name, size_t len, SSL_SESSION **out)
{
    struct net_identity *identity = SSL_get_ex_data(ssl, identity_index);
    *out = NULL;
    if (learn(identity, PSK, name, len))
        *out = net_psk_session(ssl, identity->key, identity->key_len);
    return *out != NULL;
}

/* TLS 1.2. RFC 4279 2: who does not know an identity may go on as with a wrong key. */
static unsigned find_key(SSL *ssl, const char *name, unsigned char *key, unsigned max)
{
    struct net_identity *identity = SSL_get_ex_data(ssl, identity_index);
    if (!learn(identity, PSK, name, strlen(name)) || identity->key_len > max)
        return 0;
    memcpy(key, identity->key, identity->key_len);
    return (unsigned)identity->key_len;
}

/* Nothing but a key proves either side: with TLS 1.3 a client that shows none there has none. It may have one
 * for TLS 1.2, where it is named later. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is OpenSSL's. */
static int choose_version(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *extension;
    size_t len;
    (void)alert, (void)arg;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &extension, &len))
        SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    return SSL_CLIENT_HELLO_SUCCESS;
}

#ifndef OPENSSL_NO_SRP
/* The numbers are OpenSSL's own copies, which it zeroes when it frees them, as a secure one is. */
static bool set_verifier(SSL *ssl, const struct net_identity *identity)
{
    struct pki_srp_group group;
    BIGNUM *salt = BN_bin2bn(identity->salt, (int)identity->salt_len, NULL), *verifier = BN_secure_new();
    bool ok = salt && verifier && pki_srp_find(identity->group, &group) &&
              BN_bin2bn(identity->key, (int)identity->key_len, verifier) &&
              SSL_set_srp_server_param(ssl, group.prime, group.generator, salt, verifier, NULL) == 1;
    BN_free(salt);
    BN_clear_free(verifier);
    return ok;
}

/* RFC 5054 2.5.1.3: every user has a verifier, be it nobody's. */
static int find_verifier(SSL *ssl, int *alert, void *arg)
{
    struct net_identity *identity = SSL_get_ex_data(ssl, identity_index);
    const char *name = SSL_get_srp_username(ssl);
    (void)arg;
    *alert = SSL_AD_UNKNOWN_PSK_IDENTITY;
    return name && learn(identity, SRP, name, strlen(name)) && set_verifier(ssl, identity) ? SSL_ERROR_NONE
                                                                                           : SSL3_AL_FATAL;
}
#endif

static enum lest_status prepare_srp(SSL_CTX *ctx, struct lest_error *err)
{
    enum lest_status status = pki_srp_check(err);
#ifndef OPENSSL_NO_SRP
    if (!status && SSL_CTX_set_srp_username_callback(ctx, find_verifier) != 1)
        status = pki_error(err, LEST_E_CRYPTO, "SRP cannot be set up");
#else
    (void)ctx;
#endif
    return status;
}

enum lest_status net_identity_prepare(SSL_CTX *ctx, bool psk, bool srp, struct lest_error *err)
{
    if (!CRYPTO_THREAD_run_once(&index_once, make_index) || identity_index < 0 || !ASYNC_is_capable())
        return pki_error(err, LEST_E_CRYPTO, "OpenSSL cannot let a handshake wait");
    if (psk) {
        SSL_CTX_set_psk_find_session_callback(ctx, find_session);
        SSL_CTX_set_psk_server_callback(ctx, find_key);
        SSL_CTX_set_client_hello_cb(ctx, choose_version, NULL);
    } else if (!SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION)) {
        return pki_error(err, LEST_E_CRYPTO, "the TLS versions cannot be set"); /* SRP ends with 1.2 */
    }
    return srp ? prepare_srp(ctx, err) : LEST_OK;
}

struct net_identity *net_identity_new(SSL *ssl, const char *address)
{
    struct net_identity *identity = calloc(1, sizeof *identity);
    if (!identity || !SSL_set_ex_data(ssl, identity_index, identity)) {
        free(identity);
        return NULL;
    }
    identity->refs = 1;
    snprintf(identity->address, sizeof identity->address, "%s", address);
    SSL_set_mode(ssl, SSL_MODE_ASYNC);
    return identity;
}

struct net_identity *net_identity_ref(struct net_identity *identity)
{
    identity->refs++;
    return identity;
}

void net_identity_free(struct net_identity *identity)
{
    if (!identity || --identity->refs > 0)
        return;
    OPENSSL_cleanse(identity, sizeof *identity);
    free(identity);
}

static bool is_fit(const char *kind, const struct net_identity_secret *secret)
{
    struct pki_srp_group group;
    if (kind == PSK)
        return secret->key_len >= NET_IDENTITY_KEY_MIN && secret->key_len <= NET_IDENTITY_KEY_MAX;
    return kind == SRP && pki_srp_find(secret->group, &group) &&
           secret->key_len == (size_t)BN_num_bytes(group.prime) && secret->salt_len > 0 &&
           secret->salt_len <= PKI_SRP_SALT_MAX;
}

enum lest_status net_identity_answer(struct net_identity *identity, const struct net_identity_secret *secret,
                                     const void *grant, size_t grant_len, struct lest_error *err)
{
    if (identity->state != NET_IDENTITY_ASKED || !identity->resume)
        return lest_error_set(err, LEST_E_CLOSED, "nobody waits for this answer");
    if (secret && (!is_fit(identity->kind, secret) || grant_len > sizeof identity->grant))
        return lest_error_set(err, LEST_E_USAGE, "a secret or a grant has not its length");
    identity->state = secret ? NET_IDENTITY_ANSWERED : NET_IDENTITY_REFUSED;
    if (secret) {
        memcpy(identity->key, secret->key, secret->key_len);
        identity->key_len = secret->key_len;
        if (secret->salt_len)
            memcpy(identity->salt, secret->salt, secret->salt_len);
        identity->salt_len = secret->salt_len;
        identity->group = secret->group;
        memcpy(identity->grant, grant, grant_len);
        identity->grant_len = grant_len;
    }
    identity->resume(identity->arg);
    return LEST_OK;
}

void net_identity_finish(struct net_identity *identity, SSL *ssl)
{
    OPENSSL_cleanse(identity->key, sizeof identity->key);
    identity->key_len = 0;
#ifndef OPENSSL_NO_SRP
    if (identity->kind == SRP)
        SSL_SRP_CTX_free(ssl);
#endif
    SSL_clear_mode(ssl, SSL_MODE_ASYNC);
}

void net_identity_close(struct net_identity *identity, SSL *ssl)
{
    identity->resume = NULL;
    identity->state = NET_IDENTITY_REFUSED;
    if (SSL_waiting_for_async(ssl)) {
        pki_error_clear();
        SSL_do_handshake(ssl); /* it fails, which is the end of its fibre */
        pki_error_clear();
    }
    net_identity_finish(identity, ssl);
    SSL_set_ex_data(ssl, identity_index, NULL);
}
