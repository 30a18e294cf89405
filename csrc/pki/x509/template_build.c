/* Writing templates. */
#include "pki/error.h"
#include "pki/x509/csrattrs.h"
#include "pki/x509/template.h"

#include <stdlib.h>
#include <string.h>

/* A part with its value, as it stands in a Name. */
static enum lest_status put_stated(struct lest_buf *out, const struct pki_name_part *part,
                                   struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "name", .malformed = LEST_E_NAME_MALFORMED, .err = err };
    struct pki_template_reader reader;
    struct pki_template_part alone;
    struct pki_name_part first = *part;
    struct lest_buf name;
    first.plus = false;
    lest_buf_init(&name, PKI_NAME_MAX);
    enum lest_status status = pki_name_encode(&first, 1, &name, err);
    if (!status && pki_template_open_name(&reader, &doc, (struct pki_bytes){ name.data, name.len }) &&
        pki_template_next_part(&reader, &alone))
        lest_buf_append(out, alone.whole.data, alone.whole.len);
    lest_buf_free(&name);
    return status ? status : doc.status;
}

static enum lest_status put_part(struct lest_buf *out, const struct pki_name_part *part,
                                 struct lest_error *err)
{
    if (part->value)
        return put_stated(out, part, err);
    size_t whole = pki_der_put_open(out, PKI_DER_SEQUENCE);
    enum lest_status status = pki_oid_put_text(out, part->type, part->type_len, err);
    pki_der_put_close(out, whole);
    return status;
}

/* "The subject field MUST be present iff the server places any requirements on the RDNs" (RFC 9908 3.4) */
static enum lest_status put_subject(struct lest_buf *out, const struct pki_template_plan *plan,
                                    struct lest_error *err)
{
    enum lest_status status = LEST_OK;
    if (!plan->subject_count)
        return LEST_OK;
    size_t name = pki_der_put_open(out, PKI_DER_SEQUENCE);
    for (size_t i = 0; !status && i < plan->subject_count;) {
        size_t rdn = pki_der_put_open(out, PKI_DER_SET);
        do
            status = put_part(out, &plan->subject[i], err);
        while (!status && ++i < plan->subject_count && plan->subject[i].plus);
        pki_der_put_sort(out, rdn);
        pki_der_put_close(out, rdn);
    }
    pki_der_put_close(out, name);
    return status;
}

/* An odd number of the size that shows that it is no key. */
static enum lest_status put_placeholder(struct lest_buf *out, int64_t bits, struct lest_error *err)
{
    uint8_t modulus[PKI_TEMPLATE_RSA_BITS_MAX / 8] = { 0 };
    size_t len = (size_t)(bits + 7) / 8;
    struct lest_buf key;
    if (len > sizeof modulus)
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "an RSA key of that size cannot be asked for");
    modulus[0] = (uint8_t)(1u << (bits - 1) % 8);
    modulus[len - 1] |= 1;
    lest_buf_init(&key, sizeof modulus + 64);
    lest_buf_append_byte(&key, 0); /* no unused bits */
    size_t numbers = pki_der_put_open(&key, PKI_DER_SEQUENCE);
    pki_der_put_unsigned(&key, PKI_DER_INTEGER, modulus, len);
    pki_der_put_small(&key, 65537);
    pki_der_put_close(&key, numbers);
    pki_der_put(out, PKI_DER_BIT_STRING, key.data, key.len);
    enum lest_status status = lest_buf_status(&key, err);
    lest_buf_free(&key);
    return status;
}

/* The kind of key as an element of CSR attributes has it (RFC 9908 3.2): identifier, and curve or size. */
static enum lest_status put_key(struct lest_buf *out, const char *spec, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "key", .malformed = LEST_E_KEY_UNSUPPORTED, .err = err };
    struct lest_buf element;
    struct pki_der in, value;
    struct pki_attr attr = { .values = { NULL, 0 } };
    int64_t bits = 0;
    lest_buf_init(&element, 1024);
    enum lest_status status = pki_csrattrs_put_key(&element, spec, err);
    if (status)
        goto out;
    pki_der_open(&in, &doc, element.data, element.len);
    if (!pki_csrattrs_next(&in, &attr)) {
        status = doc.status;
        goto out;
    }
    size_t info = pki_der_put_open(out, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 0);
    size_t algorithm = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put(out, PKI_DER_OID, attr.oid.data, attr.oid.len);
    bool rsa = pki_oid_is(attr.oid, PKI_OID_RSA);
    if (rsa)
        pki_der_put(out, PKI_DER_NULL, NULL, 0);
    else
        lest_buf_append(out, attr.values.data, attr.values.len);
    pki_der_put_close(out, algorithm);
    if (rsa) {
        pki_der_open(&value, &doc, attr.values.data, attr.values.len);
        status = pki_der_small(&value, "the size", &bits) ? put_placeholder(out, bits, err) : doc.status;
    }
    pki_der_put_close(out, info);
out:
    lest_buf_free(&element);
    return status;
}

static void put_attributes(struct lest_buf *out, const struct pki_template_plan *plan)
{
    size_t all = pki_der_put_open(out, PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | 1);
    if (plan->extensions.len) {
        /* "for extensions with all values given, id-ExtensionReq MUST be used" (RFC 9908 3.4) */
        struct pki_attr_mark attribute =
            pki_attr_put_open(out, plan->is_partial ? PKI_OID_EXTENSION_TEMPLATE : PKI_OID_EXTENSION_REQUEST);
        pki_der_put(out, PKI_DER_SEQUENCE, plan->extensions.data, plan->extensions.len);
        pki_attr_put_close(out, attribute);
    }
    lest_buf_append(out, plan->attributes.data, plan->attributes.len);
    pki_der_put_sort(out, all);
    pki_der_put_close(out, all);
}

enum lest_status pki_template_put(struct lest_buf *out, const struct pki_template_plan *plan,
                                  struct lest_error *err)
{
    struct pki_template again;
    struct pki_attr_mark attribute = pki_attr_put_open(out, PKI_OID_CSR_TEMPLATE);
    size_t start = out->len, whole = pki_der_put_open(out, PKI_DER_SEQUENCE);
    pki_der_put_small(out, 0);
    enum lest_status status = put_subject(out, plan, err);
    if (!status && plan->key)
        status = put_key(out, plan->key, err);
    if (status)
        return status;
    put_attributes(out, plan);
    pki_der_put_close(out, whole);
    status = lest_buf_status(out, err);
    if (!status)
        status = pki_template_read((struct pki_bytes){ out->data + start, out->len - start }, &again, err);
    pki_attr_put_close(out, attribute);
    return status ? status : lest_buf_status(out, err);
}
