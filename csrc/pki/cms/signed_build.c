/* Making SignedData (RFC 5652 section 5). */
#include "pki/asn1/attr.h"
#include "pki/cms/sha2.h"
#include "pki/cms/signed.h"
#include "pki/error.h"
#include "pki/key/signature.h"

enum {
    CONTEXT_0 = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED,
    VERSION_ISSUER = 1, /* of a SignerInfo (RFC 5652 5.3) */
    VERSION_KEY_ID = 3,
    VERSION_SIGNED = 3, /* of a SignedData whose content is not id-data (5.1) */
    SIGNED_MAX = 64 * 1024,
    ALGORITHM_MAX = 64,
};

/* The digest that goes with a signature: its own, or SHA-512 where it has none (RFC 8419 3.1). */
static size_t digest_for(struct pki_bytes algorithm)
{
    const char *key_type;
    const EVP_MD *md = pki_signature_digest(algorithm, &key_type);
    for (size_t i = 0; md && i < PKI_SHA2S; i++)
        if (pki_digest_get0(pki_sha2s[i].digest) == md)
            return i;
    return PKI_SHA2S - 1;
}

static void put_digest_algorithm(struct lest_buf *out, size_t digest)
{
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_oid_put(out, pki_sha2s[digest].oid);
    pki_der_put_close(out, mark);
}

static enum lest_status put_attributes(const struct pki_signed_plan *plan, size_t digest,
                                       struct lest_buf *out, struct lest_error *err)
{
    uint8_t value[EVP_MAX_MD_SIZE];
    unsigned len;
    const EVP_MD *md = pki_digest_get0(pki_sha2s[digest].digest);
    if (!md || !EVP_Digest(plan->content.data, plan->content.len, value, &len, md, NULL))
        return pki_error(err, LEST_E_CRYPTO, "CMC: the content cannot be digested");
    struct pki_attr_mark mark = pki_attr_put_open(out, PKI_OID_CONTENT_TYPE);
    pki_oid_put(out, plan->content_type);
    pki_attr_put_close(out, mark);
    mark = pki_attr_put_open(out, PKI_OID_MESSAGE_DIGEST);
    pki_der_put(out, PKI_DER_OCTET_STRING, value, len);
    pki_attr_put_close(out, mark);
    pki_der_put_sort(out, 0);
    return lest_buf_status(out, err);
}

static void put_sid(const struct pki_signed_plan *plan, struct lest_buf *out)
{
    if (!plan->cert) {
        pki_der_put(out, PKI_DER_CONTEXT, plan->key_id.data, plan->key_id.len);
        return;
    }
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    lest_buf_append(out, plan->cert->issuer.data, plan->cert->issuer.len);
    pki_der_put(out, PKI_DER_INTEGER, plan->cert->serial.data, plan->cert->serial.len);
    pki_der_put_close(out, mark);
}

/* Append an OCTET STRING with the signature, which a signer writes as a BIT STRING. */
static enum lest_status put_signature(struct pki_signer *signer, struct pki_bytes data, struct lest_buf *out,
                                      struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "signature", .malformed = LEST_E_INTERNAL, .err = err };
    struct lest_buf bits;
    struct pki_der in;
    struct pki_bytes value;
    unsigned unused;
    lest_buf_init(&bits, SIGNED_MAX);
    enum lest_status status = pki_signer_sign(signer, data, &bits, err);
    if (!status) {
        pki_der_open(&in, &doc, bits.data, bits.len);
        if (pki_der_bits(&in, "the signature", &value, &unused))
            pki_der_put(out, PKI_DER_OCTET_STRING, value.data, value.len);
        status = doc.status;
    }
    lest_buf_free(&bits);
    return status;
}

static enum lest_status put_signer(const struct pki_signed_plan *plan, struct pki_signer *signer,
                                   size_t digest, struct lest_buf *out, struct lest_error *err)
{
    struct lest_buf attributes, data;
    struct pki_bytes algorithm = pki_signer_algorithm(signer);
    lest_buf_init(&attributes, SIGNED_MAX);
    lest_buf_init(&data, SIGNED_MAX);
    enum lest_status status = put_attributes(plan, digest, &attributes, err);
    if (status)
        goto out;
    pki_der_put(&data, PKI_DER_SET, attributes.data, attributes.len);
    status = lest_buf_status(&data, err);
    if (status)
        goto out;
    size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put_small(out, plan->cert ? VERSION_ISSUER : VERSION_KEY_ID);
    put_sid(plan, out);
    put_digest_algorithm(out, digest);
    pki_der_put(out, CONTEXT_0, attributes.data, attributes.len);
    lest_buf_append(out, algorithm.data, algorithm.len);
    status = put_signature(signer, (struct pki_bytes){ data.data, data.len }, out, err);
    pki_der_put_close(out, mark);
out:
    lest_buf_free(&data);
    lest_buf_free(&attributes);
    return status ? status : lest_buf_status(out, err);
}

enum lest_status pki_signed_build(const struct pki_signed_plan *plan, struct lest_buf *out,
                                  struct lest_error *err)
{
    struct pki_signer *signer = NULL;
    struct lest_buf info, digest_list;
    lest_buf_init(&info, SIGNED_MAX);
    lest_buf_init(&digest_list, ALGORITHM_MAX);
    enum lest_status status = pki_signer_new(plan->key, NULL, &signer, err);
    if (status)
        goto out;
    size_t digest = digest_for(pki_signer_algorithm(signer));
    put_digest_algorithm(&digest_list, digest);
    status = put_signer(plan, signer, digest, &info, err);
    if (!status)
        status = lest_buf_status(&digest_list, err);
    if (status)
        goto out;
    const struct pki_pkcs7_plan message = {
        .certs = plan->certs,
        .crls = plan->crls,
        .cert_count = plan->cert_count,
        .crl_count = plan->crl_count,
        .version = VERSION_SIGNED,
        .digests = { digest_list.data, digest_list.len },
        .content_type = plan->content_type,
        .content = plan->content,
        .signer_info = { info.data, info.len },
    };
    status = pki_pkcs7_put(&message, out, err);
out:
    pki_signer_free(signer);
    lest_buf_free(&digest_list);
    lest_buf_free(&info);
    return status;
}
