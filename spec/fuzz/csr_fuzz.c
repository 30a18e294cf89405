/* A certification request from outside: parsed, verified, looked at in every way, and put into a
 * certificate. */
#include "fuzz.h"

#include "pki/asn1/name.h"
#include "pki/asn1/san.h"
#include "pki/key/signature.h"
#include "pki/x509/csr.h"
#include "pki/x509/issuer.h"

static struct pki_issuer *issuer;

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct pki_key *key;
    struct pki_cert *cert;
    struct lest_buf name, der;
    (void)argc;
    (void)argv;
    lest_buf_init(&name, 1024);
    lest_buf_init(&der, 4096);
    FUZZ_CHECK(pki_key_generate("ec:P-256", &key, NULL) == LEST_OK);
    FUZZ_CHECK(pki_name_parse("CN=ca", 5, &name, NULL) == LEST_OK);
    struct pki_bytes subject = { name.data, name.len };
    FUZZ_CHECK(pki_issuer_root(key, NULL, subject, 0, 4000000000, -1, &der, NULL) == LEST_OK);
    FUZZ_CHECK(pki_cert_parse(der.data, der.len, &cert, NULL) == LEST_OK);
    FUZZ_CHECK(pki_issuer_new(cert, key, NULL, &issuer, NULL) == LEST_OK);
    pki_cert_free(cert);
    pki_key_free(key);
    lest_buf_free(&name);
    lest_buf_free(&der);
    return 0;
}

static void check_inside(const struct pki_csr *csr, struct pki_bytes part)
{
    if (part.data)
        FUZZ_CHECK(part.data >= csr->der.data && part.data + part.len <= csr->der.data + csr->der.len);
}

/* One key has one encoding. */
static void check_spki(const struct pki_csr *csr)
{
    struct lest_buf storage;
    lest_buf_init(&storage, PKI_PUBLIC_MAX);
    FUZZ_CHECK(pki_bytes_equal(pki_public_canonical(csr->spki, &storage), csr->spki) && storage.len == 0);
    lest_buf_free(&storage);
}

/* What was accepted is readable to its end: the binding counts on that. */
static void read_parts(const struct pki_csr *csr)
{
    struct pki_der_doc doc = { .noun = "part", .malformed = LEST_E_MALFORMED, .tolerated = csr->flaws };
    struct pki_name_reader names;
    struct pki_name_part part;
    struct pki_san_reader sans;
    struct pki_attr attribute;
    struct pki_ext ext;
    struct pki_der in;
    struct lest_buf text;
    lest_buf_init(&text, 1024 * 1024);
    pki_name_open(&names, &doc, csr->subject.data, csr->subject.len);
    while (pki_name_next(&names, &text, &part))
        FUZZ_CHECK(part.type_len && !memchr(part.value, 0, part.value_len));
    FUZZ_CHECK(doc.status == LEST_OK);
    text.len = 0;
    FUZZ_CHECK(pki_name_print(csr->subject.data, csr->subject.len, PKI_NAME_RFC4514, &text));
    FUZZ_CHECK(pki_name_equal(csr->subject, csr->subject) && pki_san_equal(csr->san, csr->san));
    if (csr->san.data) {
        pki_san_open(&sans, &doc, csr->san.data, csr->san.len);
        while (pki_san_next(&sans, &text))
            FUZZ_CHECK(!memchr(text.data, 0, text.len));
        FUZZ_CHECK(doc.status == LEST_OK);
    }
    pki_der_open(&in, &doc, csr->attributes.data, csr->attributes.len);
    while (in.left)
        FUZZ_CHECK(pki_csr_next_attribute(csr, &in, &attribute));
    if (csr->extensions.data)
        for (pki_der_open(&in, &doc, csr->extensions.data, csr->extensions.len); in.left;)
            FUZZ_CHECK(pki_ext_next(&in, &ext));
    lest_buf_free(&text);
}

/* Whatever names and key a request has, the certificate is well-formed and no CA's. */
static void issue(const struct pki_csr *csr)
{
    struct lest_error err;
    struct lest_buf der;
    struct pki_cert *cert;
    struct pki_issue plan = { .spki = csr->spki,
                              .subject = csr->subject,
                              .san = csr->san,
                              .eku = csr->eku,
                              .extensions = csr->extensions,
                              .not_after = 1000000000 };
    lest_buf_init(&der, PKI_CERT_MAX);
    /* The extensions as they were asked for are refused where we make our own. */
    if (pki_issuer_issue(issuer, &plan, &der, &err)) {
        der.len = 0;
        plan.extensions = (struct pki_bytes){ NULL, 0 };
        if (pki_issuer_issue(issuer, &plan, &der, &err))
            der.len = 0;
    }
    if (der.len && pki_cert_parse(der.data, der.len, &cert, &err) == LEST_OK) {
        FUZZ_CHECK(!cert->is_ca && !cert->flaws);
        FUZZ_CHECK(pki_bytes_equal(cert->subject, csr->subject) && pki_bytes_equal(cert->spki, csr->spki));
        pki_cert_free(cert);
    }
    lest_buf_free(&der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lest_error err;
    struct pki_csr *csr;
    uint8_t *copy = fuzz_copy(data, size);
    enum lest_status status = pki_csr_parse(copy, size, PKI_CSR_KEY_NOW, &csr, &err);
    free(copy);
    FUZZ_CHECK((status == LEST_OK) == (csr != NULL));
    if (status) {
        FUZZ_CHECK(err.status == status && err.message[0]);
        return 0;
    }
    check_inside(csr, csr->info);
    check_inside(csr, csr->subject);
    if (csr->form == PKI_CSR_PKCS10)
        check_inside(csr, csr->key.whole);
    check_spki(csr);
    check_inside(csr, csr->attributes);
    check_inside(csr, csr->change.subject);
    check_inside(csr, csr->change.san);
    check_inside(csr, csr->extensions);
    check_inside(csr, csr->san);
    check_inside(csr, csr->eku);
    check_inside(csr, csr->algorithm);
    check_inside(csr, csr->signature);
    read_parts(csr);
    if (pki_csr_verify(csr, true, &err))
        FUZZ_CHECK(err.status == LEST_E_CSR_SIGNATURE || err.status == LEST_E_CSR_WEAK ||
                   (csr->is_unsigned && err.status == LEST_E_CSR_UNPROVEN));
    issue(csr);
    pki_csr_free(csr);
    return 0;
}
