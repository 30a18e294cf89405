#include "pki/x509/template.h"

#include "pki/x509/csrattrs.h"

#include <stdio.h>

bool pki_template_open_name(struct pki_template_reader *reader, struct pki_der_doc *doc, struct pki_bytes der)
{
    struct pki_der in;
    *reader = (struct pki_template_reader){ .rdns = { .doc = doc } };
    pki_der_open(&in, doc, der.data, der.len);
    if (der.len > PKI_NAME_MAX)
        return pki_der_fail(&in, "the subject is longer than %d bytes", PKI_NAME_MAX);
    return pki_der_read(&in, PKI_DER_SEQUENCE, "the subject", &reader->rdns) &&
           pki_der_end(&in, "the subject");
}

bool pki_template_next_part(struct pki_template_reader *reader, struct pki_template_part *part)
{
    struct pki_der body;
    struct pki_der_item item, value;
    if (reader->rdns.doc->status || (!reader->rdns.left && !reader->rdn.left))
        return false;
    *part = (struct pki_template_part){ .plus = reader->rdn.left != 0 };
    if (!part->plus) {
        if (!pki_der_read(&reader->rdns, PKI_DER_SET, "an RDN of the subject", &reader->rdn))
            return false;
        if (!reader->rdn.left)
            return pki_der_fail(&reader->rdn, "an RDN of the subject is empty");
    }
    if (++reader->count > PKI_NAME_PARTS_MAX)
        return pki_der_fail(&reader->rdn, "the subject has more than %d parts", PKI_NAME_PARTS_MAX);
    if (!pki_der_item(&reader->rdn, PKI_DER_SEQUENCE, "a part of the subject", &item))
        return false;
    pki_der_enter(&reader->rdn, &item, &body);
    part->whole = item.whole;
    if (!pki_der_oid(&body, "the type of a part of the subject", &part->type))
        return false;
    if (!body.left)
        return true;
    if (!pki_der_item(&body, PKI_DER_ANY, "the value of a part of the subject", &value) ||
        !pki_der_end(&body, "a part of the subject"))
        return false;
    part->value = value.whole;
    return true;
}

static bool read_subject(struct pki_der *in, struct pki_template *out)
{
    struct pki_der_item item;
    struct pki_template_reader reader;
    struct pki_template_part part;
    if (pki_der_peek(in) != PKI_DER_SEQUENCE)
        return true;
    if (!pki_der_item(in, PKI_DER_SEQUENCE, "the subject", &item) ||
        !pki_template_open_name(&reader, in->doc, item.whole))
        return false;
    while (pki_template_next_part(&reader, &part))
        ;
    /* "the subject field MUST be present iff there are demands": an empty one has none. */
    if (reader.count)
        out->subject = item.whole;
    return in->doc->status == LEST_OK;
}

static size_t bits_of(struct pki_bytes modulus)
{
    while (modulus.len && !*modulus.data) {
        modulus.data++;
        modulus.len--;
    }
    size_t bits = modulus.len * 8;
    for (uint8_t mask = 0x80; modulus.len && !(*modulus.data & mask); mask >>= 1)
        bits--;
    return bits;
}

/* "the subjectPublicKey field MUST be present and contain a placeholder public key value of the desired RSA
 * modulus length" (RFC 9908 3.4) */
static bool read_placeholder(struct pki_der *in, char key[PKI_KEY_TYPE_MAX])
{
    struct pki_bytes bits, modulus, exponent;
    struct pki_der inner, numbers;
    unsigned unused;
    if (!pki_der_bits(in, "the placeholder of a key", &bits, &unused))
        return false;
    pki_der_open(&inner, in->doc, bits.data, bits.len);
    if (unused || !pki_der_read(&inner, PKI_DER_SEQUENCE, "the placeholder of a key", &numbers) ||
        !pki_der_end(&inner, "the placeholder of a key") ||
        !pki_der_integer(&numbers, "the placeholder's modulus", &modulus) ||
        !pki_der_integer(&numbers, "the placeholder's exponent", &exponent) ||
        !pki_der_end(&numbers, "the placeholder of a key"))
        return pki_der_fail(in, "the placeholder is no RSA key");
    size_t size = bits_of(modulus);
    if (!size || modulus.data[0] & 0x80 || size > PKI_TEMPLATE_RSA_BITS_MAX)
        return pki_der_fail(in, "the placeholder has a modulus that no key has");
    snprintf(key, PKI_KEY_TYPE_MAX, "rsa:%zu", size);
    return true;
}

static bool read_key(struct pki_der *in, struct pki_template *out)
{
    struct pki_der info, algorithm;
    struct pki_attr kind;
    const char *problem = NULL;
    if (pki_der_peek(in) != (PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 0))
        return true;
    if (!pki_der_read(in, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 0, "subjectPKInfo", &info) ||
        !pki_der_read(&info, PKI_DER_SEQUENCE, "the key's algorithm", &algorithm) ||
        !pki_der_oid(&algorithm, "the key's algorithm", &kind.oid))
        return false;
    bool rsa = pki_oid_is(kind.oid, PKI_OID_RSA);
    if (rsa && pki_der_peek(&algorithm) == PKI_DER_NULL &&
        !pki_der_read(&algorithm, PKI_DER_NULL, "the key's parameters", NULL))
        return false;
    kind.values = (struct pki_bytes){ algorithm.left ? algorithm.at : NULL, algorithm.left };
    if (rsa && algorithm.left)
        return pki_der_fail(&algorithm, "an RSA key has no such parameters");
    if (!pki_csrattrs_key_type(&kind, out->key, &problem)) {
        if (problem)
            return pki_der_fail(&info, "the key's algorithm: %s", problem);
        char oid[PKI_OID_TEXT_MAX];
        pki_oid_describe(kind.oid, oid);
        snprintf(out->key, sizeof out->key, "%.*s", PKI_KEY_TYPE_MAX - 1, oid);
    }
    if (!info.left)
        return true;
    if (!rsa)
        return pki_der_fail(&info, "subjectPKInfo has a key that is not of RSA");
    return read_placeholder(&info, out->key) && pki_der_end(&info, "subjectPKInfo");
}

static bool check_san(struct pki_der_doc *doc, struct pki_bytes value)
{
    struct pki_san_reader reader;
    struct lest_buf text;
    lest_buf_init(&text, PKI_SAN_MAX * 4);
    pki_san_open(&reader, doc, value.data, value.len);
    reader.openings = true;
    while (pki_san_next(&reader, &text))
        ;
    lest_buf_free(&text);
    return doc->status == LEST_OK;
}

static bool check_extensions(struct pki_der list)
{
    struct pki_ext ext;
    if (!pki_ext_check_template(list))
        return false;
    while (list.left && pki_ext_next_template(&list, &ext))
        if (ext.value.data && pki_oid_is(ext.oid, PKI_OID_SAN) && !check_san(list.doc, ext.value))
            return false;
    return true;
}

/* The value of one of the two attributes of extensions: a list. is_template takes openings in it. */
static bool read_extensions(struct pki_der_doc *doc, struct pki_bytes values, bool is_template,
                            struct pki_template *out)
{
    struct pki_der in, list;
    pki_der_open(&in, doc, values.data, values.len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the extensions", &list) || !pki_der_end(&in, "the extensions"))
        return false;
    /* The identifier of a bare ExtensionTemplate stands where a list has its first SEQUENCE. */
    if (is_template && pki_der_peek(&list) == PKI_DER_OID)
        pki_der_open(&list, doc, values.data, values.len);
    if (!list.left)
        return pki_der_fail(&list, "the list of extensions is empty");
    out->extensions = (struct pki_bytes){ list.at, list.left };
    return is_template ? check_extensions(list) : pki_ext_check(list);
}

static bool read_attributes(struct pki_der *in, struct pki_template *out)
{
    struct pki_der list;
    struct pki_attr attr;
    size_t count = 0;
    if (!pki_der_read(in, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 1, "the attributes", &list))
        return false;
    out->attributes = (struct pki_bytes){ list.at, list.left };
    while (list.left) {
        if (++count > PKI_TEMPLATE_ATTRIBUTES_MAX)
            return pki_der_fail(&list, "there are more than %d attributes", PKI_TEMPLATE_ATTRIBUTES_MAX);
        if (!pki_attr_next(&list, &attr))
            return false;
        bool is_template = pki_oid_is(attr.oid, PKI_OID_EXTENSION_TEMPLATE);
        if (!is_template && !pki_oid_is(attr.oid, PKI_OID_EXTENSION_REQUEST))
            continue;
        if (out->extensions.data)
            return pki_der_fail(&list, "it has two attributes of extensions");
        if (!read_extensions(in->doc, attr.values, is_template, out))
            return false;
    }
    return true;
}

enum lest_status pki_template_read(struct pki_bytes der, struct pki_template *out, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "CSR template", .malformed = LEST_E_CSRATTRS_MALFORMED, .err = err };
    struct pki_der in, body;
    int64_t version;
    *out = (struct pki_template){ .key = "" };
    pki_der_open(&in, &doc, der.data, der.len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the template", &body) || !pki_der_end(&in, "the template") ||
        !pki_der_small(&body, "the version", &version))
        return doc.status;
    if (version != 0)
        pki_der_fail(&body, "it has version %lld, not 0", (long long)version);
    else if (read_subject(&body, out) && read_key(&body, out) && read_attributes(&body, out))
        pki_der_end(&body, "the template");
    return doc.status;
}

enum lest_status pki_template_find(struct pki_der in, struct pki_template *out, bool *found,
                                   struct lest_error *err)
{
    struct pki_attr attr;
    struct pki_der_doc doc;
    struct pki_bytes whole;
    *found = false;
    while (pki_csrattrs_next(&in, &attr)) {
        if (!pki_oid_is(attr.oid, PKI_OID_CSR_TEMPLATE))
            continue;
        if (*found)
            return lest_error_set(err, LEST_E_CSRATTRS_MALFORMED, "CSR attributes: there are two templates");
        if (!pki_csrattrs_value(&attr, &doc, &whole))
            return lest_error_set(err, LEST_E_CSRATTRS_MALFORMED,
                                  "CSR attributes: the template is not one value");
        *found = true;
        enum lest_status status = pki_template_read(whole, out, err);
        if (status)
            return status;
    }
    return LEST_OK;
}
