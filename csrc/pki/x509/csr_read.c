/* Reading requests: what is of PKCS#10 alone (RFC 2986 4), and which form one has. */
#include "pki/asn1/input.h"
#include "pki/asn1/name.h"
#include "pki/x509/crmf.h"
#include "pki/x509/csr_parts.h"

#include <stdlib.h>

/* CertificationRequestInfo (RFC 2986 4.1). */
static bool read_info(struct pki_csr *csr, struct pki_der *in)
{
    struct pki_der_item info, subject, spki;
    struct pki_der body, attributes;
    size_t elements = PKI_CSR_ELEMENTS_MAX;
    if (!pki_der_item(in, PKI_DER_SEQUENCE, "the request info", &info))
        return false;
    csr->info = info.whole;
    pki_der_enter(in, &info, &body);
    struct pki_der at = body;
    if (!pki_der_small(&body, "the version", &csr->version))
        return false;
    /* Nothing depends on it, and many that make requests write that of a certificate. */
    if (csr->version != 0 && !pki_der_tolerates(&at, PKI_FLAW_VERSION))
        return pki_der_fail(&at, "the version is %lld, not 0", (long long)csr->version);
    if (!pki_der_item(&body, PKI_DER_SEQUENCE, "the subject", &subject) ||
        !pki_name_check(body.doc, subject.whole.data, subject.whole.len) ||
        !pki_der_item(&body, PKI_DER_SEQUENCE, "the public key", &spki))
        return false;
    csr->subject = subject.whole;
    csr->attributes = (struct pki_bytes){ body.at, 0 };
    if (body.left) {
        /* "attributes [0]" is not optional by the letter; requests without it exist. */
        if (!pki_der_read(&body, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED, "the attributes", &attributes) ||
            !pki_der_end(&body, "the request info") || !pki_csr_read_attributes(csr, attributes, &elements))
            return false;
    }
    return pki_csr_read_key(csr, body.doc, spki.whole);
}

static bool read_request(struct pki_csr *csr, struct pki_der_doc *doc)
{
    struct pki_der in, body;
    pki_der_open(&in, doc, csr->der.data, csr->der.len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the request", &body) || !pki_der_end(&in, "the request"))
        return false;
    if (pki_crmf_is(body))
        return pki_crmf_read(csr, body);
    return read_info(csr, &body) && pki_csr_read_proof(csr, &body);
}

/* The request that csr->storage holds. */
static enum lest_status parse_storage(struct pki_csr *csr, enum pki_csr_how how, struct lest_error *err)
{
    struct pki_der_doc doc = {
        .noun = "CSR", .malformed = LEST_E_CSR_MALFORMED, .err = err, .tolerated = PKI_CSR_FLAWS
    };
    csr->der = (struct pki_bytes){ csr->storage.data, csr->storage.len };
    csr->key_usage = -1;
    if (!read_request(csr, &doc))
        return doc.status;
    csr->flaws = doc.flaws;
    return how == PKI_CSR_KEY_LATER ? LEST_OK : pki_csr_need_verifier(csr, err);
}

static struct pki_csr *new_csr(void)
{
    struct pki_csr *csr = calloc(1, sizeof *csr);
    if (csr) {
        lest_buf_init(&csr->storage, PKI_CSR_MAX);
        lest_buf_init(&csr->spki_storage, PKI_PUBLIC_MAX);
        lest_buf_init(&csr->key_storage, PKI_CSR_MAX);
    }
    return csr;
}

enum lest_status pki_csr_parse(const void *data, size_t len, enum pki_csr_how how, struct pki_csr **out,
                               struct lest_error *err)
{
    static const char *const labels[] = { "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", NULL };
    static const struct pki_input what = { "CSR", labels, LEST_E_CSR_MALFORMED };
    struct pki_bytes der = { NULL, 0 };
    struct pki_csr *csr = new_csr();
    *out = NULL;
    if (!csr)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    enum lest_status status = LEST_OK;
    /* PEM of the largest request, with room for what `openssl req -text` writes before it. */
    if (len > 4 * (size_t)PKI_CSR_MAX)
        status = lest_error_set(err, LEST_E_TOO_LARGE, "CSR: more than %d bytes", PKI_CSR_MAX);
    if (status == LEST_OK)
        status = pki_input_read(&what, data, len, &csr->storage, &der, err);
    if (status == LEST_OK && der.data != csr->storage.data)
        lest_buf_append(&csr->storage, der.data, der.len);
    if (status == LEST_OK && csr->storage.too_large)
        status = lest_error_set(err, LEST_E_TOO_LARGE, "CSR: more than %d bytes", PKI_CSR_MAX);
    if (status == LEST_OK)
        status = lest_buf_status(&csr->storage, err);
    if (status == LEST_OK)
        status = pki_input_result(&what, der, parse_storage(csr, how, err), err);
    if (status)
        pki_csr_free(csr);
    else
        *out = csr;
    return status;
}
