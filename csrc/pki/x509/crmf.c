#include "pki/x509/crmf.h"

#include "pki/asn1/name.h"
#include "pki/error.h"
#include "pki/key/signature.h"
#include "pki/x509/csr_parts.h"

enum { CONSTRUCTED = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED };

/* Fields of CertTemplate, and of ProofOfPossession. */
enum {
    VERSION = PKI_DER_CONTEXT,
    ISSUER = CONSTRUCTED | 3,
    VALIDITY,
    SUBJECT,
    PUBLIC_KEY,
    EXTENSIONS = CONSTRUCTED | 9,
    RA_VERIFIED = PKI_DER_CONTEXT,
    SIGNATURE = CONSTRUCTED | 1,
    KEY_ENCIPHERMENT,
    KEY_AGREEMENT,
    SIGNING_INPUT = CONSTRUCTED,
};

/* Where PKCS#10 has a Name, a run of SETs, CRMF has a template, a run of tagged fields. */
bool pki_crmf_is(struct pki_der in)
{
    struct pki_der_doc trial = { .noun = "request", .malformed = LEST_E_MALFORMED };
    struct pki_der info, first;
    in.doc = &trial;
    return pki_der_read(&in, PKI_DER_SEQUENCE, "the request", &info) &&
           pki_der_read(&info, PKI_DER_INTEGER, "its id", NULL) &&
           pki_der_read(&info, PKI_DER_SEQUENCE, "its template", &first) &&
           (pki_der_peek(&first) & PKI_DER_CONTEXT) != 0;
}

static bool read_name(struct pki_der *in, uint8_t tag, const char *what, struct pki_bytes *name)
{
    struct pki_der body;
    struct pki_der_item item;
    if (!pki_der_read(in, tag, what, &body) || !pki_der_item(&body, PKI_DER_SEQUENCE, what, &item) ||
        !pki_der_end(&body, what))
        return false;
    *name = item.whole;
    return pki_name_check(in->doc, item.whole.data, item.whole.len);
}

/* Which issuer and which time are wished for is well-formed, and for others to say. */
static bool read_wishes(struct pki_der *in)
{
    struct pki_bytes name;
    struct pki_der_item item;
    struct pki_der validity, at = *in;
    size_t elements = 8;
    if (pki_der_peek(in) == VERSION) {
        if (!pki_der_item(in, VERSION, "the version", &item))
            return false;
        if (item.body.len != 1 || item.body.data[0] != 2)
            return pki_der_fail(&at, "the version is not 2");
    }
    if (pki_der_peek(in) == ISSUER && !read_name(in, ISSUER, "the issuer", &name))
        return false;
    if (pki_der_peek(in) != VALIDITY)
        return true;
    return pki_der_read(in, VALIDITY, "the validity", &validity) &&
           pki_der_check(validity, "the validity", 2, &elements);
}

/* The key stands under a tag of the template; as a SubjectPublicKeyInfo it begins with that of a SEQUENCE. */
static bool read_key(struct pki_csr *csr, struct pki_der *in)
{
    struct pki_der_doc doc = *in->doc;
    struct pki_der_item item;
    if (!pki_der_item(in, PUBLIC_KEY, "the public key", &item))
        return false;
    lest_buf_append(&csr->key_storage, item.whole.data, item.whole.len);
    doc.status = lest_buf_status(&csr->key_storage, doc.err);
    if (doc.status == LEST_OK) {
        csr->key_storage.data[0] = PKI_DER_SEQUENCE;
        doc.start = csr->key_storage.data;
        (void)pki_csr_read_key(csr, &doc, (struct pki_bytes){ doc.start, csr->key_storage.len });
    }
    in->doc->status = doc.status;
    in->doc->flaws = doc.flaws;
    return doc.status == LEST_OK;
}

static bool read_template(struct pki_csr *csr, struct pki_der in, size_t *elements)
{
    struct pki_der extensions;
    if (!read_wishes(&in) || !read_name(&in, SUBJECT, "the subject", &csr->subject) || !read_key(csr, &in))
        return false;
    if (pki_der_peek(&in) == EXTENSIONS && (!pki_der_read(&in, EXTENSIONS, "the extensions", &extensions) ||
                                            !pki_csr_read_extensions(csr, extensions, elements)))
        return false;
    return pki_der_end(&in, "the template");
}

/* CertRequest */
static bool read_info(struct pki_csr *csr, struct pki_der *in)
{
    struct pki_der_item info;
    struct pki_der body, part, at;
    size_t elements = PKI_CSR_ELEMENTS_MAX;
    int64_t id;
    if (!pki_der_item(in, PKI_DER_SEQUENCE, "the request info", &info))
        return false;
    csr->info = info.whole;
    pki_der_enter(in, &info, &body);
    at = body;
    if (!pki_der_small(&body, "the request's id", &id))
        return false;
    if (id > UINT32_MAX)
        return pki_der_fail(&at, "the request's id is out of bounds");
    csr->id = (uint32_t)id;
    if (!pki_der_read(&body, PKI_DER_SEQUENCE, "the template", &part) || !read_template(csr, part, &elements))
        return false;
    csr->attributes = (struct pki_bytes){ body.at, 0 };
    if (body.left && (!pki_der_read(&body, PKI_DER_SEQUENCE, "the controls", &part) ||
                      !pki_csr_read_attributes(csr, part, &elements)))
        return false;
    return pki_der_end(&body, "the request info");
}

/* RFC 5272 3.2.1.2.2: a signature is over the CertRequest. */
static bool read_proof(struct pki_csr *csr, struct pki_der *in)
{
    struct pki_der body;
    size_t elements = PKI_CSR_ELEMENTS_MAX;
    switch (pki_der_peek(in)) {
    case SIGNATURE:
        if (!pki_der_read(in, SIGNATURE, "the proof of possession", &body))
            return false;
        if (pki_der_peek(&body) == SIGNING_INPUT)
            return pki_der_fail(&body, "the signature is over a poposkInput, not over the request");
        return pki_csr_read_proof(csr, &body);
    case RA_VERIFIED:
    case KEY_ENCIPHERMENT:
    case KEY_AGREEMENT:
        if (!pki_der_read(in, PKI_DER_ANY, "the proof of possession", &body) ||
            (body.left && !pki_der_check(body, "the proof of possession", 8, &elements)))
            return false;
        break;
    default: break;
    }
    csr->is_unsigned = true;
    return true;
}

bool pki_crmf_read(struct pki_csr *csr, struct pki_der in)
{
    csr->form = PKI_CSR_CRMF;
    if (!read_info(csr, &in) || !read_proof(csr, &in))
        return false;
    if (pki_der_peek(&in) == PKI_DER_SEQUENCE)
        return pki_der_fail(&in, "regInfo is not for a request within a message of CMC");
    return pki_der_end(&in, "the request");
}

/* Attributes as controls, which have one value each. */
static void put_controls(const struct pki_csr_plan *plan, struct lest_buf *out)
{
    struct pki_der_doc doc = { .noun = "attributes", .malformed = LEST_E_CSR_MALFORMED };
    struct pki_attr attribute;
    struct pki_der_item value;
    struct pki_der in, values;
    struct lest_buf attributes;
    lest_buf_init(&attributes, PKI_CSR_MAX);
    pki_csr_put_others(plan, &attributes);
    out->failed = out->failed || attributes.failed;
    pki_der_open(&in, &doc, attributes.data, attributes.len);
    size_t mark = in.left ? pki_der_put_open(out, PKI_DER_SEQUENCE) : 0;
    bool any = in.left > 0;
    while (in.left && pki_attr_next(&in, &attribute)) {
        pki_der_open(&values, &doc, attribute.values.data, attribute.values.len);
        while (values.left && pki_der_item(&values, PKI_DER_ANY, "a value", &value)) {
            size_t control = pki_der_put_open(out, PKI_DER_SEQUENCE);
            pki_der_put(out, PKI_DER_OID, attribute.oid.data, attribute.oid.len);
            lest_buf_append(out, value.whole.data, value.whole.len);
            pki_der_put_close(out, control);
        }
    }
    if (any)
        pki_der_put_close(out, mark);
    lest_buf_wipe(&attributes);
}

static void put_info(const struct pki_csr_plan *plan, struct lest_buf *out)
{
    struct pki_bytes spki = pki_key_spki(plan->key);
    size_t info = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put_small(out, plan->id);
    size_t template = pki_der_put_open(out, PKI_DER_SEQUENCE);
    size_t part = pki_der_put_open(out, SUBJECT);
    if (plan->subject.data)
        lest_buf_append(out, plan->subject.data, plan->subject.len);
    else
        pki_der_put(out, PKI_DER_SEQUENCE, NULL, 0);
    pki_der_put_close(out, part);
    size_t key = out->len;
    lest_buf_append(out, spki.data, spki.len);
    if (out->len > key)
        out->data[key] = PUBLIC_KEY;
    if (plan->key_usage || plan->eku.data || plan->san.data || plan->extensions.len) {
        part = pki_der_put_open(out, EXTENSIONS);
        pki_csr_put_extensions(plan, out);
        pki_der_put_close(out, part);
    }
    pki_der_put_close(out, template);
    put_controls(plan, out);
    pki_der_put_close(out, info);
}

enum lest_status pki_crmf_build(const struct pki_csr_plan *plan, struct lest_buf *out, struct lest_error *err)
{
    struct pki_signer *signer = NULL;
    enum lest_status status = pki_signer_new(plan->key, plan->digest, &signer, err);
    if (status)
        return status;
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE), info = out->len;
    put_info(plan, out);
    status = lest_buf_status(out, err);
    if (status == LEST_OK) {
        struct lest_buf signature;
        struct pki_bytes algorithm = pki_signer_algorithm(signer);
        lest_buf_init(&signature, PKI_CSR_MAX);
        status =
            pki_signer_sign(signer, (struct pki_bytes){ out->data + info, out->len - info }, &signature, err);
        size_t proof = pki_der_put_open(out, SIGNATURE);
        lest_buf_append(out, algorithm.data, algorithm.len);
        lest_buf_append(out, signature.data, signature.len);
        pki_der_put_close(out, proof);
        lest_buf_free(&signature);
    }
    pki_der_put_close(out, mark);
    if (status == LEST_OK)
        status = lest_buf_status(out, err);
    pki_signer_free(signer);
    return status;
}
