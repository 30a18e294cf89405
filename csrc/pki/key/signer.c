#include "pki/asn1/oid.h"
#include "pki/error.h"
#include "pki/key/signature.h"

#include <openssl/x509.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* md      NULL: the algorithm takes the data as it is
 * kept    an initialised signing context to copy, NULL: a new one for each signature
 * idle    such a copy while no thread signs with it */
struct pki_signer {
    EVP_PKEY *pkey;
    EVP_MD *md;
    EVP_PKEY_CTX *kept;
    _Atomic(EVP_PKEY_CTX *) idle;
    struct lest_buf algorithm;
};

enum { SIGNATURE_MAX = 128 * 1024, ALGORITHM_MAX = 1024 };

void pki_signer_free(struct pki_signer *signer)
{
    if (!signer)
        return;
    EVP_PKEY_CTX_free(atomic_load(&signer->idle));
    EVP_PKEY_CTX_free(signer->kept);
    EVP_PKEY_free(signer->pkey);
    EVP_MD_free(signer->md);
    lest_buf_free(&signer->algorithm);
    free(signer);
}

/* The digest for a key when the caller names none: for RSA and the curves one of the key's strength, else the
 * one that OpenSSL advises (SM2 takes only SM3). */
static const char *default_digest(const struct pki_key *key, char name[64])
{
    int result = EVP_PKEY_get_default_digest_name(key->pkey, name, 64);
    bool none = result <= 0 || !*name || strcasecmp(name, "UNDEF") == 0;
    if (none)
        return NULL;
    if (result == 1 && strncmp(key->type, "ec:", 3) == 0)
        return key->security_bits <= 128 ? "SHA256" : key->security_bits <= 192 ? "SHA384" : "SHA512";
    return result == 1 && strncmp(key->type, "rsa", 3) == 0 ? "SHA256" : name;
}

static enum lest_status choose_digest(struct pki_signer *signer, const struct pki_key *key,
                                      const char *digest, struct lest_error *err)
{
    char name[64] = "";
    const char *own = default_digest(key, name);
    pki_error_clear();
    if (!own)
        return digest ? lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "a key of type %s signs without a digest",
                                       key->type)
                      : LEST_OK;
    digest = digest ? digest : own;
    signer->md = EVP_MD_fetch(NULL, digest, NULL);
    if (!signer->md)
        return pki_error(err, LEST_E_KEY_UNSUPPORTED, "the digest '%.40s' is unknown", digest);
    if (EVP_MD_get_size(signer->md) * 4 < PKI_SECURITY_BITS_MIN)
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "the digest %s is too weak to sign with",
                              EVP_MD_get0_name(signer->md));
    return LEST_OK;
}

static EVP_MD_CTX *digest_sign_ctx(const struct pki_signer *signer)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const char *md = signer->md ? EVP_MD_get0_name(signer->md) : NULL;
    if (ctx && EVP_DigestSignInit_ex(ctx, NULL, md, NULL, NULL, signer->pkey, NULL) <= 0) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

/* OpenSSL tells the AlgorithmIdentifier of a signature only where it makes one: over a NULL, once. Nothing
 * else looks whether the halves of a key that was read are a pair: a CA whose are not would sign for years
 * what nobody can verify. */
static enum lest_status try_key(struct pki_signer *signer, const struct pki_key *key, struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    uint8_t *der = NULL;
    int len = -1;
    EVP_MD_CTX *ctx = digest_sign_ctx(signer);
    X509_ALGOR *algorithm = X509_ALGOR_new();
    ASN1_BIT_STRING *signature = ASN1_BIT_STRING_new();
    ASN1_NULL *item = ASN1_NULL_new();
    if (ctx && algorithm && signature && item &&
        ASN1_item_sign_ctx(ASN1_ITEM_rptr(ASN1_NULL), algorithm, NULL, signature, item, ctx) > 0)
        len = i2d_X509_ALGOR(algorithm, &der);
    if (len > 0)
        lest_buf_append(&signer->algorithm, der, (size_t)len);
    if (len > 0 && ASN1_item_verify(ASN1_ITEM_rptr(ASN1_NULL), algorithm, signature, item, signer->pkey) <= 0)
        status = pki_error(err, LEST_E_KEY_MALFORMED, "the key's private and public halves are no pair");
    else if (len <= 0)
        status = pki_error(err, LEST_E_KEY_UNSUPPORTED, "a key of type %s%s%s cannot sign", key->type,
                           signer->md ? " with " : "", signer->md ? EVP_MD_get0_name(signer->md) : "");
    OPENSSL_free(der);
    EVP_MD_CTX_free(ctx);
    X509_ALGOR_free(algorithm);
    ASN1_BIT_STRING_free(signature);
    ASN1_NULL_free(item);
    return status ? status : lest_buf_status(&signer->algorithm, err);
}

/* ECDSA and RSA sign a digest with a context that is set up once; where its copying is not offered (tokens),
 * each signature gets its own. */
static void keep_context(struct pki_signer *signer)
{
    bool ec = EVP_PKEY_is_a(signer->pkey, "EC");
    EVP_PKEY_CTX *ctx = NULL, *copy = NULL;
    if (signer->md && (ec || EVP_PKEY_is_a(signer->pkey, "RSA")) &&
        (ctx = EVP_PKEY_CTX_new_from_pkey(NULL, signer->pkey, NULL)) && EVP_PKEY_sign_init(ctx) > 0 &&
        EVP_PKEY_CTX_set_signature_md(ctx, signer->md) > 0 && (copy = EVP_PKEY_CTX_dup(ctx))) {
        signer->kept = ctx;
        atomic_store(&signer->idle, copy);
        ctx = copy = NULL;
    }
    EVP_PKEY_CTX_free(copy);
    EVP_PKEY_CTX_free(ctx);
    pki_error_clear();
}

enum lest_status pki_signer_new(const struct pki_key *key, const char *digest, struct pki_signer **out,
                                struct lest_error *err)
{
    struct pki_signer *signer = calloc(1, sizeof *signer);
    *out = NULL;
    if (!signer || !EVP_PKEY_up_ref(key->pkey)) {
        free(signer);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    signer->pkey = key->pkey;
    lest_buf_init(&signer->algorithm, ALGORITHM_MAX);
    pki_error_clear();
    enum lest_status status = choose_digest(signer, key, digest, err);
    if (status == LEST_OK)
        status = try_key(signer, key, err);
    if (status) {
        pki_signer_free(signer);
        return status;
    }
    keep_context(signer);
    *out = signer;
    return LEST_OK;
}

struct pki_bytes pki_signer_algorithm(const struct pki_signer *signer)
{
    return (struct pki_bytes){ signer->algorithm.data, signer->algorithm.len };
}

/* Both ways write at most *len bytes to sig. */
static bool sign_digest(struct pki_signer *signer, struct pki_bytes data, uint8_t *sig, size_t *len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    EVP_PKEY_CTX *ctx = atomic_exchange(&signer->idle, NULL);
    if (!ctx)
        ctx = EVP_PKEY_CTX_dup(signer->kept);
    bool ok = ctx && EVP_Digest(data.data, data.len, digest, &digest_len, signer->md, NULL) &&
              EVP_PKEY_sign(ctx, sig, len, digest, digest_len) > 0;
    /* One that failed may be in any state. */
    EVP_PKEY_CTX_free(ok ? atomic_exchange(&signer->idle, ctx) : ctx);
    return ok;
}

static bool sign_data(struct pki_signer *signer, struct pki_bytes data, uint8_t *sig, size_t *len)
{
    EVP_MD_CTX *ctx = digest_sign_ctx(signer);
    bool ok = ctx && EVP_DigestSign(ctx, sig, len, data.data, data.len) > 0;
    EVP_MD_CTX_free(ctx);
    return ok;
}

enum lest_status pki_signer_sign(struct pki_signer *signer, struct pki_bytes data, struct lest_buf *out,
                                 struct lest_error *err)
{
    pki_error_clear();
    int max = EVP_PKEY_get_size(signer->pkey);
    if (max <= 0 || max > SIGNATURE_MAX)
        return pki_error(err, LEST_E_CRYPTO, "the key gives signatures of an unknown size");
    size_t len = (size_t)max, mark = pki_der_put_open(out, PKI_DER_BIT_STRING);
    lest_buf_append_byte(out, 0);
    uint8_t *sig = lest_buf_reserve(out, len);
    if (!sig)
        return lest_buf_status(out, err);
    /* Out of memory, the ECDSA of OpenSSL 3.0 succeeds with a length of -1. (cppcheck does not see that len
     * is written through a pointer to a function.) */
    /* cppcheck-suppress knownConditionTrueFalse */
    if (!(signer->kept ? sign_digest : sign_data)(signer, data, sig, &len) || len > (size_t)max)
        return pki_error(err, LEST_E_CRYPTO, "signing failed");
    out->len += len;
    pki_der_put_close(out, mark);
    return lest_buf_status(out, err);
}

enum lest_status pki_signer_wrap(struct pki_signer *signer, struct pki_bytes data, struct lest_buf *out,
                                 struct lest_error *err)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    lest_buf_append(out, data.data, data.len);
    lest_buf_append(out, signer->algorithm.data, signer->algorithm.len);
    enum lest_status status = pki_signer_sign(signer, data, out, err);
    if (status)
        return status;
    pki_der_put_close(out, mark);
    return lest_buf_status(out, err);
}
