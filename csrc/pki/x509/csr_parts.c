#include "pki/x509/csr_parts.h"

#include "pki/asn1/name.h"
#include "pki/asn1/san.h"
#include "pki/error.h"

/* Bound of the values of attributes and extensions, which are passed on and not read. */
enum { DEPTH_MAX = 24 };

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

/* Of CRMF: its one value stands for the set that an attribute has. */
static bool next_control(struct pki_der *in, struct pki_attr *control)
{
    struct pki_der body;
    struct pki_der_item value;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "a control", &body) ||
        !pki_der_oid(&body, "a control's type", &control->oid) ||
        !pki_der_item(&body, PKI_DER_ANY, "a control's value", &value) || !pki_der_end(&body, "a control"))
        return false;
    control->values = value.whole;
    return true;
}

bool pki_csr_next_attribute(const struct pki_csr *csr, struct pki_der *in, struct pki_attr *attribute)
{
    return csr->form == PKI_CSR_CRMF ? next_control(in, attribute) : pki_attr_next(in, attribute);
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

static bool has_no_subject(const struct pki_csr_plan *plan)
{
    return !plan->subject.data || pki_name_is_empty(plan->subject);
}

void pki_csr_put_extensions(const struct pki_csr_plan *plan, struct lest_buf *out)
{
    struct pki_ext_mark mark;
    if (plan->key_usage) {
        mark = pki_ext_put_open(out, PKI_OID_KEY_USAGE, true);
        pki_der_put_named_bits(out, plan->key_usage);
        pki_ext_put_close(out, mark);
    }
    if (plan->eku.data) {
        mark = pki_ext_put_open(out, PKI_OID_EKU, false);
        pki_der_put(out, PKI_DER_SEQUENCE, plan->eku.data, plan->eku.len);
        pki_ext_put_close(out, mark);
    }
    /* RFC 5280 4.2.1.6: critical where the names stand here alone. */
    if (plan->san.data)
        pki_ext_put(out, PKI_OID_SAN, has_no_subject(plan), plan->san);
    lest_buf_append(out, plan->extensions.data, plan->extensions.len);
}

void pki_csr_put_others(const struct pki_csr_plan *plan, struct lest_buf *out)
{
    for (enum pki_challenge_kind kind = 0; kind < PKI_CHALLENGE_COUNT; kind++)
        pki_challenge_put(kind, plan->challenges[kind], out);
    if (plan->change.subject.data || plan->change.san.data) {
        struct pki_attr_mark attribute = pki_attr_put_open(out, PKI_OID_CHANGE_SUBJECT_NAME);
        size_t change = pki_der_put_open(out, PKI_DER_SEQUENCE);
        lest_buf_append(out, plan->change.subject.data, plan->change.subject.len);
        lest_buf_append(out, plan->change.san.data, plan->change.san.len);
        pki_der_put_close(out, change);
        pki_attr_put_close(out, attribute);
    }
    lest_buf_append(out, plan->attributes.data, plan->attributes.len);
}
