/* Messages of CMC: their controls, requests and signer. What was read is read again to the same. */
#include "fuzz.h"

#include "pki/cms/cmc.h"

static void check_control(const struct pki_cmc_control *control)
{
    struct pki_der_doc doc = { .noun = "control", .malformed = LEST_E_CMC_MALFORMED };
    struct pki_der in;
    struct pki_cmc_value value;
    struct lest_buf der;
    enum pki_cmc_type type = PKI_CMC_RAW;
    if (!pki_cmc_control_name(control->number, &type))
        return;
    pki_der_open(&in, &doc, control->values.data, control->values.len);
    FUZZ_CHECK(pki_cmc_read_value(&in, type, &value));
    FUZZ_CHECK(value.body_count <= PKI_CMC_BODIES_MAX);
    lest_buf_init(&der, PKI_CMC_MAX);
    if (type == PKI_CMC_RAW)
        value.bytes = control->values;
    pki_cmc_put_control(&der, control->id, control->number, &value);
    FUZZ_CHECK(!der.failed || value.time < 0);
    lest_buf_free(&der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t p256[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                                    0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03,
                                    0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8,
                                    0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d,
                                    0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f,
                                    0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c,
                                    0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb,
                                    0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5 };
    struct pki_cmc cmc, again;
    struct lest_error err = { .status = LEST_OK };
    uint8_t *copy = fuzz_copy(data, size);
    FUZZ_CHECK(pki_cmc_parse(copy, size, &cmc, &err) == err.status);
    if (err.status == LEST_OK) {
        struct pki_bytes der = { cmc.message.der.data, cmc.message.der.len };
        for (size_t i = 0; i < cmc.control_count; i++)
            check_control(&cmc.controls[i]);
        if (cmc.message.signers) {
            /* The point is the generator: nobody has signed with 1. */
            enum lest_status status =
                pki_signed_verify(&cmc.message, &cmc.signer, (struct pki_bytes){ p256, sizeof p256 }, NULL);
            FUZZ_CHECK(status != LEST_E_INTERNAL);
            for (size_t i = 0; i < cmc.message.certs.count; i++)
                (void)pki_signed_is_by(&cmc.signer, cmc.message.certs.list[i]);
        }
        FUZZ_CHECK(pki_cmc_parse(der.data, der.len, &again, NULL) == LEST_OK);
        FUZZ_CHECK(again.control_count == cmc.control_count && again.request_count == cmc.request_count);
        FUZZ_CHECK(again.is_response == cmc.is_response && again.id_count == cmc.id_count);
        pki_cmc_free(&again);
    }
    pki_cmc_free(&cmc);
    free(copy);
    return 0;
}
