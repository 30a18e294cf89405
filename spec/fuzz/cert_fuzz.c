/* Certificates, one or a PEM text of several. What was read is written as PEM and read again to the same. */
#include "certs.h"
#include "fuzz.h"

static void check_again(const struct pki_certs *certs)
{
    struct pki_certs again;
    struct lest_buf pem;
    lest_buf_init(&pem, 2 * (size_t)PKI_CERTS_BYTES_MAX);
    pki_certs_pem(certs->list, certs->count, &pem);
    FUZZ_CHECK(!pem.failed);
    if (pem.len <= PKI_CERTS_BYTES_MAX) {
        FUZZ_CHECK(pki_certs_parse(pem.data, pem.len, &again, NULL) == LEST_OK);
        FUZZ_CHECK(again.count == certs->count);
        for (size_t i = 0; i < again.count; i++)
            FUZZ_CHECK(pki_bytes_equal(again.list[i]->der, certs->list[i]->der));
        pki_certs_free(&again);
    }
    lest_buf_free(&pem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pki_certs certs;
    struct pki_cert *cert;
    struct lest_error err = { .status = LEST_OK };
    uint8_t *copy = fuzz_copy(data, size);
    FUZZ_CHECK(pki_certs_parse(copy, size, &certs, &err) == err.status);
    FUZZ_CHECK((certs.count == 0) == (err.status != LEST_OK));
    for (size_t i = 0; i < certs.count; i++)
        check_cert(certs.list[i]);
    if (certs.count)
        check_again(&certs);
    if (pki_cert_parse(copy, size, &cert, NULL) == LEST_OK) {
        FUZZ_CHECK(certs.count == 1 && pki_bytes_equal(cert->der, certs.list[0]->der));
        pki_cert_free(cert);
    }
    pki_certs_free(&certs);
    free(copy);
    return 0;
}
