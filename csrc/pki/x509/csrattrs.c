#include "pki/x509/csrattrs.h"

#include "pki/asn1/ext.h"
#include "pki/error.h"
#include "pki/key/curve.h"

#include <openssl/evp.h>
#include <openssl/objects.h>

#include <ctype.h>
#include <stdio.h>

static bool read_element(struct pki_der *in, struct pki_attr *attr)
{
    if (pki_der_peek(in) == PKI_DER_OID) {
        attr->values = (struct pki_bytes){ NULL, 0 };
        return pki_der_oid(in, "an element", &attr->oid);
    }
    if (pki_der_peek(in) != PKI_DER_SEQUENCE)
        return pki_der_fail(in, "an element is neither an OID nor an attribute");
    return pki_attr_next(in, attr);
}

static bool check(struct pki_der in)
{
    size_t elements = PKI_CSRATTRS_ELEMENTS_MAX;
    for (size_t count = 0; in.left; count++) {
        struct pki_attr attr;
        struct pki_der values;
        if (count == PKI_CSRATTRS_COUNT_MAX)
            return pki_der_fail(&in, "there are more than %d elements", PKI_CSRATTRS_COUNT_MAX);
        if (!read_element(&in, &attr))
            return false;
        if (!attr.values.data)
            continue;
        pki_der_open(&values, in.doc, attr.values.data, attr.values.len);
        if (!pki_der_check(values, "an attribute's value", PKI_CSRATTRS_DEPTH_MAX, &elements))
            return false;
    }
    return true;
}

enum lest_status pki_csrattrs_open(struct pki_bytes der, struct pki_der_doc *doc, struct pki_der *in,
                                   struct lest_error *err)
{
    struct pki_der whole;
    *doc =
        (struct pki_der_doc){ .noun = "CSR attributes", .malformed = LEST_E_CSRATTRS_MALFORMED, .err = err };
    if (der.len > PKI_CSRATTRS_MAX)
        return lest_error_set(err, LEST_E_TOO_LARGE, "CSR attributes: more than %d bytes", PKI_CSRATTRS_MAX);
    pki_der_open(&whole, doc, der.data, der.len);
    if (!pki_der_read(&whole, PKI_DER_SEQUENCE, "the list", in) || !pki_der_end(&whole, "the list") ||
        !check(*in))
        return doc->status;
    return LEST_OK;
}

bool pki_csrattrs_next(struct pki_der *in, struct pki_attr *attr)
{
    return in->left && read_element(in, attr);
}

bool pki_csrattrs_value(const struct pki_attr *attr, struct pki_der_doc *doc, struct pki_bytes *value)
{
    struct pki_der in;
    struct pki_der_item item;
    *doc = (struct pki_der_doc){ .noun = "CSR attributes", .malformed = LEST_E_CSRATTRS_MALFORMED };
    if (!attr->values.data)
        return false;
    pki_der_open(&in, doc, attr->values.data, attr->values.len);
    if (!pki_der_item(&in, PKI_DER_ANY, "the value", &item) || !pki_der_end(&in, "the value"))
        return false;
    *value = item.whole;
    return true;
}

/* The one value of an attribute, entered for reading. */
static bool only_value(const struct pki_attr *attr, struct pki_der_doc *doc, struct pki_der *value)
{
    struct pki_bytes whole;
    if (!pki_csrattrs_value(attr, doc, &whole))
        return false;
    pki_der_open(value, doc, whole.data, whole.len);
    return true;
}

/* The names of pki_public_type. */
static void name_curve(struct pki_bytes oid, char key[PKI_KEY_TYPE_MAX])
{
    char text[PKI_OID_TEXT_MAX];
    enum pki_curve curve = pki_curve_by_oid(oid);
    pki_oid_describe(oid, text);
    snprintf(key, PKI_KEY_TYPE_MAX, "ec:%.*s", PKI_KEY_TYPE_MAX - 4,
             curve == PKI_CURVE_COUNT ? text : pki_curve_name(curve));
}

static bool ec_key(const struct pki_attr *attr, char key[PKI_KEY_TYPE_MAX], const char **problem)
{
    struct pki_der_doc doc;
    struct pki_der value;
    struct pki_bytes curve;
    if (attr->values.len == 0) {
        snprintf(key, PKI_KEY_TYPE_MAX, "ec");
        return true;
    }
    if (!only_value(attr, &doc, &value) || !pki_der_oid(&value, "the curve", &curve)) {
        *problem = "its value is not one curve";
        return false;
    }
    name_curve(curve, key);
    return true;
}

static bool rsa_key(const struct pki_attr *attr, char key[PKI_KEY_TYPE_MAX], const char **problem)
{
    struct pki_der_doc doc;
    struct pki_der value;
    int64_t bits;
    if (attr->values.len == 0) {
        snprintf(key, PKI_KEY_TYPE_MAX, "rsa");
        return true;
    }
    if (!only_value(attr, &doc, &value) || !pki_der_small(&value, "the size", &bits) || bits == 0) {
        *problem = "its value is not one size";
        return false;
    }
    snprintf(key, PKI_KEY_TYPE_MAX, "rsa:%lld", (long long)bits);
    return true;
}

/* An algorithm that needs no parameters, by asking OpenSSL's providers for its identifier. */
static bool other_key(const struct pki_attr *attr, char key[PKI_KEY_TYPE_MAX])
{
    char oid[PKI_OID_TEXT_MAX];
    /* id-RSASSA-PSS alone requires a signature. */
    if (attr->values.len || pki_oid_is(attr->oid, PKI_OID_RSA_PSS))
        return false;
    if (pki_oid_is(attr->oid, PKI_OID_ED25519) || pki_oid_is(attr->oid, PKI_OID_ED448)) {
        snprintf(key, PKI_KEY_TYPE_MAX, pki_oid_is(attr->oid, PKI_OID_ED448) ? "ed448" : "ed25519");
        return true;
    }
    pki_oid_text(attr->oid, oid);
    EVP_KEYMGMT *algorithm = EVP_KEYMGMT_fetch(NULL, oid, NULL);
    const char *name = algorithm ? EVP_KEYMGMT_get0_name(algorithm) : NULL;
    if (name)
        snprintf(key, PKI_KEY_TYPE_MAX, "%s", name);
    EVP_KEYMGMT_free(algorithm);
    pki_error_clear();
    return name != NULL;
}

bool pki_csrattrs_key_type(const struct pki_attr *attr, char key[PKI_KEY_TYPE_MAX], const char **problem)
{
    *problem = NULL;
    if (pki_oid_is(attr->oid, PKI_OID_EC_PUBLIC_KEY))
        return ec_key(attr, key, problem);
    if (pki_oid_is(attr->oid, PKI_OID_RSA))
        return rsa_key(attr, key, problem);
    return other_key(attr, key);
}

static void put_lower(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
    for (; *out; out++)
        *out = (char)tolower((unsigned char)*out);
}

static bool signature(const struct pki_attr *attr, struct pki_csr_requirements *required, bool *has_digest)
{
    int nid = pki_oid_nid(attr->oid), digest = NID_undef, algorithm = NID_undef;
    *has_digest = false;
    if (attr->values.data || nid == NID_undef || !OBJ_find_sigid_algs(nid, &digest, &algorithm))
        return false;
    *has_digest = digest != NID_undef;
    if (required->signature_count == PKI_CSR_SIGNATURES_MAX)
        return true;
    struct pki_csr_signature *found = &required->signatures[required->signature_count++];
    snprintf(found->name, sizeof found->name, "%s", OBJ_nid2sn(nid));
    if (*has_digest)
        put_lower(found->digest, sizeof found->digest, OBJ_nid2sn(digest));
    put_lower(found->key, sizeof found->key,
              algorithm == NID_X9_62_id_ecPublicKey ? "ec"
              : algorithm == NID_rsaEncryption      ? "rsa"
                                                    : OBJ_nid2sn(algorithm));
    return true;
}

/* RFC 9908 3.2: exactly one value, of type Extensions. */
static bool extensions(const struct pki_attr *attr, struct pki_csr_requirements *required,
                       const char **problem)
{
    struct pki_der_doc doc;
    struct pki_der value, list;
    *problem = "its value is not one list of extensions";
    if (!only_value(attr, &doc, &value) || !pki_der_read(&value, PKI_DER_SEQUENCE, "the extensions", &list) ||
        !list.left || !pki_ext_check(list))
        return false;
    if (required->extensions.data) {
        *problem = "it stands twice";
        return false;
    }
    *problem = NULL;
    required->extensions = (struct pki_bytes){ list.at, list.left };
    return true;
}

enum pki_csr_requirement pki_csr_requirements_add(struct pki_csr_requirements *required,
                                                  const struct pki_attr *attr, const char **problem)
{
    char key[PKI_KEY_TYPE_MAX] = "";
    *problem = NULL;
    enum pki_challenge_kind challenge = pki_challenge_find(attr->oid);
    if (challenge < PKI_CHALLENGE_COUNT) {
        required->challenges[challenge] = true;
        return PKI_CSR_REQUIRES_CHALLENGE;
    }
    if (pki_oid_is(attr->oid, PKI_OID_EXTENSION_REQUEST))
        return extensions(attr, required, problem) ? PKI_CSR_REQUIRES_EXTENSIONS : PKI_CSR_REQUIRES_UNKNOWN;
    /* One identifier may name both, as that of Ed25519 does. */
    bool has_digest = false, is_signature = signature(attr, required, &has_digest);
    bool is_key = !has_digest && pki_csrattrs_key_type(attr, key, problem);
    if (*problem)
        return PKI_CSR_REQUIRES_UNKNOWN;
    if (is_key && !required->key[0])
        snprintf(required->key, sizeof required->key, "%s", key);
    return is_key         ? PKI_CSR_REQUIRES_KEY
           : is_signature ? PKI_CSR_REQUIRES_SIGNATURE
                          : PKI_CSR_REQUIRES_UNKNOWN;
}
