#include "pki/x509/csr.h"

#include "pki/error.h"
#include "pki/key/signature.h"

#include <stdlib.h>

void pki_csr_free(struct pki_csr *csr)
{
    if (!csr)
        return;
    pki_verifier_free(csr->verifier);
    lest_buf_free(&csr->storage);
    lest_buf_free(&csr->spki_storage);
    lest_buf_free(&csr->key_storage);
    for (size_t i = 0; i < PKI_CHALLENGE_COUNT; i++)
        pki_challenge_clear(&csr->challenges[i]);
    free(csr);
}

enum lest_status pki_csr_need_verifier(struct pki_csr *csr, struct lest_error *err)
{
    const uint8_t *start = csr->form == PKI_CSR_CRMF ? csr->key.whole.data : csr->der.data;
    struct pki_der_doc doc = { .noun = "CSR", .malformed = LEST_E_CSR_MALFORMED, .err = err, .start = start };
    if (!csr->verifier)
        csr->verifier = pki_verifier_new(&doc, &csr->key);
    return doc.status;
}

void pki_csr_describe_key(const struct pki_csr *csr, char type[PKI_KEY_TYPE_MAX], int *security_bits)
{
    if (!csr->verifier) {
        pki_public_describe(csr->key.whole, type, security_bits);
        return;
    }
    pki_verifier_type(csr->verifier, type);
    *security_bits = pki_verifier_security_bits(csr->verifier);
}

void pki_csr_key_type(const struct pki_csr *csr, char type[PKI_KEY_TYPE_MAX])
{
    int bits;
    if (!pki_spki_type(&csr->key, type))
        pki_csr_describe_key(csr, type, &bits);
}

static enum lest_status check_key(const struct pki_csr *csr, bool allow_weak, struct lest_error *err)
{
    char type[PKI_KEY_TYPE_MAX];
    const struct pki_rsa *rsa = &csr->key.rsa;
    int bits = pki_verifier_security_bits(csr->verifier);
    bool weak = !allow_weak && bits < PKI_SECURITY_BITS_MIN;
    bool sound = !rsa->modulus.data || (pki_rsa_bits(rsa) <= PKI_CSR_RSA_BITS_MAX && pki_rsa_sound(rsa));
    if (!weak && sound)
        return LEST_OK;
    pki_verifier_type(csr->verifier, type);
    if (weak)
        return lest_error_set(err, LEST_E_CSR_WEAK,
                              "CSR: the key %s is too weak (%d bits of security, %d are needed)", type, bits,
                              PKI_SECURITY_BITS_MIN);
    return lest_error_set(err, LEST_E_CSR_WEAK, "CSR: the key %s has over %d bits or an unsound exponent",
                          type, PKI_CSR_RSA_BITS_MAX);
}

enum lest_status pki_csr_verify(struct pki_csr *csr, bool allow_weak, struct lest_error *err)
{
    char name[PKI_OID_TEXT_MAX];
    if (csr->is_unsigned)
        return lest_error_set(err, LEST_E_CSR_UNPROVEN,
                              "CSR: no signature proves that the sender has the private key");
    int digest_bits = allow_weak ? 0 : pki_signature_digest_bits(csr->algorithm);
    enum lest_status status = pki_csr_need_verifier(csr, err);
    if (status == LEST_OK)
        status = check_key(csr, allow_weak, err);
    if (status)
        return status;
    if (digest_bits != 0 && digest_bits < PKI_SECURITY_BITS_MIN) {
        pki_signature_name(csr->algorithm, name);
        return lest_error_set(err, LEST_E_CSR_WEAK, "CSR: the signature algorithm %.100s is %s", name,
                              digest_bits < 0 ? "unknown" : "too weak");
    }
    status = pki_verifier_verify(csr->verifier, csr->algorithm, csr->signature, csr->info,
                                 LEST_E_CSR_SIGNATURE, err);
    /* The next request finds it idle, however long Lua keeps this one. */
    pki_verifier_free(csr->verifier);
    csr->verifier = NULL;
    return status;
}
