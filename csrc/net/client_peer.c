#include "net/client_peer.h"

#include "pki/error.h"
#include "pki/x509/refusal.h"
#include "pki/x509/store.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct net_client_peer *net_client_peer_new(enum net_trust trust, bool cmc_ra, bool shown, const char *host)
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
    peer->alert = peer->alert_sent = -1;
    peer->trust = trust;
    peer->cmc_ra = cmc_ra;
    peer->shown = shown;
    return peer;
}

struct net_client_peer *net_client_peer_ref(struct net_client_peer *peer)
{
    peer->references++;
    return peer;
}

void net_client_peer_free(struct net_client_peer *peer)
{
    if (!peer || --peer->references)
        return;
    sk_X509_pop_free(peer->chain, X509_free);
    sk_X509_pop_free(peer->path, X509_free);
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
    pki_refusal(ctx, &why);
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

static int refuse_certificate(X509_STORE_CTX *ctx, struct net_client_peer *peer)
{
    peer->refused = true;
    lest_error_set(&peer->err, LEST_E_TRUST,
                   "%.60s: the server shows a certificate, and does not prove that it has the key",
                   peer->host);
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

/* Without memory it stays unknown, as before it came. */
static void note_chain(struct net_client_peer *peer, STACK_OF(X509) * sent)
{
    if (!peer->chain && sent)
        peer->chain = X509_chain_up_ref(sent);
}

/* In place of OpenSSL's verification: the chain by RFC 5280, then whether this server may speak for the name
 * in the URL (RFC 7030 3.6), all before a byte of HTTP is sent. */
static int verify(X509_STORE_CTX *ctx, void *arg)
{
    struct net_client_peer *peer = arg;
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    note_chain(peer, X509_STORE_CTX_get0_untrusted(ctx));
    /* A server that passes over the key may show a certificate instead (RFC 8446 4.2.11). */
    if (peer->trust == NET_TRUST_KEY || peer->trust == NET_TRUST_PASSWORD)
        return refuse_certificate(ctx, peer);
    /* RFC 7030 4.1.1: the caller compares a fingerprint before it believes anything of the answer. */
    if (peer->trust == NET_TRUST_PROVISIONAL) {
        X509_STORE_CTX_set_error(ctx, X509_V_OK);
        return 1;
    }
    if (pki_store_run(ctx) != 1)
        return refuse_chain(ctx, peer);
    peer->path = X509_STORE_CTX_get1_chain(ctx);
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

static void note_handshake(struct net_client_peer *peer, const SSL *ssl)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    SSL *asked = (SSL *)ssl; /* the callback has a const one, these functions change nothing */
    const char *group = SSL_group_to_name(asked, (int)SSL_get_negotiated_group(asked));
    peer->version = SSL_get_version(ssl);
    peer->cipher = SSL_get_cipher_name(ssl);
    snprintf(peer->group, sizeof peer->group, "%s", group ? group : "");
    SSL_get0_alpn_selected(ssl, &name, &len);
    if (len < sizeof peer->protocol)
        memcpy(peer->protocol, name ? (const char *)name : "", len);
}

static void note_alert(struct net_client_peer *peer, bool sent, int value)
{
    int alert = value & 0xff;
    if (!sent && alert == SSL_AD_CLOSE_NOTIFY)
        peer->ended = true;
    else if (value >> 8 == SSL3_AL_FATAL)
        *(sent ? &peer->alert_sent : &peer->alert) = alert;
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct net_client_peer *peer = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), peer_index);
    if (!peer)
        return;
    if (where & SSL_CB_ALERT)
        note_alert(peer, where & SSL_CB_WRITE, value);
    else if (where == SSL_CB_HANDSHAKE_DONE && !peer->version)
        note_handshake(peer, ssl);
    else if (where == SSL_CB_CONNECT_LOOP && SSL_get_state(ssl) == TLS_ST_CR_CERT_REQ)
        peer->asked = true;
}

enum lest_status net_client_peer_watch(struct net_client_peer *peer, SSL_CTX *ctx, struct lest_error *err)
{
    if (!CRYPTO_THREAD_run_once(&index_once, make_index) || peer_index < 0)
        return pki_error(err, LEST_E_CRYPTO, "OpenSSL cannot be set up");
    if (!SSL_CTX_set_ex_data(ctx, peer_index, peer))
        return pki_error(err, LEST_E_NOMEM, "out of memory");
    net_client_peer_ref(peer);
    net_records_bound(ctx, &peer->records);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify, peer);
    SSL_CTX_set_info_callback(ctx, on_info);
    return LEST_OK;
}

const char *net_alert_text(int alert)
{
    return alert < 0 ? NULL : SSL_alert_desc_string_long(alert);
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
