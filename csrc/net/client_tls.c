#include "net/client_tls.h"

#include "base/buf.h"
#include "pki/error.h"
#include "pki/x509/store.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

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
};

/* Where an SSL_CTX keeps its peer; set once for the process. */
static CRYPTO_ONCE index_once = CRYPTO_ONCE_STATIC_INIT;
static int peer_index = -1;

static void free_ctx_peer(void *parent, void *item, CRYPTO_EX_DATA *data, int index, long number,
                          void *pointer)
{
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    net_client_peer_free(item);
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
    free(tls);
}

struct net_client_peer *net_client_peer_new(const struct net_client_tls *tls, const char *host)
{
    struct net_client_peer *peer = calloc(1, sizeof *peer);
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

struct net_client_peer *net_client_peer_ref(struct net_client_peer *peer)
{
    peer->references++;
    return peer;
}

void net_client_peer_free(struct net_client_peer *peer)
{
    if (peer && --peer->references == 0)
        free(peer);
}

struct net_client_peer *net_client_peer_get0(SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), peer_index);
}

/* By SAN alone, never by CN (RFC 9525, RFC 6125 6.4.4), "*" only as a whole left-most label (6.4.3); an
 * address only against iPAddress (RFC 2818 3.1). */
static bool name_matches(X509 *leaf, const struct net_client_peer *peer)
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

static int refuse_chain(X509_STORE_CTX *ctx, struct net_client_peer *peer)
{
    struct lest_error why;
    peer->refused = true;
    pki_store_refusal(ctx, &why);
    lest_error_set(&peer->err, LEST_E_TRUST, "%.60s: %s", peer->host, why.message);
    if (why.detail[0])
        lest_error_add_detail(&peer->err, why.detail);
    return 0;
}

static int refuse_name(X509_STORE_CTX *ctx, X509 *leaf, struct net_client_peer *peer)
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
    struct net_client_peer *peer = arg;
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    /* RFC 7030 4.1.1: the caller compares a fingerprint before it believes anything of the answer. */
    if (peer->trust == NET_TRUST_PROVISIONAL) {
        X509_STORE_CTX_set_error(ctx, X509_V_OK);
        return 1;
    }
    if (pki_store_run(ctx) != 1)
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
    struct net_client_peer *peer = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), peer_index);
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
    if (!SSL_CTX_set_ex_data(ctx, peer_index, peer))
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    net_client_peer_ref(peer);
    net_records_bound(ctx, &peer->records);
    /* The peer is verified once: a renegotiation would bring a second certificate. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify, peer);
    SSL_CTX_set_info_callback(ctx, on_info);
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) || !SSL_CTX_set_cipher_list(ctx, suites))
        return pki_error(err, LEST_E_CRYPTO, "TLS cannot be set up");
    if (tls->store && (!SSL_CTX_set1_verify_cert_store(ctx, tls->store) || !name_anchors(tls, ctx)))
        return pki_error(err, LEST_E_CRYPTO, "the trust anchors cannot be used");
    if (!show_identity(tls, ctx))
        return pki_error(err, LEST_E_CRYPTO, "the client certificate and key cannot be used");
    return LEST_OK;
}
