#include "pki/key/key.h"

#include "pki/asn1/pem.h"
#include "pki/error.h"
#include "pki/key/hardware.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Against guessing a stolen file's passphrase; about 0.1 s on a server. */
enum { PBKDF2_ITERATIONS = 200000, PBKDF2_SALT_LEN = 16 };

void pki_key_free(struct pki_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    lest_buf_free(&key->spki);
    free(key);
}

enum lest_status pki_key_adopt(EVP_PKEY *pkey, struct pki_key **out, struct lest_error *err)
{
    struct pki_key *key = calloc(1, sizeof *key);
    *out = NULL;
    if (!key) {
        EVP_PKEY_free(pkey);
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    key->pkey = pkey;
    pki_public_normalize(pkey);
    lest_buf_init(&key->spki, PKI_PUBLIC_MAX);
    enum lest_status status = pki_public_encode(pkey, &key->spki, err);
    if (status) {
        pki_key_free(key);
        return status;
    }
    pki_public_type(pkey, key->type);
    key->security_bits = pki_public_security_bits(pkey);
    *out = key;
    return LEST_OK;
}

/* "rsa:3072" with the bounds of this program; 0 for anything else. */
static unsigned rsa_bits(const char *text)
{
    unsigned bits = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 5)
        return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        bits = bits * 10 + (unsigned)(*text - '0');
    }
    return bits >= PKI_RSA_BITS_MIN && bits <= PKI_RSA_BITS_MAX ? bits : 0;
}

/* Splits a spec into OpenSSL's algorithm and at most one parameter. */
static enum lest_status generation_params(const char *spec, const char **algorithm, unsigned *bits,
                                          OSSL_PARAM params[2], struct lest_error *err)
{
    const char *size = NULL;
    params[0] = params[1] = OSSL_PARAM_construct_end();
    *algorithm = spec;
    if (strncasecmp(spec, "ec:", 3) == 0 && spec[3]) {
        *algorithm = "EC";
        params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)spec + 3, 0);
    } else if (strncasecmp(spec, "rsa:", 4) == 0) {
        *algorithm = "RSA";
        size = spec + 4;
    } else if (strncasecmp(spec, "rsa-pss:", 8) == 0) {
        *algorithm = "RSA-PSS";
        size = spec + 8;
    } else if (strcasecmp(spec, "ec") == 0 || strcasecmp(spec, "rsa") == 0 ||
               strcasecmp(spec, "rsa-pss") == 0) {
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "a key '%s' needs its %s, as in %s", spec,
                              strcasecmp(spec, "ec") == 0 ? "curve" : "size",
                              strcasecmp(spec, "ec") == 0 ? "ec:P-256" : "rsa:3072");
    }
    if (size) {
        *bits = rsa_bits(size);
        if (!*bits)
            return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "'%.40s' is no RSA key of %d to %d bits", spec,
                                  PKI_RSA_BITS_MIN, PKI_RSA_BITS_MAX);
        params[0] = OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_BITS, bits);
    }
    return LEST_OK;
}

enum lest_status pki_key_generate(const char *spec, struct pki_key **out, struct lest_error *err)
{
    const char *algorithm;
    unsigned bits = 0;
    OSSL_PARAM params[2];
    EVP_PKEY *pkey = NULL;
    *out = NULL;
    bool by_tpm = strncasecmp(spec, PKI_HARDWARE_TPM, sizeof PKI_HARDWARE_TPM - 1) == 0;
    const char *kind = by_tpm ? spec + sizeof PKI_HARDWARE_TPM - 1 : spec;
    pki_error_clear();
    enum lest_status status = generation_params(kind, &algorithm, &bits, params, err);
    if (!status && by_tpm)
        status = pki_hardware_prepare(spec, err);
    if (status)
        return status;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, by_tpm ? PKI_HARDWARE_BY_TPM : NULL);
    if (!ctx) {
        pki_error_clear(); /* it names its providers' properties, at length */
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "no kind of key is called '%.60s'", spec);
    }
    /* Some kinds (an unknown curve, a MAC) fail only in the last step. */
    if (EVP_PKEY_keygen_init(ctx) <= 0 || EVP_PKEY_CTX_set_params(ctx, params) <= 0 ||
        EVP_PKEY_generate(ctx, &pkey) <= 0)
        status = pki_error(err, LEST_E_KEY_UNSUPPORTED, "no key of the kind '%.60s' can be made", spec);
    EVP_PKEY_CTX_free(ctx);
    if (!status && by_tpm)
        status = pki_hardware_adopt(pkey, &pkey, err);
    status = status ? status : pki_key_adopt(pkey, out, err);
    if (!status)
        (*out)->is_token = by_tpm;
    return status;
}

bool pki_key_equal(const struct pki_key *a, const struct pki_key *b)
{
    return pki_bytes_equal(pki_key_spki(a), pki_key_spki(b));
}

struct pki_bytes pki_key_spki(const struct pki_key *key)
{
    return (struct pki_bytes){ key->spki.data, key->spki.len };
}

static PKCS8_PRIV_KEY_INFO *to_pkcs8(const struct pki_key *key, struct lest_error *err)
{
    pki_error_clear();
    /* An engine's would be written with nought for its private half. */
    PKCS8_PRIV_KEY_INFO *info = key->is_token ? NULL : EVP_PKEY2PKCS8(key->pkey);
    if (key->is_token)
        lest_error_set(err, LEST_E_CRYPTO, "the private key does not leave its token");
    else if (!info)
        pki_error(err, LEST_E_CRYPTO, "the private key cannot be exported");
    return info;
}

enum lest_status pki_key_der(const struct pki_key *key, struct lest_buf *out, struct lest_error *err)
{
    uint8_t *der = NULL;
    PKCS8_PRIV_KEY_INFO *info = to_pkcs8(key, err);
    if (!info)
        return LEST_E_CRYPTO;
    int len = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    PKCS8_PRIV_KEY_INFO_free(info);
    if (len <= 0)
        return pki_error(err, LEST_E_CRYPTO, "the private key cannot be encoded");
    lest_buf_append(out, der, (size_t)len);
    OPENSSL_clear_free(der, (size_t)len);
    return lest_buf_status(out, err);
}

static enum lest_status encrypted_pem(const struct pki_key *key, const char *passphrase, struct lest_buf *out,
                                      struct lest_error *err)
{
    uint8_t *der = NULL;
    PKCS8_PRIV_KEY_INFO *info = to_pkcs8(key, err);
    if (!info)
        return LEST_E_CRYPTO;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    X509_SIG *sig = cipher ? PKCS8_encrypt(-1, cipher, passphrase, (int)strlen(passphrase), NULL,
                                           PBKDF2_SALT_LEN, PBKDF2_ITERATIONS, info)
                           : NULL;
    int len = sig ? i2d_X509_SIG(sig, &der) : -1;
    enum lest_status status = LEST_OK;
    if (len <= 0) {
        status = pki_error(err, LEST_E_CRYPTO, "the private key cannot be encrypted");
    } else {
        pki_pem_put(out, "ENCRYPTED PRIVATE KEY", der, (size_t)len);
        status = lest_buf_status(out, err);
    }
    OPENSSL_free(der);
    X509_SIG_free(sig);
    EVP_CIPHER_free(cipher);
    PKCS8_PRIV_KEY_INFO_free(info);
    return status;
}

/* In the words of the provider that has it. */
static enum lest_status wrapped_pem(const struct pki_key *key, struct lest_buf *out, struct lest_error *err)
{
    char *text = NULL;
    enum lest_status status = LEST_OK;
    pki_error_clear();
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_PrivateKey(bio, pki_hardware_get0(key->pkey), NULL, NULL, 0, NULL, NULL) != 1) {
        status = pki_error(err, LEST_E_CRYPTO, "the TPM's key cannot be written");
    } else {
        long len = BIO_get_mem_data(bio, &text);
        lest_buf_append(out, text, (size_t)len);
        status = lest_buf_status(out, err);
    }
    BIO_free(bio);
    return status;
}

enum lest_status pki_key_pem(const struct pki_key *key, const char *passphrase, struct lest_buf *out,
                             struct lest_error *err)
{
    if (!passphrase && key->is_token && pki_hardware_get0(key->pkey))
        return wrapped_pem(key, out, err);
    if (passphrase)
        return encrypted_pem(key, passphrase, out, err);
    struct lest_buf der;
    lest_buf_init(&der, PKI_KEY_MAX);
    enum lest_status status = pki_key_der(key, &der, err);
    if (status == LEST_OK) {
        pki_pem_put(out, "PRIVATE KEY", der.data, der.len);
        status = lest_buf_status(out, err);
    }
    lest_buf_wipe(&der);
    return status;
}

enum lest_status pki_key_save(const struct pki_key *key, const char *path, const char *passphrase,
                              enum lest_file_how how, struct lest_error *err)
{
    struct lest_buf pem;
    lest_buf_init(&pem, PKI_KEY_MAX);
    enum lest_status status = pki_key_pem(key, passphrase, &pem, err);
    if (status == LEST_OK)
        status = lest_file_write(path, pem.data, pem.len, 0600, how, err);
    lest_buf_wipe(&pem);
    return status;
}
