/* CMS messages, with the certificates and CRLs in them. What was read is written and read again to the
 * same. */
#include "fuzz.h"

#include "pki/pkcs7.h"
#include "pki/public.h"

static void check_cert(const struct pki_cert *cert)
{
    struct pki_der_doc doc = { .noun = "extensions", .malformed = LEST_E_MALFORMED };
    struct pki_der in;
    struct pki_ext ext;
    struct lest_buf serial;
    lest_buf_init(&serial, cert->serial.len * 2 + 2);
    pki_serial_text(cert->serial, &serial);
    FUZZ_CHECK(!serial.failed && serial.len >= 2);
    lest_buf_free(&serial);
    pki_der_open(&in, &doc, cert->extensions.data, cert->extensions.data ? cert->extensions.len : 0);
    while (in.left)
        FUZZ_CHECK(pki_ext_next(&in, &ext));
    pki_cert_self_issued(cert);
    char type[PKI_KEY_TYPE_MAX];
    int bits;
    pki_public_describe(cert->spki, type, &bits);
    FUZZ_CHECK(type[0]);
    /* OpenSSL may refuse it, but must not be led astray. */
    pki_cert_matches_host(cert, "a.example.com", 13);
}

static void check_crl(const struct pki_crl *crl)
{
    struct pki_der_doc doc;
    struct pki_der entries;
    struct pki_crl_entry entry, found;
    size_t count = 0;
    pki_crl_open(crl, &doc, &entries);
    for (; pki_crl_next(&entries, &entry); count++)
        FUZZ_CHECK(count > 100 || pki_crl_find(crl, entry.serial, &found));
    FUZZ_CHECK(count == crl->count && doc.status == LEST_OK);
    pki_crl_get0_x509(crl, NULL);
}

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
