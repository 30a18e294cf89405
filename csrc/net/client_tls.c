#include "net/client_tls.h"

#include "pki/error.h"
#include "pki/store.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct net_client_tls {
    enum net_trust trust;
    bool cmc_ra;
    X509_STORE *store;
    X509 *cert;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

/* Where an SSL_CTX keeps its peer; set once for the process. */
static CRYPTO_ONCE index_once = CRYPTO_ONCE_STATIC_INIT;
static int peer_index = -1;

static void free_ctx_peer(void *parent, void *item, CRYPTO_EX_DATA *data, int index, long number,
                          void *pointer)
{
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    net_server_peer_free(item);
}

static void make_index(void)
{
    peer_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, free_ctx_peer);
}

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

static enum lest_status take_identity(struct net_client_tls *tls, const struct net_client_config *config,
                                      struct lest_error *err)
{
    if (!config->cert && !config->key)
        return LEST_OK;
    if (!config->cert || !config->key)
        return lest_error_set(err, LEST_E_USAGE,
                              "a client certificate needs its key, and a key its certificate");
    if (config->trust == NET_TRUST_PROVISIONAL)
        return lest_error_set(err, LEST_E_USAGE, "no certificate is shown to a server that is not verified");
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

enum lest_status net_client_tls_new(const struct net_client_config *config, struct net_client_tls **out,
                                    struct lest_error *err)
{
    *out = NULL;
    pki_error_clear();
    if (!CRYPTO_THREAD_run_once(&index_once, make_index) || peer_index < 0)
        return pki_error(err, LEST_E_CRYPTO, "OpenSSL cannot be set up");
    struct net_client_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    tls->trust = config->trust;
    tls->cmc_ra = config->cmc_ra;
    enum lest_status status = take_identity(tls, config, err);
    if (!status && config->trust == NET_TRUST_ANCHORS) {
        if (config->anchors && X509_STORE_up_ref(config->anchors))
            tls->store = config->anchors;
        else
            status = lest_error_set(err, LEST_E_USAGE, "explicit trust needs trust anchors");
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
    X509_free(tls->cert);
    sk_X509_pop_free(tls->chain, X509_free);
    EVP_PKEY_free(tls->key);
    free(tls);
}

struct net_server_peer *net_server_peer_new(const struct net_client_tls *tls, const char *host)
{
    struct net_server_peer *peer = calloc(1, sizeof *peer);
    struct in6_addr address;
    if (!peer)
        return NULL;
    size_t len = strlen(host);
    if (len && host[len - 1] == '.')
        len--; /* the root's dot stands in no certificate */
    if (len >= sizeof peer->host) {
        free(peer);
        return NULL;
    }
    memcpy(peer->host, host, len); /* NOLINT(bugprone-not-null-terminated-result): zeros were there */
    peer->is_ip =
        inet_pton(AF_INET, peer->host, &address) == 1 || inet_pton(AF_INET6, peer->host, &address) == 1;
    peer->references = 1;
    peer->alert = -1;
    peer->trust = tls->trust;
    peer->cmc_ra = tls->cmc_ra;
    peer->shown = tls->cert != NULL;
    return peer;
}

struct net_server_peer *net_server_peer_ref(struct net_server_peer *peer)
{
    peer->references++;
    return peer;
}

void net_server_peer_free(struct net_server_peer *peer)
{
    if (peer && --peer->references == 0)
        free(peer);
}

struct net_server_peer *net_server_peer_get0(SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), peer_index);
}

/* By SAN alone, never by CN (RFC 9525, RFC 6125 6.4.4), "*" only as a whole left-most label (6.4.3); an
 * address only against iPAddress (RFC 2818 3.1). */
static bool name_matches(X509 *leaf, const struct net_server_peer *peer)
{
    const unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    if (peer->is_ip)
        return X509_check_ip_asc(leaf, peer->host, 0) == 1;
    return X509_check_host(leaf, peer->host, strlen(peer->host), flags, NULL) == 1;
}

/* anyExtendedKeyUsage does not imply it (RFC 6402 2.10). */
static bool is_cmc_ra(X509 *leaf)
{
    bool found = false;
    EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
    for (int i = 0; eku && i < sk_ASN1_OBJECT_num(eku); i++)
        found = found || OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i)) == NID_cmcRA;
    EXTENDED_KEY_USAGE_free(eku);
    return found;
}

/* "DNS:a, IP Address:1.2.3.4" of the certificate, for the message alone. */
static void presented_names(X509 *leaf, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int at = X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1);
    out[0] = '\0';
    if (bio && at >= 0 && X509V3_EXT_print(bio, X509_get_ext(leaf, at), X509V3_EXT_PARSE_UNKNOWN, 0)) {
        int len = BIO_read(bio, out, (int)size - 1);
        out[len > 0 ? len : 0] = '\0';
    }
    BIO_free(bio);
}

static int refuse_chain(X509_STORE_CTX *ctx, struct net_server_peer *peer)
{
    struct lest_error why;
    peer->refused = true;
    pki_store_refusal(ctx, &why);
    lest_error_set(&peer->err, LEST_E_TRUST, "%.60s: %s", peer->host, why.message);
    if (why.detail[0])
        lest_error_add_detail(&peer->err, why.detail);
    return 0;
}

static int refuse_name(X509_STORE_CTX *ctx, X509 *leaf, struct net_server_peer *peer)
{
    char names[160];
    presented_names(leaf, names, sizeof names);
    peer->refused = true;
    lest_error_set(&peer->err, LEST_E_TRUST, "the server's certificate is not for %s: %s%s", peer->host,
                   names[0] ? "it names " : "it names no host", names);
    X509_STORE_CTX_set_error(ctx,
                             peer->is_ip ? X509_V_ERR_IP_ADDRESS_MISMATCH : X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
}

/* In place of OpenSSL's verification: the chain by RFC 5280, then whether this server may speak for the name
 * in the URL (RFC 7030 3.6), all before a byte of HTTP is sent. */
static int verify(X509_STORE_CTX *ctx, void *arg)
{
    struct net_server_peer *peer = arg;
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    /* RFC 7030 4.1.1: the caller compares a fingerprint before it believes anything of the answer. */
    if (peer->trust == NET_TRUST_PROVISIONAL) {
        X509_STORE_CTX_set_error(ctx, X509_V_OK);
        return 1;
    }
    if (X509_verify_cert(ctx) != 1)
        return refuse_chain(ctx, peer);
    if (name_matches(leaf, peer))
        return 1;
    /* RFC 7030 3.6.1: with explicit anchors an RA of the same PKI may have any name; 3.6.2: never with
     * implicit ones. */
    if (peer->trust == NET_TRUST_ANCHORS && peer->cmc_ra && is_cmc_ra(leaf)) {
        peer->by_cmc_ra = true;
        return 1;
    }
    return refuse_name(ctx, leaf, peer);
}

static void on_info(const SSL *ssl, int where, int value)
{
    if (where != SSL_CB_READ_ALERT)
        return;
    struct net_server_peer *peer = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), peer_index);
    if (peer && (value & 0xff) == SSL_AD_CLOSE_NOTIFY)
        peer->ended = true;
    else if (peer && value >> 8 == SSL3_AL_FATAL)
        peer->alert = value & 0xff;
}

bool net_alert_is_about_us(int alert)
{
    switch (alert) {
    case SSL_AD_NO_CERTIFICATE:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED: return true;
    default: return false;
    }
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

enum lest_status net_client_tls_prepare(const struct net_client_tls *tls, SSL_CTX *ctx,
                                        struct net_server_peer *peer, struct lest_error *err)
{
    /* Certificates of the peer, no anonymous or pre-shared suites, none without encryption or with one of
     * the broken ciphers; level 2: nothing below 112 bits. */
    static const char suites[] = "HIGH:!aNULL:!eNULL:!PSK:!SRP:!3DES:!MD5:@SECLEVEL=2";
    pki_error_clear();
    if (!SSL_CTX_set_ex_data(ctx, peer_index, peer))
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    net_server_peer_ref(peer);
    /* The peer is verified once: a renegotiation would bring a second certificate. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify, peer);
    SSL_CTX_set_info_callback(ctx, on_info);
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) || !SSL_CTX_set_cipher_list(ctx, suites))
        return pki_error(err, LEST_E_CRYPTO, "TLS cannot be set up");
    if (tls->store && !SSL_CTX_set1_verify_cert_store(ctx, tls->store))
        return pki_error(err, LEST_E_CRYPTO, "the trust anchors cannot be used");
    if (!show_identity(tls, ctx))
        return pki_error(err, LEST_E_CRYPTO, "the client certificate and key cannot be used");
    return LEST_OK;
}
