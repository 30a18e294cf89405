/* Building requests (RFC 2986 4, RFC 6402 2.8). */
#include "pki/asn1/name.h"
#include "pki/key/signature.h"
#include "pki/x509/crmf.h"
#include "pki/x509/csr_parts.h"

static void put_attributes(const struct pki_csr_plan *plan, struct lest_buf *out)
{
    struct pki_attr_mark attribute;
    size_t all = pki_der_put_open(out, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED);
    if (plan->key_usage || plan->eku.data || plan->san.data || plan->extensions.len) {
        attribute = pki_attr_put_open(out, PKI_OID_EXTENSION_REQUEST);
        size_t extensions = pki_der_put_open(out, PKI_DER_SEQUENCE);
        pki_csr_put_extensions(plan, out);
        pki_der_put_close(out, extensions);
        pki_attr_put_close(out, attribute);
    }
    pki_csr_put_others(plan, out);
    pki_der_put_sort(out, all);
    pki_der_put_close(out, all);
}

/* What stands in place of a part, or false. */
static bool put_instead(struct pki_bytes part, struct lest_buf *out)
{
    if (part.data)
        lest_buf_append(out, part.data, part.len);
    return part.data != NULL;
}

static void put_info(const struct pki_csr_plan *plan, const struct pki_csr_raw *raw, struct lest_buf *out)
{
    struct pki_bytes spki = pki_key_spki(plan->key);
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    if (!put_instead(raw->version, out))
        pki_der_put_small(out, 0);
    if (!put_instead(plan->subject, out))
        pki_der_put(out, PKI_DER_SEQUENCE, NULL, 0);
    if (!put_instead(raw->spki, out))
        lest_buf_append(out, spki.data, spki.len);
    if (!put_instead(raw->attributes, out))
        put_attributes(plan, out);
    pki_der_put_close(out, mark);
}

enum lest_status pki_csr_build_raw(const struct pki_csr_plan *plan, const struct pki_csr_raw *raw,
                                   struct lest_buf *out, struct lest_error *err)
{
    struct lest_buf info;
    struct pki_signer *signer = NULL;
    lest_buf_init(&info, PKI_CSR_MAX);
    enum lest_status status =
        pki_signer_new(raw->sign_with ? raw->sign_with : plan->key, plan->digest, &signer, err);
    if (!put_instead(raw->info, &info))
        put_info(plan, raw, &info);
    if (status == LEST_OK)
        status = lest_buf_status(&info, err);
    if (status)
        goto out;
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    lest_buf_append(out, info.data, info.len);
    struct pki_bytes algorithm = pki_signer_algorithm(signer);
    if (!put_instead(raw->algorithm, out))
        lest_buf_append(out, algorithm.data, algorithm.len);
    if (!put_instead(raw->signature, out))
        status = pki_signer_sign(signer, (struct pki_bytes){ info.data, info.len }, out, err);
    pki_der_put_close(out, mark);
    if (status == LEST_OK)
        status = lest_buf_status(out, err);
out:
    pki_signer_free(signer);
    lest_buf_wipe(&info);
    return status;
}

enum lest_status pki_csr_build(const struct pki_csr_plan *plan, struct pki_csr **out, struct lest_error *err)
{
    struct lest_buf der;
    *out = NULL;
    lest_buf_init(&der, PKI_CSR_MAX);
    enum lest_status status =
        plan->form == PKI_CSR_CRMF
            ? pki_crmf_build(plan, &der, err)
            : pki_csr_build_raw(plan, &(struct pki_csr_raw){ .info = { NULL, 0 } }, &der, err);
    if (status == LEST_OK)
        status = pki_csr_parse(der.data, der.len, PKI_CSR_KEY_NOW, out, err);
    lest_buf_wipe(&der);
    return status;
}
