#include "net/client_tls.h"

#include "base/buf.h"
#include "pki/error.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

/* NAMES_LEN_MAX  bytes of the list of anchors in a ClientHello
 * NAME_HEAD_LEN  bytes before each name: its type and its length */
enum { NAMES_LEN_MAX = 4096, NAME_HEAD_LEN = 3 };

/* names: of explicit anchors, to be told to servers */
struct net_client_tls {
    enum net_trust trust;
    bool cmc_ra;
    X509_STORE *store;
    STACK_OF(X509_NAME) * names;
    X509 *cert;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    struct net_client_key secret;
};

/* The system's anchors. The default paths are read lazily, by hashed name, where the system has such a
 * folder; SSL_CERT_FILE and SSL_CERT_DIR name others. */
static X509_STORE *system_store(void)
{
    X509_STORE *store = X509_STORE_new();
    if (store && X509_STORE_set_default_paths(store))
        return store;
    X509_STORE_free(store);
    return NULL;
}

static enum lest_status take_identity(struct net_client_tls *tls, const struct net_client_tls_config *config,
                                      struct lest_error *err)
{
    if (!config->cert && !config->key)
        return LEST_OK;
    if (!config->cert || !config->key)
        return lest_error_set(err, LEST_E_USAGE,
                              "a client certificate needs its key, and a key its certificate");
    if (config->trust == NET_TRUST_PROVISIONAL)
        return lest_error_set(err, LEST_E_USAGE, "no certificate is shown to a server that is not verified");
    if (config->trust == NET_TRUST_KEY || config->trust == NET_TRUST_PASSWORD)
        return lest_error_set(err, LEST_E_USAGE,
                              "who proves to have a key or a password shows no certificate");
    /* RFC 7030 3.3.2 wants a certificate of the RFC 5280 profile, whose peers refuse extensions like these
     * (4.2); 4.2.1: a key that is not for signatures signs nothing but its own request. */
    if (X509_get_extension_flags(config->cert) & EXFLAG_CRITICAL)
        return lest_error_set(err, LEST_E_USAGE,
                              "the client certificate has a critical extension that is not known");
    if (!(X509_get_key_usage(config->cert) & KU_DIGITAL_SIGNATURE))
        return lest_error_set(
            err, LEST_E_USAGE,
            "the key usage of the client certificate has no digitalSignature, which TLS wants");
    if (X509_check_private_key(config->cert, config->key) != 1)
        return pki_error(err, LEST_E_USAGE, "the client certificate is not for this key");
    if (!X509_up_ref(config->cert) || !(tls->cert = config->cert) || !EVP_PKEY_up_ref(config->key))
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    tls->key = config->key;
    tls->chain = sk_X509_new_null();
    for (size_t i = 0; tls->chain && i < config->chain_len; i++)
        if (!X509_add_cert(tls->chain, config->chain[i], X509_ADD_FLAG_UP_REF))
            return pki_error(err, LEST_E_NOMEM, "out of memory");
    return tls->chain ? LEST_OK : lest_error_set(err, LEST_E_NOMEM, "out of memory");
}

static int compare_names(const X509_NAME *const *a, const X509_NAME *const *b)
{
    return X509_NAME_cmp(*a, *b);
}

/* The subjects of the anchors, each once; NULL: no memory. Empty where they are too long: an incomplete list
 * would steer the server away from a chain that is fine. */
static STACK_OF(X509_NAME) * anchor_names(X509_STORE *store)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new(compare_names);
    STACK_OF(X509) *anchors = X509_STORE_get1_all_certs(store);
    size_t len = 0;
    bool ok = names && anchors;
    for (int i = 0; ok && i < sk_X509_num(anchors) && len <= NAMES_LEN_MAX; i++) {
        X509_NAME *name = X509_get_subject_name(sk_X509_value(anchors, i));
        if (sk_X509_NAME_find(names, name) >= 0)
            continue;
        name = X509_NAME_dup(name);
        ok = name && sk_X509_NAME_push(names, name) > 0;
        if (ok)
            len += NAME_HEAD_LEN + (size_t)i2d_X509_NAME(name, NULL);
        else
            X509_NAME_free(name);
    }
    sk_X509_pop_free(anchors, X509_free);
    if (ok && len <= NAMES_LEN_MAX)
        return names;
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return ok ? sk_X509_NAME_new_null() : NULL;
}

enum lest_status net_client_tls_new(const struct net_client_tls_config *config, struct net_client_tls **out,
                                    struct lest_error *err)
{
    *out = NULL;
    pki_error_clear();
    struct net_client_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    tls->trust = config->trust;
    tls->cmc_ra = config->cmc_ra;
    enum lest_status status = take_identity(tls, config, err);
    if (!status && config->trust == NET_TRUST_KEY)
        status = net_client_key_set(&tls->secret, config->psk_identity, config->psk, config->psk_len, err);
    if (!status && config->trust == NET_TRUST_PASSWORD)
        status = net_client_key_set_password(&tls->secret, config->srp_user, config->srp_password, err);
    if (!status && config->trust == NET_TRUST_ANCHORS) {
        if (config->anchors && X509_STORE_up_ref(config->anchors))
            tls->store = config->anchors;
        else
            status = lest_error_set(err, LEST_E_USAGE, "explicit trust needs trust anchors");
        if (tls->store && !(tls->names = anchor_names(tls->store)))
            status = pki_error(err, LEST_E_NOMEM, "out of memory");
    } else if (!status && config->trust == NET_TRUST_SYSTEM) {
        tls->store = system_store();
        if (!tls->store)
            status = pki_error(err, LEST_E_CRYPTO, "the system's trust store cannot be opened");
    }
    pki_error_clear();
    if (status)
        net_client_tls_free(tls);
    else
        *out = tls;
    return status;
}

void net_client_tls_free(struct net_client_tls *tls)
{
    if (!tls)
        return;
    X509_STORE_free(tls->store);
    sk_X509_NAME_pop_free(tls->names, X509_NAME_free);
    X509_free(tls->cert);
    sk_X509_pop_free(tls->chain, X509_free);
    EVP_PKEY_free(tls->key);
    OPENSSL_cleanse(&tls->secret, sizeof tls->secret);
    free(tls);
}

struct net_client_peer *net_client_tls_peer(const struct net_client_tls *tls, const char *host)
{
    return net_client_peer_new(tls->trust, tls->cmc_ra, tls->cert != NULL, host);
}

static bool show_identity(const struct net_client_tls *tls, SSL_CTX *ctx)
{
    if (!tls->cert)
        return true;
    if (SSL_CTX_use_certificate(ctx, tls->cert) != 1 || SSL_CTX_use_PrivateKey(ctx, tls->key) != 1)
        return false;
    /* An empty list, not none: else OpenSSL would look for a chain in the trust anchors. */
    return SSL_CTX_set1_chain(ctx, tls->chain) == 1 && SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
}

/* TrustedAuthorities (RFC 6066 6): a length, then for each name its type and its length. */
static int add_trusted_cas(SSL *ssl, unsigned type, unsigned context, const unsigned char **out, size_t *len,
                           X509 *cert, size_t index, int *alert, void *arg)
{
    enum { X509_NAME_TYPE = 2 };
    const STACK_OF(X509_NAME) *names = SSL_get0_CA_list(ssl);
    struct lest_buf list;
    (void)type, (void)context, (void)cert, (void)index, (void)arg;
    lest_buf_init(&list, 2 + NAMES_LEN_MAX);
    lest_buf_append(&list, "\0", 2);
    for (int i = 0; i < sk_X509_NAME_num(names); i++) {
        const unsigned char *der = NULL;
        size_t der_len = 0;
        X509_NAME_get0_der(sk_X509_NAME_value(names, i), &der, &der_len);
        const uint8_t head[NAME_HEAD_LEN] = { X509_NAME_TYPE, (uint8_t)(der_len >> 8), (uint8_t)der_len };
        lest_buf_append(&list, head, sizeof head);
        lest_buf_append(&list, der, der_len);
    }
    if (list.failed) {
        lest_buf_free(&list);
        *alert = SSL_AD_INTERNAL_ERROR;
        return -1;
    }
    list.data[0] = (uint8_t)((list.len - 2) >> 8);
    list.data[1] = (uint8_t)(list.len - 2);
    *out = list.data;
    *len = list.len;
    return 1;
}

static void free_trusted_cas(SSL *ssl, unsigned type, unsigned context, const unsigned char *out, void *arg)
{
    struct lest_buf list = { .data = (uint8_t *)out };
    (void)ssl, (void)type, (void)context, (void)arg;
    lest_buf_free(&list);
}

/* A server says with an empty extension that it has looked. */
static int parse_trusted_cas(SSL *ssl, unsigned type, unsigned context, const unsigned char *in, size_t len,
                             X509 *cert, size_t index, int *alert, void *arg)
{
    (void)ssl, (void)type, (void)context, (void)in, (void)cert, (void)index, (void)arg;
    *alert = SSL_AD_DECODE_ERROR;
    return len == 0;
}

/* RFC 7030 4.1.3: who believes explicit anchors only says which, so that a server with several chains can
 * show the right one: in certificate_authorities with TLS 1.3, in trusted_ca_keys with 1.2. */
static bool name_anchors(const struct net_client_tls *tls, SSL_CTX *ctx)
{
    enum { TRUSTED_CA_KEYS = 3 };
    if (sk_X509_NAME_num(tls->names) <= 0)
        return true;
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(tls->names);
    if (!names)
        return false;
    SSL_CTX_set0_CA_list(ctx, names);
    return SSL_CTX_add_custom_ext(ctx, TRUSTED_CA_KEYS, SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO,
                                  add_trusted_cas, free_trusted_cas, NULL, parse_trusted_cas, NULL);
}

enum lest_status net_client_tls_prepare(const struct net_client_tls *tls, SSL_CTX *ctx,
                                        struct net_client_peer *peer, struct lest_error *err)
{
    /* Certificates of the peer, no anonymous or pre-shared suites, none without encryption or with one of
     * the broken ciphers; level 2: nothing below 112 bits. */
    static const char suites[] = "HIGH:!aNULL:!eNULL:!PSK:!SRP:!3DES:!MD5:@SECLEVEL=2";
    pki_error_clear();
    enum lest_status status = net_client_peer_watch(peer, ctx, err);
    if (status)
        return status;
    /* The peer is verified once: a renegotiation would bring a second certificate. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    if (tls->trust == NET_TRUST_KEY || tls->trust == NET_TRUST_PASSWORD)
        return net_client_key_prepare(&tls->secret, ctx, err);
    if (!SSL_CTX_set_cipher_list(ctx, suites))
        return pki_error(err, LEST_E_CRYPTO, "TLS cannot be set up");
    if (tls->store && (!SSL_CTX_set1_verify_cert_store(ctx, tls->store) || !name_anchors(tls, ctx)))
        return pki_error(err, LEST_E_CRYPTO, "the trust anchors cannot be used");
    if (!show_identity(tls, ctx))
        return pki_error(err, LEST_E_CRYPTO, "the client certificate and key cannot be used");
    return LEST_OK;
}
