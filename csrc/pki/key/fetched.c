#include "pki/key/fetched.h"

#include "pki/error.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static EVP_MD *digests[PKI_DIGEST_COUNT];
static EVP_PKEY *curves[PKI_CURVE_COUNT];

static const char *const digest_names[] = {
    [PKI_SHA1] = "SHA1", [PKI_SHA256] = "SHA256", [PKI_SHA384] = "SHA384", [PKI_SHA512] = "SHA512"
};
_Static_assert(sizeof digest_names / sizeof *digest_names == PKI_DIGEST_COUNT, "every digest has a name");

static const char *const curve_names[] = { [PKI_P256] = "P-256", [PKI_P384] = "P-384", [PKI_P521] = "P-521" };
_Static_assert(sizeof curve_names / sizeof *curve_names == PKI_CURVE_COUNT, "every curve has a name");

/* A key with the group and no point: any operation on it but copying fails. */
static EVP_PKEY *empty_key(const char *curve)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0),
                            OSSL_PARAM_construct_end() };
    if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEY_PARAMETERS, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void fetch(void)
{
    for (int i = 0; i < PKI_DIGEST_COUNT; i++)
        digests[i] = EVP_MD_fetch(NULL, digest_names[i], NULL);
    for (int i = 0; i < PKI_CURVE_COUNT; i++)
        curves[i] = empty_key(curve_names[i]);
    pki_error_clear();
}

const EVP_MD *pki_fetched_digest(enum pki_digest digest)
{
    return CRYPTO_THREAD_run_once(&once, fetch) ? digests[digest] : NULL;
}

EVP_PKEY *pki_fetched_curve(enum pki_curve curve)
{
    return CRYPTO_THREAD_run_once(&once, fetch) ? curves[curve] : NULL;
}
