/* A key of a TPM's provider behind OpenSSL's own kind of key. EVP_DigestSignInit() looks for a signature in
 * the default provider first, to which the TPM's exports the public half and no error; libssl can be told no
 * other. A key with a method of its own is exported nowhere. OpenSSL 3 calls these methods old. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "pki/error.h"
#include "pki/key/hardware.h"

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/x509.h>

enum { SIGNATURE_MAX = 256 };

/* Set once for the process. */
static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static EC_KEY_METHOD *method;
static int place = -1;

static void free_tpm(void *parent, void *item, CRYPTO_EX_DATA *data, int index, long number, void *pointer)
{
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    EVP_PKEY_free(item);
}

static ECDSA_SIG *sign(const unsigned char *digest, int len, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec)
{
    uint8_t signature[SIGNATURE_MAX];
    size_t signature_len = sizeof signature;
    const uint8_t *at = signature;
    (void)kinv, (void)r;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, EC_KEY_get_ex_data(ec, place), PKI_HARDWARE_BY_TPM);
    bool ok = ctx && len > 0 && EVP_PKEY_sign_init(ctx) > 0 &&
              EVP_PKEY_sign(ctx, signature, &signature_len, digest, (size_t)len) > 0;
    EVP_PKEY_CTX_free(ctx);
    return ok ? d2i_ECDSA_SIG(NULL, &at, (long)signature_len) : NULL;
}

static void prepare(void)
{
    int (*sign_whole)(int, const unsigned char *, int, unsigned char *, unsigned *, const BIGNUM *,
                      const BIGNUM *, EC_KEY *);
    int (*setup)(EC_KEY *, BN_CTX *, BIGNUM **, BIGNUM **);
    ECDSA_SIG *(*sign_parts)(const unsigned char *, int, const BIGNUM *, const BIGNUM *, EC_KEY *);
    method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    place = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, free_tpm);
    if (!method)
        return;
    EC_KEY_METHOD_get_sign(method, &sign_whole, &setup, &sign_parts);
    EC_KEY_METHOD_set_sign(method, sign_whole, setup, sign);
}

/* The public half of the TPM's key, with our method. */
static EC_KEY *make(EVP_PKEY *tpm)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(tpm, &der);
    const uint8_t *at = der;
    EC_KEY *ec = len > 0 ? d2i_EC_PUBKEY(NULL, &at, len) : NULL;
    OPENSSL_free(der);
    if (ec && EC_KEY_set_method(ec, method) == 1 && EC_KEY_set_ex_data(ec, place, tpm) == 1)
        return ec;
    EC_KEY_free(ec);
    return NULL;
}

enum lest_status pki_hardware_adopt(EVP_PKEY *tpm, EVP_PKEY **out, struct lest_error *err)
{
    *out = NULL;
    pki_error_clear();
    bool ready = CRYPTO_THREAD_run_once(&once, prepare) && method && place >= 0;
    EC_KEY *ec = ready && EVP_PKEY_is_a(tpm, "EC") ? make(tpm) : NULL;
    EVP_PKEY *pkey = ec ? EVP_PKEY_new() : NULL;
    if (!ec)
        EVP_PKEY_free(tpm);
    if (pkey && EVP_PKEY_assign_EC_KEY(pkey, ec) == 1) {
        *out = pkey;
        return LEST_OK;
    }
    EVP_PKEY_free(pkey);
    EC_KEY_free(ec);
    return pki_error(err, LEST_E_KEY_UNSUPPORTED,
                     "a key of a TPM is of a curve, as in " PKI_HARDWARE_TPM "ec:P-256");
}

EVP_PKEY *pki_hardware_get0(const EVP_PKEY *pkey)
{
    /* One that a provider has is no key of ours. */
    if (place < 0 || EVP_PKEY_get0_provider(pkey) || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC)
        return NULL;
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(pkey);
    return ec && EC_KEY_get_method(ec) == method ? EC_KEY_get_ex_data(ec, place) : NULL;
}
