#include "pki/key/digest.h"

#include "pki/error.h"

#include <openssl/crypto.h>

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static EVP_MD *digests[PKI_DIGEST_COUNT];

static const char *const names[] = {
    [PKI_SHA1] = "SHA1", [PKI_SHA256] = "SHA256", [PKI_SHA384] = "SHA384", [PKI_SHA512] = "SHA512"
};
_Static_assert(sizeof names / sizeof *names == PKI_DIGEST_COUNT, "every digest has a name");

static void fetch(void)
{
    for (int i = 0; i < PKI_DIGEST_COUNT; i++)
        digests[i] = EVP_MD_fetch(NULL, names[i], NULL);
    pki_error_clear();
}

const EVP_MD *pki_digest_get0(enum pki_digest digest)
{
    return CRYPTO_THREAD_run_once(&once, fetch) ? digests[digest] : NULL;
}
