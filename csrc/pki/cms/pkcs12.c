#include "pki/cms/pkcs12.h"

#include "pki/error.h"

#include <openssl/pkcs12.h>

/* Rounds of each derivation: those of `openssl pkcs12`, which small devices read, too. */
enum { ROUNDS = 2048 };

static enum lest_status read_cert(struct pki_bytes der, X509 **out, struct lest_error *err)
{
    const uint8_t *at = der.data;
    pki_error_clear();
    *out = d2i_X509(NULL, &at, (long)der.len);
    return *out ? LEST_OK : pki_error(err, LEST_E_CERT_MALFORMED, "the certificate is malformed");
}

static enum lest_status read_chain(const struct pki_pkcs12_plan *plan, STACK_OF(X509) * chain,
                                   struct lest_error *err)
{
    for (size_t i = 0; i < plan->chain_count; i++) {
        X509 *cert;
        enum lest_status status = read_cert(plan->chain[i], &cert, err);
        if (status)
            return status;
        if (sk_X509_push(chain, cert) <= 0) {
            X509_free(cert);
            return pki_error(err, LEST_E_NOMEM, "out of memory");
        }
    }
    return LEST_OK;
}

/* OpenSSL chooses a MAC by itself, by its version: it is left out at first. */
static PKCS12 *assemble(const struct pki_pkcs12_plan *plan, X509 *cert, STACK_OF(X509) * chain)
{
    int cipher = plan->is_legacy ? NID_pbe_WithSHA1And3_Key_TripleDES_CBC : NID_aes_256_cbc;
    PKCS12 *made = PKCS12_create_ex(plan->password, plan->name, plan->key->pkey, cert, chain, cipher, cipher,
                                    ROUNDS, -1, 0, NULL, NULL);
    const EVP_MD *digest = plan->is_legacy ? EVP_sha1() : EVP_sha256();
    if (made && PKCS12_set_mac(made, plan->password, -1, NULL, 0, ROUNDS, digest) == 1)
        return made;
    PKCS12_free(made);
    return NULL;
}

enum lest_status pki_pkcs12_build(const struct pki_pkcs12_plan *plan, struct lest_buf *out,
                                  struct lest_error *err)
{
    X509 *cert = NULL;
    PKCS12 *made = NULL;
    uint8_t *der = NULL;
    int len = -1;
    STACK_OF(X509) *chain = sk_X509_new_null();
    enum lest_status status =
        chain ? read_cert(plan->cert, &cert, err) : lest_error_set(err, LEST_E_NOMEM, "out of memory");
    if (!status)
        status = read_chain(plan, chain, err);
    if (!status && X509_check_private_key(cert, plan->key->pkey) != 1)
        status = pki_error(err, LEST_E_USAGE, "the certificate is not the key's");
    pki_error_clear();
    if (!status && (made = assemble(plan, cert, chain)))
        len = i2d_PKCS12(made, &der);
    if (!status && len < 0)
        status = pki_error(err, LEST_E_CRYPTO, "the key cannot be put into a PKCS#12 file");
    if (len > 0)
        lest_buf_append(out, der, (size_t)len);
    if (!status)
        status = lest_buf_status(out, err);
    OPENSSL_free(der);
    PKCS12_free(made);
    X509_free(cert);
    sk_X509_pop_free(chain, X509_free);
    return status;
}
