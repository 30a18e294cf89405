#include "pki/key/ec.h"

#include "pki/error.h"
#include "pki/key/curve.h"

static enum pki_curve read_curve(struct pki_der *in)
{
    struct pki_bytes oid;
    return pki_der_oid(in, "the curve", &oid) && pki_der_end(in, "the curve") ? pki_curve_by_oid(oid)
                                                                              : PKI_CURVE_COUNT;
}

static enum pki_curve curve_beside(struct pki_der_doc *doc, struct pki_bytes algorithm)
{
    struct pki_der in;
    struct pki_bytes oid;
    pki_der_open(&in, doc, algorithm.data, algorithm.len);
    bool is_ec = pki_der_oid(&in, "the algorithm", &oid) && pki_oid_is(oid, PKI_OID_EC_PUBLIC_KEY);
    return is_ec ? read_curve(&in) : PKI_CURVE_COUNT;
}

/* { version 1, number, [0] curve OPTIONAL, [1] point OPTIONAL }. curve: named beside the key, or to be found
 * in it. */
static bool read_parts(struct pki_der *in, enum pki_curve *curve, struct pki_bytes *scalar,
                       struct pki_bytes *point)
{
    enum { NAMED = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED, PUBLIC = NAMED | 1 };
    struct pki_der body, part;
    struct pki_der_item number;
    int64_t version;
    unsigned unused;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the key", &body) || !pki_der_end(in, "the key") ||
        !pki_der_small(&body, "the version", &version) || version != 1 ||
        !pki_der_item(&body, PKI_DER_OCTET_STRING, "the number", &number))
        return false;
    if (pki_der_peek(&body) == NAMED) {
        enum pki_curve beside = *curve;
        if (!pki_der_read(&body, NAMED, "the curve", &part))
            return false;
        *curve = read_curve(&part);
        if (beside != PKI_CURVE_COUNT && *curve != beside)
            return false;
    }
    *scalar = number.body;
    return *curve != PKI_CURVE_COUNT && pki_der_read(&body, PUBLIC, "the point", &part) &&
           pki_der_end(&body, "the key") && pki_der_bits(&part, "the point", point, &unused) && !unused &&
           pki_der_end(&part, "the point");
}

EVP_PKEY *pki_ec_read(struct pki_bytes der, struct pki_bytes algorithm)
{
    struct lest_error why;
    struct pki_der_doc doc = { .noun = "EC key", .malformed = LEST_E_KEY_MALFORMED, .err = &why };
    struct pki_der_doc beside = doc;
    struct pki_der in;
    struct pki_bytes scalar, point;
    enum pki_curve curve = PKI_CURVE_COUNT;
    if (algorithm.data && (curve = curve_beside(&beside, algorithm)) == PKI_CURVE_COUNT)
        return NULL;
    pki_der_open(&in, &doc, der.data, der.len);
    EVP_PKEY *key =
        read_parts(&in, &curve, &scalar, &point) ? pki_curve_private_key(curve, scalar, point) : NULL;
    pki_error_clear();
    return key;
}
