/* Writing CSR attributes. */
#include "pki/error.h"
#include "pki/key/key.h"
#include "pki/x509/csrattrs.h"
#include "pki/x509/template.h"

#include <openssl/ec.h>
#include <openssl/objects.h>

#include <stdlib.h>
#include <string.h>

static enum lest_status unsupported(struct lest_error *err, const char *spec)
{
    pki_error_clear();
    return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "a key of the kind '%.60s' cannot be asked for", spec);
}

static enum lest_status put_curve(struct lest_buf *out, const char *spec, const char *curve,
                                  struct lest_error *err)
{
    int nid = EC_curve_nist2nid(curve);
    if (nid == NID_undef)
        nid = OBJ_txt2nid(curve);
    /* OpenSSL has names for all sorts of identifiers. */
    EC_GROUP *group = nid == NID_undef ? NULL : EC_GROUP_new_by_curve_name(nid);
    const ASN1_OBJECT *object = group ? OBJ_nid2obj(nid) : NULL;
    EC_GROUP_free(group);
    if (!object)
        return unsupported(err, spec);
    struct pki_attr_mark attribute = pki_attr_put_open(out, PKI_OID_EC_PUBLIC_KEY);
    pki_der_put(out, PKI_DER_OID, OBJ_get0_data(object), OBJ_length(object));
    pki_attr_put_close(out, attribute);
    return lest_buf_status(out, err);
}

static enum lest_status put_size(struct lest_buf *out, const char *spec, const char *digits,
                                 struct lest_error *err)
{
    char *end;
    long bits = strtol(digits, &end, 10);
    if (digits[0] < '1' || digits[0] > '9' || *end || bits < PKI_RSA_BITS_MIN || bits > PKI_RSA_BITS_MAX)
        return unsupported(err, spec);
    struct pki_attr_mark attribute = pki_attr_put_open(out, PKI_OID_RSA);
    pki_der_put_small(out, bits);
    pki_attr_put_close(out, attribute);
    return lest_buf_status(out, err);
}

void pki_csrattrs_put_extensions(struct lest_buf *out, struct pki_bytes extensions)
{
    struct pki_attr_mark attribute = pki_attr_put_open(out, PKI_OID_EXTENSION_REQUEST);
    pki_der_put(out, PKI_DER_SEQUENCE, extensions.data, extensions.len);
    pki_attr_put_close(out, attribute);
}

/* OpenSSL's number for an algorithm by the names of this project. */
static int algorithm_nid(const char *spec)
{
    if (strncmp(spec, "ec:", 3) == 0)
        return NID_X9_62_id_ecPublicKey;
    if (strncmp(spec, "rsa:", 4) == 0)
        return NID_rsaEncryption;
    if (strcmp(spec, "ed25519") == 0)
        return NID_ED25519;
    if (strcmp(spec, "ed448") == 0)
        return NID_ED448;
    return OBJ_txt2nid(spec);
}

enum lest_status pki_csrattrs_put_key(struct lest_buf *out, const char *spec, struct lest_error *err)
{
    pki_error_clear();
    if (strncmp(spec, "ec:", 3) == 0)
        return put_curve(out, spec, spec + 3, err);
    if (strncmp(spec, "rsa:", 4) == 0)
        return put_size(out, spec, spec + 4, err);
    int nid = algorithm_nid(spec);
    /* These say nothing without a curve or a size, which RFC 9908 3.2 wants in an attribute. */
    if (nid == NID_X9_62_id_ecPublicKey || nid == NID_rsaEncryption || nid == NID_rsa)
        return unsupported(err, spec);
    const ASN1_OBJECT *object = nid == NID_undef ? NULL : OBJ_nid2obj(nid);
    if (!object)
        return unsupported(err, spec);
    /* It must be read as what it is written for. */
    const struct pki_attr bare = { .oid = { OBJ_get0_data(object), OBJ_length(object) } };
    struct pki_csr_requirements required = { .key = "" };
    const char *problem;
    if (pki_csr_requirements_add(&required, &bare, &problem) != PKI_CSR_REQUIRES_KEY)
        return unsupported(err, spec);
    pki_der_put(out, PKI_DER_OID, bare.oid.data, bare.oid.len);
    return lest_buf_status(out, err);
}

enum lest_status pki_csrattrs_put_digest(struct lest_buf *out, const char *spec, const char *digest,
                                         struct lest_error *err)
{
    int signature = NID_undef;
    pki_error_clear();
    const EVP_MD *md = EVP_get_digestbyname(digest);
    if (!md || !OBJ_find_sigid_by_algs(&signature, EVP_MD_get_type(md), algorithm_nid(spec)) ||
        signature == NID_undef) {
        pki_error_clear();
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "there is no signature of '%.40s' with '%.40s'",
                              spec, digest);
    }
    const ASN1_OBJECT *object = OBJ_nid2obj(signature);
    pki_der_put(out, PKI_DER_OID, OBJ_get0_data(object), OBJ_length(object));
    return lest_buf_status(out, err);
}

static enum lest_status wrong(struct lest_error *err, const char *problem, struct pki_bytes oid)
{
    char text[PKI_OID_TEXT_MAX];
    pki_oid_describe(oid, text);
    return lest_error_set(err, LEST_E_CSRATTRS_MALFORMED, "CSR attributes: %.60s: %s", text, problem);
}

enum lest_status pki_csrattrs_check_ours(struct pki_bytes der, struct lest_error *err)
{
    struct pki_der_doc doc;
    struct pki_der in;
    struct pki_attr attr;
    struct pki_bytes seen[PKI_CSRATTRS_COUNT_MAX];
    size_t count = 0;
    struct pki_csr_requirements required = { .key = "" };
    struct pki_template template;
    bool has_template;
    enum lest_status status = pki_csrattrs_open(der, &doc, &in, err);
    if (!status)
        status = pki_template_find(in, &template, &has_template, err);
    if (status)
        return status;
    while (pki_csrattrs_next(&in, &attr)) {
        const char *problem;
        bool had_key = required.key[0] != '\0';
        enum pki_csr_requirement kind = pki_csr_requirements_add(&required, &attr, &problem);
        if (problem)
            return wrong(err, problem, attr.oid);
        if (kind == PKI_CSR_REQUIRES_KEY && had_key)
            return wrong(err, "a second kind of key", attr.oid);
        if (attr.values.data && attr.values.len == 0)
            return wrong(err, "an attribute without a value", attr.oid);
        for (size_t i = 0; i < count; i++)
            if (pki_bytes_equal(seen[i], attr.oid))
                return wrong(err, "it stands twice", attr.oid);
        seen[count++] = attr.oid;
    }
    return LEST_OK;
}
