#include "pki/key/effort.h"

#include "pki/asn1/oid.h"

/* The product of so many numbers; what is no number of 63 bits is beyond all bounds. */
static bool multiply(struct pki_der *in, int count, int64_t *effort)
{
    for (*effort = 1; count > 0; count--) {
        int64_t number;
        if (!pki_der_small(in, "a number", &number) || number > PKI_EFFORT_MAX)
            return false;
        *effort *= number ? number : 1;
        if (*effort > PKI_EFFORT_MAX)
            return false;
    }
    return true;
}

/* AlgorithmIdentifier: { PBES2, { key derivation, cipher } } or { scheme, { salt, numbers } }. */
static bool check(struct pki_der *in, bool is_outer)
{
    struct pki_der algorithm, parameters;
    struct pki_bytes oid;
    int64_t effort;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the algorithm", &algorithm) ||
        !pki_der_oid(&algorithm, "the algorithm", &oid) ||
        !pki_der_read(&algorithm, PKI_DER_SEQUENCE, "the parameters", &parameters))
        return false;
    if (is_outer && pki_oid_is(oid, PKI_OID_PBES2))
        return check(&parameters, false);
    return pki_der_read(&parameters, PKI_DER_ANY, "the salt", NULL) &&
           multiply(&parameters, pki_oid_is(oid, PKI_OID_SCRYPT) ? 3 : 1, &effort);
}

bool pki_effort_is_bounded(const void *der, size_t len)
{
    struct pki_der_doc doc = { .noun = "private key", .malformed = LEST_E_KEY_MALFORMED };
    struct pki_der in, body;
    pki_der_open(&in, &doc, der, len);
    return pki_der_read(&in, PKI_DER_SEQUENCE, "the key", &body) && check(&body, true);
}
