/* CRLs. */
#include "certs.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pki_crl *crl;
    struct lest_error err = { .status = LEST_OK };
    uint8_t *copy = fuzz_copy(data, size);
    FUZZ_CHECK(pki_crl_parse(copy, size, &crl, &err) == err.status);
    FUZZ_CHECK((crl == NULL) == (err.status != LEST_OK));
    if (crl)
        check_crl(crl);
    pki_crl_free(crl);
    free(copy);
    return 0;
}
