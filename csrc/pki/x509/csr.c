#include "pki/x509/csr.h"

#include "pki/asn1/input.h"
#include "pki/asn1/name.h"
#include "pki/asn1/san.h"
#include "pki/error.h"
#include "pki/key/signature.h"
#include "pki/x509/crmf.h"

#include <stdlib.h>
#include <string.h>

/* Bounds of the values of attributes and extensions, which are passed on and not read. */
enum { DEPTH_MAX = 24 };

void pki_csr_free(struct pki_csr *csr)
{
    if (!csr)
        return;
    pki_verifier_free(csr->verifier);
    lest_buf_free(&csr->storage);
    lest_buf_free(&csr->spki_storage);
    lest_buf_free(&csr->key_storage);
    for (size_t i = 0; i < PKI_CHALLENGE_COUNT; i++)
        pki_challenge_clear(&csr->challenges[i]);
    free(csr);
}

static bool is_asked(const struct pki_csr_change *change)
{
    return change->subject.data || change->san.data;
}

/* Both fields of ChangeSubjectName are optional and untagged SEQUENCEs (RFC 6402 2.8): what is in a Name
 * are SETs, in GeneralNames elements with a tag of their context. */
static bool read_change(struct pki_csr *csr, struct pki_der values)
{
    struct pki_csr_change *change = &csr->change;
    struct pki_der_item item, part;
    struct pki_der in, at = values;
    if (is_asked(change))
        return pki_der_fail(&values, "ChangeSubjectName stands twice");
    if (!pki_attr_single(&values, "ChangeSubjectName", &item))
        return false;
    if (item.tag != PKI_DER_SEQUENCE)
        return pki_der_fail(&at, "ChangeSubjectName is no sequence of names");
    pki_der_enter(&at, &item, &in);
    while (in.left) {
        if (!pki_der_item(&in, PKI_DER_SEQUENCE, "the names of ChangeSubjectName", &part))
            return false;
        bool is_san = part.body.len && part.body.data[0] & PKI_DER_CONTEXT;
        if (change->san.data || (!is_san && change->subject.data))
            return pki_der_fail(&in, "ChangeSubjectName has more than a subject and alternative names");
        *(is_san ? &change->san : &change->subject) = part.whole;
        if (is_san ? !pki_san_check(in.doc, part.whole.data, part.whole.len)
                   : !pki_name_check(in.doc, part.whole.data, part.whole.len))
            return false;
    }
    return is_asked(change) || pki_der_fail(&in, "ChangeSubjectName names nothing");
}

static bool read_extension(struct pki_csr *csr, struct pki_der *in, size_t *elements)
{
    struct pki_ext ext;
    struct pki_der value;
    if (!pki_ext_next(in, &ext))
        return false;
    pki_der_open(&value, in->doc, ext.value.data, ext.value.len);
    if (pki_oid_is(ext.oid, PKI_OID_SAN)) {
        csr->san = ext.value;
        return pki_san_check(in->doc, ext.value.data, ext.value.len);
    }
    if (pki_oid_is(ext.oid, PKI_OID_KEY_USAGE))
        return pki_ext_key_usage(&value, &csr->key_usage);
    if (pki_oid_is(ext.oid, PKI_OID_EKU))
        return pki_ext_eku(&value, &csr->eku);
    /* Of any other the bytes are shown and passed on, whatever they are. */
    struct pki_der_doc trial = { .noun = "value", .malformed = LEST_E_MALFORMED };
    value.doc = &trial;
    return pki_der_check(value, "an extension's value", DEPTH_MAX, elements) ||
           pki_der_tolerates(in, PKI_FLAW_EXTENSION);
}

static bool read_extension_request(struct pki_csr *csr, struct pki_der values, size_t *elements)
{
    struct pki_der_item item;
    struct pki_der in;
    if (csr->extensions.data)
        return pki_der_fail(&values, "extensionRequest stands twice");
    struct pki_der at = values;
    if (!pki_attr_single(&values, "extensionRequest", &item))
        return false;
    if (item.tag != PKI_DER_SEQUENCE)
        return pki_der_fail(&at, "extensionRequest is no list of extensions");
    pki_der_enter(&at, &item, &in);
    return pki_csr_read_extensions(csr, in, elements);
}

bool pki_csr_read_extensions(struct pki_csr *csr, struct pki_der in, size_t *elements)
{
    size_t count = 0;
    csr->extensions = (struct pki_bytes){ in.at, in.left };
    if (!pki_ext_check(in))
        return false;
    while (in.left) {
        if (++count > PKI_CSR_EXTENSIONS_MAX)
            return pki_der_fail(&in, "there are more than %d extensions", PKI_CSR_EXTENSIONS_MAX);
        if (!read_extension(csr, &in, elements))
            return false;
    }
    return true;
}

static bool check_values(struct pki_der values)
{
    struct pki_der_item item;
    for (size_t n = 0; values.left;)
        if (++n > PKI_CSR_VALUES_MAX)
            return pki_der_fail(&values, "an attribute has more than %d values", PKI_CSR_VALUES_MAX);
        else if (!pki_der_item(&values, PKI_DER_ANY, "an attribute's value", &item))
            return false;
    return true;
}

static bool read_attribute(struct pki_csr *csr, struct pki_der_doc *doc, const struct pki_attr *attribute,
                           size_t *elements)
{
    struct pki_der values;
    enum pki_challenge_kind challenge = pki_challenge_find(attribute->oid);
    pki_der_open(&values, doc, attribute->values.data, attribute->values.len);
    if (!pki_der_check(values, "an attribute's value", DEPTH_MAX, elements))
        return false;
    if (challenge < PKI_CHALLENGE_COUNT)
        return pki_challenge_read(challenge, values, &csr->challenges[challenge]);
    if (pki_oid_is(attribute->oid, PKI_OID_CHANGE_SUBJECT_NAME))
        return read_change(csr, values);
    /* A CRMF request has its extensions in its template. */
    if (csr->form == PKI_CSR_PKCS10 && (pki_oid_is(attribute->oid, PKI_OID_EXTENSION_REQUEST) ||
                                        pki_oid_is(attribute->oid, PKI_OID_MS_EXTENSION_REQUEST)))
        return read_extension_request(csr, values, elements);
    return check_values(values);
}

bool pki_csr_next_attribute(const struct pki_csr *csr, struct pki_der *in, struct pki_attr *attribute)
{
    return csr->form == PKI_CSR_CRMF ? pki_crmf_next_control(in, attribute) : pki_attr_next(in, attribute);
}

bool pki_csr_read_attributes(struct pki_csr *csr, struct pki_der in, size_t *elements)
{
    struct pki_attr attribute;
    csr->attributes = (struct pki_bytes){ in.at, in.left };
    for (size_t count = 0; in.left;) {
        if (++count > PKI_CSR_ATTRIBUTES_MAX)
            return pki_der_fail(&in, "there are more than %d attributes", PKI_CSR_ATTRIBUTES_MAX);
        if (!pki_csr_next_attribute(csr, &in, &attribute) ||
            !read_attribute(csr, in.doc, &attribute, elements))
            return false;
    }
    return true;
}

bool pki_csr_read_key(struct pki_csr *csr, struct pki_der_doc *doc, struct pki_bytes whole)
{
    if (!pki_spki_read(doc, whole, &csr->key))
        return false;
    csr->spki = pki_spki_canonical(&csr->key, &csr->spki_storage);
    return true;
}

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

bool pki_csr_read_proof(struct pki_csr *csr, struct pki_der *body)
{
    struct pki_der algorithm_body;
    struct pki_der_item algorithm;
    struct pki_bytes oid;
    unsigned unused;
    size_t elements = 64;
    if (!pki_der_item(body, PKI_DER_SEQUENCE, "the signature algorithm", &algorithm))
        return false;
    pki_der_enter(body, &algorithm, &algorithm_body);
    csr->algorithm = algorithm.whole;
    if (!pki_der_check(algorithm_body, "the signature algorithm", DEPTH_MAX, &elements) ||
        !pki_der_oid(&algorithm_body, "the signature algorithm", &oid))
        return false;
    csr->is_unsigned = pki_oid_is(oid, PKI_OID_NO_SIGNATURE);
    struct pki_der at = *body;
    if (!pki_der_bits(body, "the signature", &csr->signature, &unused) || !pki_der_end(body, "the signature"))
        return false;
    return unused == 0 || pki_der_fail(&at, "the signature is not a number of whole bytes");
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

static enum lest_status need_verifier(struct pki_csr *csr, struct lest_error *err)
{
    const uint8_t *start = csr->form == PKI_CSR_CRMF ? csr->key.whole.data : csr->der.data;
    struct pki_der_doc doc = { .noun = "CSR", .malformed = LEST_E_CSR_MALFORMED, .err = err, .start = start };
    if (!csr->verifier)
        csr->verifier = pki_verifier_new(&doc, &csr->key);
    return doc.status;
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
    return how == PKI_CSR_KEY_LATER ? LEST_OK : need_verifier(csr, err);
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

void pki_csr_describe_key(const struct pki_csr *csr, char type[PKI_KEY_TYPE_MAX], int *security_bits)
{
    if (!csr->verifier) {
        pki_public_describe(csr->key.whole, type, security_bits);
        return;
    }
    pki_verifier_type(csr->verifier, type);
    *security_bits = pki_verifier_security_bits(csr->verifier);
}

void pki_csr_key_type(const struct pki_csr *csr, char type[PKI_KEY_TYPE_MAX])
{
    int bits;
    if (!pki_spki_type(&csr->key, type))
        pki_csr_describe_key(csr, type, &bits);
}

static enum lest_status check_key(const struct pki_csr *csr, bool allow_weak, struct lest_error *err)
{
    char type[PKI_KEY_TYPE_MAX];
    const struct pki_rsa *rsa = &csr->key.rsa;
    int bits = pki_verifier_security_bits(csr->verifier);
    bool weak = !allow_weak && bits < PKI_SECURITY_BITS_MIN;
    bool sound = !rsa->modulus.data || (pki_rsa_bits(rsa) <= PKI_CSR_RSA_BITS_MAX && pki_rsa_sound(rsa));
    if (!weak && sound)
        return LEST_OK;
    pki_verifier_type(csr->verifier, type);
    if (weak)
        return lest_error_set(err, LEST_E_CSR_WEAK,
                              "CSR: the key %s is too weak (%d bits of security, %d are needed)", type, bits,
                              PKI_SECURITY_BITS_MIN);
    return lest_error_set(err, LEST_E_CSR_WEAK, "CSR: the key %s has over %d bits or an unsound exponent",
                          type, PKI_CSR_RSA_BITS_MAX);
}

enum lest_status pki_csr_verify(struct pki_csr *csr, bool allow_weak, struct lest_error *err)
{
    char name[PKI_OID_TEXT_MAX];
    if (csr->is_unsigned)
        return lest_error_set(err, LEST_E_CSR_UNPROVEN,
                              "CSR: no signature proves that the sender has the private key");
    int digest_bits = allow_weak ? 0 : pki_signature_digest_bits(csr->algorithm);
    enum lest_status status = need_verifier(csr, err);
    if (status == LEST_OK)
        status = check_key(csr, allow_weak, err);
    if (status)
        return status;
    if (digest_bits != 0 && digest_bits < PKI_SECURITY_BITS_MIN) {
        pki_signature_name(csr->algorithm, name);
        return lest_error_set(err, LEST_E_CSR_WEAK, "CSR: the signature algorithm %.100s is %s", name,
                              digest_bits < 0 ? "unknown" : "too weak");
    }
    status = pki_verifier_verify(csr->verifier, csr->algorithm, csr->signature, csr->info,
                                 LEST_E_CSR_SIGNATURE, err);
    /* The next request finds it idle, however long Lua keeps this one. */
    pki_verifier_free(csr->verifier);
    csr->verifier = NULL;
    return status;
}
