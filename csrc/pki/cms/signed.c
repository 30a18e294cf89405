#include "pki/cms/signed.h"

#include "pki/asn1/attr.h"
#include "pki/asn1/name.h"
#include "pki/cms/sha2.h"
#include "pki/error.h"
#include "pki/key/signature.h"
#include "pki/key/verifier.h"

#include <string.h>

enum {
    CONTEXT_0 = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED,
    CONTEXT_1,
    SIGNED_MAX = 64 * 1024,
    KEY_ID_MAX = 64,
    DEPTH_MAX = 16,
    ELEMENTS_MAX = 1024,
};

static struct pki_der_doc document(const struct pki_pkcs7 *message, struct lest_error *err)
{
    return (struct pki_der_doc){
        .noun = "CMC", .malformed = LEST_E_CMC_MALFORMED, .err = err, .start = message->der.data
    };
}

static bool read_sid(struct pki_der *in, struct pki_signed_by *out)
{
    struct pki_der sid;
    struct pki_der_item item;
    if (pki_der_peek(in) == PKI_DER_CONTEXT) {
        struct pki_der at = *in;
        if (!pki_der_item(in, PKI_DER_CONTEXT, "the signer's key identifier", &item))
            return false;
        out->key_id = item.body;
        bool fits = item.body.len > 0 && item.body.len <= KEY_ID_MAX;
        return fits || pki_der_fail(&at, "the signer's key identifier is empty or too long");
    }
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the signer's issuer and serial number", &sid) ||
        !pki_der_item(&sid, PKI_DER_SEQUENCE, "the signer's issuer", &item))
        return false;
    out->issuer = item.whole;
    return pki_der_integer(&sid, "the signer's serial number", &out->serial) &&
           pki_der_end(&sid, "the signer's serial number");
}

static bool read_algorithm(struct pki_der *in, const char *what, struct pki_bytes *whole,
                           struct pki_bytes *oid)
{
    struct pki_der_item item;
    struct pki_der body;
    size_t elements = 64;
    if (!pki_der_item(in, PKI_DER_SEQUENCE, what, &item))
        return false;
    *whole = item.whole;
    pki_der_enter(in, &item, &body);
    return pki_der_check(body, what, DEPTH_MAX, &elements) && pki_der_oid(&body, what, oid);
}

static bool read_signer(struct pki_der *in, struct pki_signed_by *out)
{
    struct pki_der body;
    struct pki_der_item item;
    struct pki_bytes whole, oid;
    int64_t version;
    size_t elements = ELEMENTS_MAX;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the signer", &body) || !pki_der_end(in, "the signer") ||
        !pki_der_small(&body, "the signer's version", &version) || !read_sid(&body, out) ||
        !read_algorithm(&body, "the digest's algorithm", &whole, &out->digest) ||
        !pki_der_item(&body, CONTEXT_0, "the signed attributes", &item))
        return false;
    out->attributes = item.body;
    if (!read_algorithm(&body, "the signature's algorithm", &out->algorithm, &oid) ||
        !pki_der_item(&body, PKI_DER_OCTET_STRING, "the signature", &item))
        return false;
    out->signature = item.body;
    if (body.left && !pki_der_item(&body, CONTEXT_1, "the unsigned attributes", &item))
        return false;
    struct pki_der attributes;
    pki_der_open(&attributes, in->doc, out->attributes.data, out->attributes.len);
    return pki_der_end(&body, "the signer") &&
           pki_der_check(attributes, "the signed attributes", DEPTH_MAX, &elements);
}

enum lest_status pki_signed_read(const struct pki_pkcs7 *message, struct pki_signed_by *out,
                                 struct lest_error *err)
{
    struct pki_der_doc doc = document(message, err);
    struct pki_der in;
    memset(out, 0, sizeof *out);
    if (message->signers != 1)
        return lest_error_set(err, LEST_E_CMC_MALFORMED, "CMC: the message has %zu signers, not one",
                              message->signers);
    pki_der_open(&in, &doc, message->signer_info.data, message->signer_info.len);
    return read_signer(&in, out) ? LEST_OK : doc.status;
}

bool pki_signed_is_by(const struct pki_signed_by *by, const struct pki_cert *cert)
{
    if (by->key_id.data)
        return pki_bytes_equal(by->key_id, cert->ski);
    return pki_bytes_equal(by->serial, cert->serial) && pki_name_equal(by->issuer, cert->issuer);
}

/* The only value of an attribute. */
static bool value_of(struct pki_der *in, const struct pki_attr *attribute, uint8_t tag,
                     struct pki_bytes *value)
{
    struct pki_der values;
    struct pki_der_item item;
    if (value->data)
        return pki_der_fail(in, "a signed attribute stands twice");
    pki_der_open(&values, in->doc, attribute->values.data, attribute->values.len);
    if (!pki_der_item(&values, tag, "a signed attribute", &item) ||
        !pki_der_end(&values, "a signed attribute"))
        return false;
    *value = item.body;
    return true;
}

/* RFC 5652 11.1 and 11.2: both must be there, once. */
static bool read_attributes(struct pki_der *in, struct pki_bytes *type, struct pki_bytes *digest)
{
    struct pki_attr attribute;
    for (size_t count = 0; in->left;) {
        if (++count > PKI_SIGNED_ATTRIBUTES_MAX)
            return pki_der_fail(in, "there are more than %d signed attributes", PKI_SIGNED_ATTRIBUTES_MAX);
        if (!pki_attr_next(in, &attribute))
            return false;
        if (pki_oid_is(attribute.oid, PKI_OID_CONTENT_TYPE) && !value_of(in, &attribute, PKI_DER_OID, type))
            return false;
        if (pki_oid_is(attribute.oid, PKI_OID_MESSAGE_DIGEST) &&
            !value_of(in, &attribute, PKI_DER_OCTET_STRING, digest))
            return false;
    }
    return (type->data && digest->data) || pki_der_fail(in, "the signed attributes do not name the content");
}

static enum lest_status check_content(const struct pki_pkcs7 *message, const struct pki_signed_by *by,
                                      size_t digest, struct lest_error *err)
{
    struct pki_der_doc doc = document(message, err);
    struct pki_der in;
    struct pki_bytes type = { NULL, 0 }, said = { NULL, 0 };
    uint8_t value[EVP_MAX_MD_SIZE];
    unsigned len;
    pki_der_open(&in, &doc, by->attributes.data, by->attributes.len);
    if (!read_attributes(&in, &type, &said))
        return doc.status;
    const EVP_MD *md = pki_digest_get0(pki_sha2s[digest].digest);
    if (!md || !message->content.data ||
        !EVP_Digest(message->content.data, message->content.len, value, &len, md, NULL))
        return pki_error(err, LEST_E_CMC_SIGNATURE, "CMC: the content cannot be digested");
    if (!pki_bytes_equal(type, message->content_oid) ||
        !pki_bytes_equal(said, (struct pki_bytes){ value, len }))
        return lest_error_set(err, LEST_E_CMC_SIGNATURE, "CMC: the content is not what was signed");
    return LEST_OK;
}

/* The signature's algorithm as certificates have it: that of RSA names no digest in CMS (RFC 3370 3.2). */
static enum lest_status put_algorithm(const struct pki_signed_by *by, size_t digest, struct lest_buf *out,
                                      struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "CMC", .malformed = LEST_E_CMC_MALFORMED, .err = err };
    struct pki_der in;
    struct pki_bytes whole, oid;
    const char *key_type;
    pki_der_open(&in, &doc, by->algorithm.data, by->algorithm.len);
    if (!read_algorithm(&in, "the signature's algorithm", &whole, &oid))
        return doc.status;
    if (pki_oid_is(oid, PKI_OID_RSA)) {
        size_t mark = pki_der_put_open(out, PKI_DER_SEQUENCE);
        pki_oid_put(out, pki_sha2s[digest].rsa);
        pki_der_put(out, PKI_DER_NULL, NULL, 0);
        pki_der_put_close(out, mark);
        return lest_buf_status(out, err);
    }
    const EVP_MD *md = pki_signature_digest(by->algorithm, &key_type);
    if (md && md != pki_digest_get0(pki_sha2s[digest].digest))
        return lest_error_set(err, LEST_E_CMC_SIGNATURE, "CMC: the signature has another digest");
    if (!md && pki_signature_digest_bits(by->algorithm) < 0)
        return lest_error_set(err, LEST_E_CMC_SIGNATURE, "CMC: the signature's algorithm is unknown");
    lest_buf_append(out, by->algorithm.data, by->algorithm.len);
    return lest_buf_status(out, err);
}

static enum lest_status verify_with(const struct pki_signed_by *by, struct pki_bytes spki,
                                    struct pki_bytes algorithm, struct lest_error *err)
{
    struct pki_der_doc doc = {
        .noun = "CMC", .malformed = LEST_E_CMC_SIGNATURE, .err = err, .start = spki.data
    };
    struct pki_spki key;
    struct lest_buf data;
    struct pki_verifier *verifier = NULL;
    lest_buf_init(&data, SIGNED_MAX);
    /* "the EXPLICIT SET OF tag is used" for what is signed (RFC 5652 5.4). */
    pki_der_put(&data, PKI_DER_SET, by->attributes.data, by->attributes.len);
    enum lest_status status = lest_buf_status(&data, err);
    if (status)
        goto out;
    if (pki_spki_read(&doc, spki, &key))
        verifier = pki_verifier_new(&doc, &key);
    status = verifier ? LEST_OK : doc.status;
    if (!status && pki_verifier_security_bits(verifier) < PKI_SECURITY_BITS_MIN)
        status = lest_error_set(err, LEST_E_CMC_SIGNATURE, "CMC: the signer's key is too weak");
    if (!status)
        status = pki_verifier_verify(verifier, algorithm, by->signature,
                                     (struct pki_bytes){ data.data, data.len }, LEST_E_CMC_SIGNATURE, err);
out:
    pki_verifier_free(verifier);
    lest_buf_free(&data);
    return status;
}

enum lest_status pki_signed_verify(const struct pki_pkcs7 *message, const struct pki_signed_by *by,
                                   struct pki_bytes spki, struct lest_error *err)
{
    struct lest_buf algorithm;
    size_t digest = pki_sha2_find(by->digest);
    if (digest == PKI_SHA2S)
        return lest_error_set(err, LEST_E_CMC_SIGNATURE, "CMC: the digest is none of SHA-2");
    enum lest_status status = check_content(message, by, digest, err);
    if (status)
        return status;
    lest_buf_init(&algorithm, SIGNED_MAX);
    status = put_algorithm(by, digest, &algorithm, err);
    if (!status)
        status = verify_with(by, spki, (struct pki_bytes){ algorithm.data, algorithm.len }, err);
    lest_buf_free(&algorithm);
    return status;
}
