#include "pki/cms/pkcs7.h"

#include "pki/asn1/ber.h"
#include "pki/asn1/input.h"
#include "pki/asn1/oid.h"

#include <string.h>

enum { CONTEXT_0 = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED, CONTEXT_1 };

_Static_assert(sizeof((struct pki_pkcs7 *)0)->type == PKI_OID_TEXT_MAX, "an OID fits");

static enum lest_status put_set(struct lest_buf *out, uint8_t tag, const char *noun,
                                const struct pki_bytes *list, size_t count, struct lest_error *err)
{
    if (count == 0)
        return LEST_OK;
    size_t mark = pki_der_put_open(out, tag);
    for (size_t i = 0; i < count; i++) {
        struct pki_der_doc doc = { .noun = noun, .malformed = LEST_E_PKCS7_MALFORMED, .err = err };
        struct pki_der in;
        pki_der_open(&in, &doc, list[i].data, list[i].len);
        if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the entry", NULL) || !pki_der_end(&in, "the entry"))
            return doc.status;
        lest_buf_append(out, list[i].data, list[i].len);
    }
    pki_der_put_close(out, mark);
    return LEST_OK;
}

enum lest_status pki_pkcs7_put(const struct pki_pkcs7_plan *plan, struct lest_buf *out,
                               struct lest_error *err)
{
    enum lest_status status;
    size_t info = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_oid_put(out, PKI_OID_SIGNED_DATA);
    size_t explicit = pki_der_put_open(out, CONTEXT_0);
    size_t data = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put_small(out, plan->version);
    pki_der_put(out, PKI_DER_SET, plan->digests.data, plan->digests.len);
    size_t content = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_oid_put(out, plan->content_type);
    if (plan->content.data) {
        size_t octets = pki_der_put_open(out, CONTEXT_0);
        pki_der_put(out, PKI_DER_OCTET_STRING, plan->content.data, plan->content.len);
        pki_der_put_close(out, octets);
    }
    pki_der_put_close(out, content);
    status = put_set(out, CONTEXT_0, "certificate", plan->certs, plan->cert_count, err);
    if (!status)
        status = put_set(out, CONTEXT_1, "CRL", plan->crls, plan->crl_count, err);
    pki_der_put(out, PKI_DER_SET, plan->signer_info.data, plan->signer_info.len);
    pki_der_put_close(out, data);
    pki_der_put_close(out, explicit);
    pki_der_put_close(out, info);
    return status ? status : lest_buf_status(out, err);
}

enum lest_status pki_pkcs7_encode(const struct pki_bytes *certs, size_t cert_count,
                                  const struct pki_bytes *crls, size_t crl_count, struct lest_buf *out,
                                  struct lest_error *err)
{
    const struct pki_pkcs7_plan plan = { .certs = certs,
                                         .cert_count = cert_count,
                                         .crls = crls,
                                         .crl_count = crl_count,
                                         .version = 1,
                                         .content_type = PKI_OID_DATA };
    return pki_pkcs7_put(&plan, out, err);
}

static bool limit(struct pki_der *in, size_t count, size_t max, const char *noun)
{
    if (count < max)
        return true;
    in->doc->status = lest_error_set(in->doc->err, LEST_E_TOO_LARGE, "PKCS#7: more than %zu %s", max, noun);
    return false;
}

static bool no_memory(struct pki_der *in)
{
    in->doc->status = lest_error_set(in->doc->err, LEST_E_NOMEM, "out of memory");
    return false;
}

/* CertificateSet (RFC 5652 10.2.2): X.509 certificates; attribute certificates and others are tagged. */
static bool read_certs(struct pki_der *in, struct pki_pkcs7 *out)
{
    struct pki_der list;
    if (pki_der_peek(in) != CONTEXT_0)
        return true;
    if (!pki_der_read(in, CONTEXT_0, "the certificates", &list))
        return false;
    while (list.left) {
        struct pki_der_item item;
        struct pki_cert *cert;
        if (!pki_der_item(&list, PKI_DER_ANY, "a certificate", &item))
            return false;
        if (item.tag != PKI_DER_SEQUENCE) {
            out->skipped++;
            continue;
        }
        if (!limit(in, out->certs.count, PKI_PKCS7_CERTS_MAX, "certificates"))
            return false;
        in->doc->status = pki_cert_parse(item.whole.data, item.whole.len, &cert, in->doc->err);
        if (in->doc->status)
            return false;
        if (!pki_certs_add(&out->certs, cert))
            return no_memory(in);
    }
    return true;
}

/* RevocationInfoChoices (RFC 5652 10.2.1); "a100", an empty one, is what old servers write. */
static bool read_crls(struct pki_der *in, struct pki_pkcs7 *out)
{
    struct pki_der list;
    if (pki_der_peek(in) != CONTEXT_1)
        return true;
    if (!pki_der_read(in, CONTEXT_1, "the CRLs", &list))
        return false;
    while (list.left) {
        struct pki_der_item item;
        if (!pki_der_item(&list, PKI_DER_ANY, "a CRL", &item))
            return false;
        if (item.tag != PKI_DER_SEQUENCE) {
            out->skipped++;
            continue;
        }
        if (!limit(in, out->crl_count, PKI_PKCS7_CRLS_MAX, "CRLs"))
            return false;
        in->doc->status =
            pki_crl_parse(item.whole.data, item.whole.len, &out->crls[out->crl_count], in->doc->err);
        if (in->doc->status)
            return false;
        out->crl_count++;
    }
    return true;
}

static bool read_content(struct pki_der *in, struct pki_pkcs7 *out)
{
    struct pki_der body, content;
    struct pki_der_item bytes;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the content", &body) ||
        !pki_der_oid(&body, "the type of the content", &out->content_oid))
        return false;
    pki_oid_describe(out->content_oid, out->content_type);
    if (body.left == 0)
        return true;
    /* PKCS#7 has any type here, CMS an octet string. */
    if (!pki_der_read(&body, CONTEXT_0, "the content", &content) || !pki_der_end(&body, "the content") ||
        !pki_der_item(&content, PKI_DER_ANY, "the content", &bytes) || !pki_der_end(&content, "the content"))
        return false;
    out->content = bytes.body;
    return true;
}

static bool read_signed_data(struct pki_der *in, struct pki_pkcs7 *out)
{
    struct pki_der body, signers;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the SignedData", &body) || !pki_der_end(in, "the SignedData") ||
        !pki_der_small(&body, "the version", &out->version) ||
        !pki_der_read(&body, PKI_DER_SET, "the digest algorithms", NULL) || !read_content(&body, out) ||
        !read_certs(&body, out) || !read_crls(&body, out) ||
        !pki_der_read(&body, PKI_DER_SET, "the signers", &signers) || !pki_der_end(&body, "the SignedData"))
        return false;
    out->signer_info = (struct pki_bytes){ signers.at, signers.left };
    for (; signers.left; out->signers++)
        if (!pki_der_read(&signers, PKI_DER_SEQUENCE, "a signer", NULL))
            return false;
    return true;
}

static bool read_info(struct pki_der *in, struct pki_pkcs7 *out)
{
    struct pki_der body, content;
    struct pki_bytes oid;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the message", &body) || !pki_der_end(in, "the message") ||
        !pki_der_oid(&body, "the type of the message", &oid))
        return false;
    pki_oid_describe(oid, out->type);
    out->is_signed_data = pki_oid_is(oid, PKI_OID_SIGNED_DATA);
    if (!pki_der_read(&body, CONTEXT_0, "the message's content", &content) ||
        !pki_der_end(&body, "the message"))
        return false;
    return !out->is_signed_data || read_signed_data(&content, out);
}

enum lest_status pki_pkcs7_read(const void *data, size_t len, struct pki_pkcs7 *out, struct lest_error *err)
{
    static const char *const labels[] = { "PKCS7", "CMS", "PKCS #7 SIGNED DATA", NULL };
    static const struct pki_input input = { "PKCS#7", labels, LEST_E_PKCS7_MALFORMED };
    struct pki_der_doc doc = { .noun = "PKCS#7", .malformed = LEST_E_PKCS7_MALFORMED, .err = err };
    struct lest_buf storage;
    struct pki_bytes bytes;
    struct pki_der in;
    memset(out, 0, sizeof *out);
    lest_buf_init(&storage, PKI_PKCS7_MAX);
    lest_buf_init(&out->der, PKI_PKCS7_MAX);
    enum lest_status status = pki_input_read(&input, data, len, &storage, &bytes, err);
    if (!status && bytes.len > PKI_PKCS7_MAX)
        status = lest_error_set(err, LEST_E_TOO_LARGE, "PKCS#7: more than %d bytes", PKI_PKCS7_MAX);
    if (!status)
        status = pki_ber_to_der("PKCS#7", LEST_E_PKCS7_MALFORMED, bytes.data, bytes.len, &out->der, err);
    if (!status) {
        pki_der_open(&in, &doc, out->der.data, out->der.len);
        if (!read_info(&in, out))
            status = pki_input_result(&input, bytes, doc.status, err);
    }
    if (status)
        pki_pkcs7_free(out);
    lest_buf_free(&storage);
    return status;
}

enum lest_status pki_pkcs7_decode(const void *data, size_t len, struct pki_pkcs7 *out, struct lest_error *err)
{
    enum lest_status status = pki_pkcs7_read(data, len, out, err);
    if (status)
        return status;
    if (!out->is_signed_data)
        status = lest_error_set(err, LEST_E_PKCS7_MALFORMED, "PKCS#7: the message is %s, not SignedData",
                                out->type);
    else if (out->content.len || out->signers)
        status = lest_error_set(err, LEST_E_PKCS7_MALFORMED,
                                "PKCS#7: the message has %s, it is no bag of certificates only",
                                out->signers ? "signers" : "content");
    if (status)
        pki_pkcs7_free(out);
    return status;
}

void pki_pkcs7_free(struct pki_pkcs7 *pkcs7)
{
    pki_certs_free(&pkcs7->certs);
    for (size_t i = 0; i < pkcs7->crl_count; i++)
        pki_crl_free(pkcs7->crls[i]);
    lest_buf_free(&pkcs7->der);
    memset(pkcs7, 0, sizeof *pkcs7);
}
