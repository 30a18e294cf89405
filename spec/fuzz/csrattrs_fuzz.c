/* CSR attributes: what decodes is read twice to the same, what it requires lies inside it, and what may be
 * sent may also be received. */
#include "fuzz.h"

#include "pki/asn1/ext.h"
#include "pki/x509/csrattrs.h"

static bool inside(struct pki_bytes part, struct pki_bytes whole)
{
    return !part.data || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_requirements(struct pki_bytes der)
{
    struct pki_der_doc doc;
    struct pki_der in;
    struct pki_attr attr;
    struct pki_csr_requirements required = { .key = "" };
    size_t count = 0;
    FUZZ_CHECK(pki_csrattrs_open(der, &doc, &in, NULL) == LEST_OK);
    for (; pki_csrattrs_next(&in, &attr); count++) {
        const char *problem;
        FUZZ_CHECK(inside(attr.oid, der) && inside(attr.values, der) && pki_der_oid_valid(attr.oid));
        pki_csr_requirements_add(&required, &attr, &problem);
    }
    FUZZ_CHECK(in.left == 0 && doc.status == LEST_OK && count <= PKI_CSRATTRS_COUNT_MAX);
    FUZZ_CHECK(inside(required.extensions, der));
    if (required.extensions.data) {
        pki_der_open(&in, &doc, required.extensions.data, required.extensions.len);
        FUZZ_CHECK(pki_ext_check(in));
    }
    /* A kind of key that can be written is understood again. */
    struct lest_buf again;
    lest_buf_init(&again, 1024);
    if (required.key[0] && pki_csrattrs_put_key(&again, required.key, NULL) == LEST_OK)
        FUZZ_CHECK(again.len > 2);
    lest_buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct pki_bytes der = { copy, size };
    struct pki_der_doc doc;
    struct pki_der in;
    struct lest_error err = { .status = LEST_OK };
    enum lest_status status = pki_csrattrs_open(der, &doc, &in, &err);
    FUZZ_CHECK(status == err.status);
    if (status == LEST_OK)
        check_requirements(der);
    if (pki_csrattrs_check_ours(der, &err) == LEST_OK)
        FUZZ_CHECK(status == LEST_OK);
    free(copy);
    return 0;
}
