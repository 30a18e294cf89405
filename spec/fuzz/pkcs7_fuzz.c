/* CMS messages, with the certificates and CRLs in them. What was read is written and read again to the
 * same. */
#include "certs.h"
#include "fuzz.h"

#include "pki/cms/pkcs7.h"

static void check_again(const struct pki_pkcs7 *message)
{
    struct pki_bytes certs[PKI_PKCS7_CERTS_MAX], crls[PKI_PKCS7_CRLS_MAX];
    struct pki_pkcs7 again;
    struct lest_buf der;
    for (size_t i = 0; i < message->certs.count; i++)
        certs[i] = message->certs.list[i]->der;
    for (size_t i = 0; i < message->crl_count; i++)
        crls[i] = message->crls[i]->der;
    lest_buf_init(&der, PKI_PKCS7_MAX);
    FUZZ_CHECK(pki_pkcs7_encode(certs, message->certs.count, crls, message->crl_count, &der, NULL) ==
               LEST_OK);
    FUZZ_CHECK(pki_pkcs7_decode(der.data, der.len, &again, NULL) == LEST_OK);
    FUZZ_CHECK(again.certs.count == message->certs.count && again.crl_count == message->crl_count);
    for (size_t i = 0; i < again.certs.count; i++)
        FUZZ_CHECK(pki_bytes_equal(again.certs.list[i]->der, certs[i]));
    for (size_t i = 0; i < again.crl_count; i++)
        FUZZ_CHECK(pki_bytes_equal(again.crls[i]->der, crls[i]));
    pki_pkcs7_free(&again);
    lest_buf_free(&der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pki_pkcs7 message;
    struct lest_error err = { .status = LEST_OK };
    uint8_t *copy = fuzz_copy(data, size);
    FUZZ_CHECK(pki_pkcs7_read(copy, size, &message, &err) == err.status);
    if (err.status == LEST_OK) {
        for (size_t i = 0; i < message.certs.count; i++)
            check_cert(message.certs.list[i]);
        for (size_t i = 0; i < message.crl_count; i++)
            check_crl(message.crls[i]);
        check_again(&message);
    } else {
        FUZZ_CHECK(message.certs.count == 0 && message.crl_count == 0);
    }
    pki_pkcs7_free(&message);
    free(copy);
    return 0;
}
