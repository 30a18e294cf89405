#include "pki/asn1/attr.h"

bool pki_attr_next(struct pki_der *in, struct pki_attr *attr)
{
    struct pki_der body, values;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "an attribute", &body) ||
        !pki_der_oid(&body, "an attribute's type", &attr->oid) ||
        !pki_der_read(&body, PKI_DER_SET, "an attribute's set of values", &values) ||
        !pki_der_end(&body, "an attribute"))
        return false;
    attr->values = (struct pki_bytes){ values.at, values.left };
    return true;
}

bool pki_attr_single(struct pki_der *values, const char *what, struct pki_der_item *item)
{
    if (values->left == 0)
        return pki_der_fail(values, "%s has no value", what);
    if (!pki_der_item(values, PKI_DER_ANY, what, item))
        return false;
    return values->left == 0 || pki_der_fail(values, "%s has more than one value", what);
}

struct pki_attr_mark pki_attr_put_open(struct lest_buf *out, enum pki_oid type)
{
    struct pki_attr_mark mark = { .whole = pki_der_put_open(out, PKI_DER_SEQUENCE) };
    pki_oid_put(out, type);
    mark.values = pki_der_put_open(out, PKI_DER_SET);
    return mark;
}

void pki_attr_put_close(struct lest_buf *out, struct pki_attr_mark mark)
{
    pki_der_put_sort(out, mark.values);
    pki_der_put_close(out, mark.values);
    pki_der_put_close(out, mark.whole);
}

enum lest_status pki_attr_put_text(struct lest_buf *out, const char *type, size_t type_len,
                                   const struct pki_bytes *values, size_t count, enum lest_status malformed,
                                   struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "CSR attributes", .malformed = malformed, .err = err };
    struct pki_attr_mark mark = { .whole = pki_der_put_open(out, PKI_DER_SEQUENCE) };
    enum lest_status status = pki_oid_put_text(out, type, type_len, err);
    if (status)
        return status;
    mark.values = pki_der_put_open(out, PKI_DER_SET);
    for (size_t i = 0; i < count; i++) {
        if (!pki_der_one(&doc, values[i], "a value"))
            return doc.status;
        lest_buf_append(out, values[i].data, values[i].len);
    }
    pki_attr_put_close(out, mark);
    return lest_buf_status(out, err);
}
