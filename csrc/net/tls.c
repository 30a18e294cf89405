#include "net/tls.h"

#include "net/identity.h"
#include "net/records.h"
#include "net/staple.h"
#include "net/tls_suites.h"
#include "pki/asn1/name.h"
#include "pki/error.h"
#include "pki/key/key.h"
#include "pki/x509/path.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct net_tls {
    SSL_CTX *ctx;
    int refs;
    bool lenient;
    bool asks;
    STACK_OF(X509) * own;
    int64_t expired_s;
    struct net_staple staple;
};

/* What went wrong with a peer's certificate: kept in its SSL for net_tls_reason(), and freed with it. */
struct verdict {
    int reason;
    int depth;
    bool has_expired; /* and is good else */
    uint8_t *subject;
    int subject_len;
};

static CRYPTO_ONCE index_once = CRYPTO_ONCE_STATIC_INIT;
static int verdict_index = -1;

static void free_verdict(void *parent, void *item, CRYPTO_EX_DATA *data, int index, long number,
                         void *pointer)
{
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    struct verdict *verdict = item;
    if (verdict)
        OPENSSL_free(verdict->subject);
    free(verdict);
}

static void make_index(void)
{
    verdict_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, free_verdict);
}

static bool note_verdict(X509_STORE_CTX *ctx, bool has_expired)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct verdict *verdict = ssl ? calloc(1, sizeof *verdict) : NULL;
    if (!verdict)
        return false;
    X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
    verdict->reason = X509_STORE_CTX_get_error(ctx);
    verdict->depth = X509_STORE_CTX_get_error_depth(ctx);
    verdict->has_expired = has_expired;
    verdict->subject_len = cert ? i2d_X509_NAME(X509_get_subject_name(cert), &verdict->subject) : 0;
    if (!SSL_get_ex_data(ssl, verdict_index) && SSL_set_ex_data(ssl, verdict_index, verdict))
        return true;
    free_verdict(NULL, verdict, NULL, 0, 0, NULL);
    return false;
}

/* Whether the chain that was verified begins with a certificate that one of our own keys has signed. */
static bool is_own(const struct net_tls *tls, X509_STORE_CTX *ctx)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    const EVP_PKEY *key = sk_X509_num(chain) > 1 ? X509_get0_pubkey(sk_X509_value(chain, 1)) : NULL;
    bool found = false;
    for (int i = 0; key && !found && i < sk_X509_num(tls->own); i++) {
        const EVP_PKEY *own = X509_get0_pubkey(sk_X509_value(tls->own, i));
        found = own && EVP_PKEY_eq(key, own) == 1;
    }
    return found;
}

/* In place of X509_verify_cert(): OpenSSL's own callback for faults does not hear of those that a store finds
 * by itself (revocation). A certificate that has expired is never one that verified: at most the handshake
 * goes on. */
static int verify(X509_STORE_CTX *ctx, void *arg)
{
    const struct net_tls *tls = arg;
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    int ok = tls->own && !pki_path_forgive(ctx, &tls->expired_s) ? -1 : pki_store_run(ctx);
    if (ok == 1 && !(tls->own && pki_path_has_expired(ctx, leaf)))
        return 1;
    bool passes = ok == 1 && is_own(tls, ctx);
    if (ok == 1) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_HAS_EXPIRED);
        X509_STORE_CTX_set_error_depth(ctx, 0);
        X509_STORE_CTX_set_current_cert(ctx, leaf);
    } else if (X509_STORE_CTX_get_error(ctx) == X509_V_OK) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_UNSPECIFIED);
    }
    return note_verdict(ctx, passes) && passes;
}

/* The handshake goes on, and OpenSSL keeps the error for SSL_get_verify_result(): see net/peer.c. It checks a
 * signature with the stranger's key, whose size must not be the stranger's to choose. */
static int verify_leniently(X509_STORE_CTX *ctx, void *arg)
{
    const EVP_PKEY *key = X509_get0_pubkey(X509_STORE_CTX_get0_cert(ctx));
    return verify(ctx, arg) == 1 || (key && EVP_PKEY_get_bits(key) <= PKI_RSA_BITS_MAX);
}

bool net_tls_has_expired(const SSL *ssl)
{
    const struct verdict *verdict = SSL_get_ex_data(ssl, verdict_index);
    return verdict && verdict->has_expired;
}

void net_tls_reason(SSL *ssl, struct lest_error *out)
{
    const struct verdict *verdict = SSL_get_ex_data(ssl, verdict_index);
    if (!verdict) {
        pki_error(out, LEST_E_PROTOCOL, "the TLS connection failed");
        return;
    }
    struct lest_buf name;
    lest_buf_init(&name, 120);
    if (verdict->subject_len <= 0 ||
        !pki_name_print(verdict->subject, (size_t)verdict->subject_len, PKI_NAME_RFC4514, &name))
        name.len = 0;
    lest_error_set(out, LEST_E_CERT_UNTRUSTED, "the client's certificate %.*s (depth %d) was refused: %s",
                   (int)name.len, name.len ? (const char *)name.data : "", verdict->depth,
                   X509_verify_cert_error_string(verdict->reason));
    lest_buf_free(&name);
    pki_error_clear();
}

/* RFC 7301 3.2. A client that offers only protocols that this server does not speak gets none, and may go on
 * with HTTP/1.1: some clients offer a protocol by habit. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *arg)
{
    static const unsigned char spoken[] = "\x08http/1.1";
    (void)ssl, (void)arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, spoken, sizeof spoken - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum lest_status set_versions(SSL_CTX *ctx, const char *min_version, struct lest_error *err)
{
    int version = TLS1_2_VERSION;
    if (min_version && strcmp(min_version, "1.3") == 0)
        version = TLS1_3_VERSION;
    else if (min_version && strcmp(min_version, "1.2") != 0)
        return lest_error_set(err, LEST_E_CONFIG, "the lowest TLS version is 1.2 or 1.3");
    if (!SSL_CTX_set_min_proto_version(ctx, version) || !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION))
        return pki_error(err, LEST_E_CRYPTO, "the TLS versions cannot be set");
    return LEST_OK;
}

/* Resumption stays off: with client certificates it would need shared ticket keys and a second look at the
 * certificate. An end of the stream without close_notify is for the HTTP layer to judge, where every message
 * has its length (RFC 9112 9.8), so that a half-closed client still gets its answer. */
static void set_behaviour(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    /* One read(2) for all that has come, instead of two for each record. The stream must therefore read until
     * OpenSSL wants more before it waits for the socket. */
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_security_level(ctx, 2);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    net_records_bound(ctx, NULL);
}

/* OpenSSL has a place for each algorithm, and none is ever empty again. */
static bool fits_place(const SSL_CTX *ctx, const EVP_PKEY *key)
{
    const EVP_PKEY *before = SSL_CTX_get0_privatekey(ctx);
    return !before || EVP_PKEY_get_base_id(before) == EVP_PKEY_get_base_id(key);
}

enum lest_status net_tls_set_identity(struct net_tls *tls, const struct pki_cert *cert,
                                      const struct pki_certs *chain, EVP_PKEY *key, struct lest_error *err)
{
    STACK_OF(X509) *stack = NULL;
    X509 *leaf = pki_cert_get0_x509(cert, err);
    if (!leaf)
        return LEST_E_CERT_MALFORMED;
    if (!fits_place(tls->ctx, key))
        return lest_error_set(err, LEST_E_CONFIG, "the server's key is of another algorithm than before");
    enum lest_status status = LEST_OK;
    size_t count = chain ? chain->count : 0;
    if (count && !(stack = sk_X509_new_null()))
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    for (size_t i = 0; !status && i < count; i++) {
        X509 *each = pki_cert_get0_x509(chain->list[i], err);
        if (!each)
            status = LEST_E_CERT_MALFORMED;
        else if (!sk_X509_push(stack, each))
            status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    pki_error_clear();
    if (!status && SSL_CTX_use_cert_and_key(tls->ctx, leaf, key, stack, 1) != 1)
        status = pki_error(err, LEST_E_CONFIG, "the server's certificate and key cannot be used");
    if (!status)
        net_staple_clear(&tls->staple); /* it is about the certificate before */
    sk_X509_free(stack);
    return status;
}

static enum lest_status set_own(struct net_tls *tls, const struct net_tls_options *options,
                                struct lest_error *err)
{
    size_t count = options->own && options->expired_s > 0 ? options->own->count : 0;
    if (count && !(tls->own = sk_X509_new_null()))
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    tls->expired_s = options->expired_s;
    for (size_t i = 0; i < count; i++) {
        X509 *cert = pki_cert_get0_x509(options->own->list[i], err);
        if (!cert)
            return LEST_E_CERT_MALFORMED;
        if (!X509_add_cert(tls->own, cert, X509_ADD_FLAG_UP_REF))
            return pki_error(err, LEST_E_NOMEM, "out of memory");
    }
    return LEST_OK;
}

enum lest_status net_tls_set_store(struct net_tls *tls, const struct pki_store *store, struct lest_error *err)
{
    if (store && SSL_CTX_set1_verify_cert_store(tls->ctx, pki_store_get0(store)) != 1)
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    SSL_CTX_set_verify(tls->ctx, store ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(tls->ctx, tls->lenient ? verify_leniently : verify, tls);
    SSL_CTX_set_verify_depth(tls->ctx, PKI_PATH_DEPTH_MAX);
    return LEST_OK;
}

static enum lest_status set_certificates(struct net_tls *tls, const struct net_tls_options *options,
                                         struct lest_error *err)
{
    enum lest_status status = net_tls_set_suites(tls->ctx, options->ciphers, err);
    if (!status && options->cert)
        status = net_tls_set_identity(tls, options->cert, options->chain, options->key, err);
    if (!status)
        status = set_own(tls, options, err);
    if (!status)
        status = net_tls_set_store(tls, options->store, err);
    return status;
}

static enum lest_status set_keys(struct net_tls *tls, const struct net_tls_options *options,
                                 struct lest_error *err)
{
    tls->asks = true;
    enum lest_status status = net_identity_prepare(tls->ctx, options->psk, options->srp, err);
    if (!status)
        status = net_tls_set_keyed_suites(tls->ctx, options->psk, options->srp, err);
    return status;
}

enum lest_status net_tls_server_new(const struct net_tls_options *options, struct net_tls **out,
                                    struct lest_error *err)
{
    static const unsigned char context[] = "lest";
    *out = NULL;
    pki_error_clear();
    if (!CRYPTO_THREAD_run_once(&index_once, make_index) || verdict_index < 0)
        return pki_error(err, LEST_E_CRYPTO, "OpenSSL cannot be set up");
    struct net_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    tls->refs = 1;
    tls->lenient = options->lenient;
    tls->ctx = SSL_CTX_new(TLS_server_method());
    enum lest_status status = LEST_OK;
    if (!tls->ctx || !SSL_CTX_set_session_id_context(tls->ctx, context, sizeof context - 1))
        status = pki_error(err, LEST_E_CRYPTO, "a TLS context cannot be made");
    if (!status) {
        set_behaviour(tls->ctx);
        net_staple_prepare(tls->ctx, &tls->staple);
        status = set_versions(tls->ctx, options->min_version, err);
    }
    if (!status)
        status = net_tls_set_groups(tls->ctx, options->curves, err);
    if (!status)
        status =
            options->psk || options->srp ? set_keys(tls, options, err) : set_certificates(tls, options, err);
    if (status) {
        net_tls_free(tls);
        return status;
    }
    *out = tls;
    return LEST_OK;
}

enum lest_status net_tls_set_staple(struct net_tls *tls, const void *der, size_t len, struct lest_error *err)
{
    return net_staple_set(&tls->staple, der, len, err);
}

bool net_tls_staple_is_wanted(const struct net_tls *tls)
{
    return tls->staple.is_wanted;
}

struct net_tls *net_tls_ref(struct net_tls *tls)
{
    tls->refs++;
    return tls;
}

void net_tls_free(struct net_tls *tls)
{
    if (!tls || --tls->refs > 0)
        return;
    SSL_CTX_free(tls->ctx);
    net_staple_clear(&tls->staple);
    sk_X509_pop_free(tls->own, X509_free);
    free(tls);
}

bool net_tls_asks(const struct net_tls *tls)
{
    return tls->asks;
}

SSL *net_tls_accept(struct net_tls *tls)
{
    pki_error_clear();
    SSL *ssl = SSL_new(tls->ctx);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}
