#include "pki/cms/capabilities.h"

#define AES 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01
#define PKCS1 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01

static const uint8_t WRAP256[] = { AES, 0x2d }, WRAP128[] = { AES, 0x05 };
static const uint8_t AES256[] = { AES, 0x2a }, AES128[] = { AES, 0x02 };
static const uint8_t OAEP[] = { PKCS1, 0x07 }, RSA[] = { PKCS1, 0x01 };
static const uint8_t ECDH[] = { 0x2b, 0x81, 0x04, 0x01, 0x0b, 0x01 }; /* dhSinglePass-stdDH-sha256kdf */

/* In the order of preference. */
static const struct {
    enum pki_capability bit;
    struct pki_bytes oid;
} rows[] = {
    { PKI_CAN_OAEP, { OAEP, sizeof OAEP } },          { PKI_CAN_RSA, { RSA, sizeof RSA } },
    { PKI_CAN_ECDH, { ECDH, sizeof ECDH } },          { PKI_CAN_WRAP256, { WRAP256, sizeof WRAP256 } },
    { PKI_CAN_WRAP128, { WRAP128, sizeof WRAP128 } }, { PKI_CAN_AES256, { AES256, sizeof AES256 } },
    { PKI_CAN_AES128, { AES128, sizeof AES128 } },
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

static unsigned bit_of(struct pki_bytes oid)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (pki_bytes_equal(oid, rows[i].oid))
            return rows[i].bit;
    return 0;
}

/* SMIMECapability ::= SEQUENCE { capabilityID OBJECT IDENTIFIER, parameters ANY OPTIONAL } */
static bool read_one(struct pki_der *list, unsigned *set)
{
    static const char what[] = "a capability";
    struct pki_der one, inner;
    struct pki_der_item parameters;
    struct pki_bytes oid;
    if (!pki_der_read(list, PKI_DER_SEQUENCE, what, &one) || !pki_der_oid(&one, what, &oid))
        return false;
    *set |= bit_of(oid);
    if (!one.left)
        return true;
    if (!pki_der_item(&one, PKI_DER_ANY, what, &parameters) || !pki_der_end(&one, what))
        return false;
    if (parameters.tag != PKI_DER_SEQUENCE)
        return true;
    pki_der_enter(&one, &parameters, &inner);
    if (pki_der_peek(&inner) != PKI_DER_OID)
        return true;
    if (!pki_der_oid(&inner, what, &oid))
        return false;
    *set |= bit_of(oid) & (PKI_CAN_WRAP128 | PKI_CAN_WRAP256);
    return true;
}

enum lest_status pki_capabilities_read(struct pki_bytes der, unsigned *set, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "SMIMECapabilities", .malformed = LEST_E_MALFORMED, .err = err };
    struct pki_der in, list;
    *set = 0;
    pki_der_open(&in, &doc, der.data, der.len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the list", &list) || !pki_der_end(&in, "the list"))
        return doc.status;
    for (int count = 0; list.left; count++) {
        if (count == PKI_CAPABILITIES_MAX)
            return lest_error_set(err, LEST_E_MALFORMED, "SMIMECapabilities: more than %d",
                                  (int)PKI_CAPABILITIES_MAX);
        if (!read_one(&list, set))
            return doc.status;
    }
    return LEST_OK;
}

void pki_capabilities_put(struct lest_buf *out, unsigned set)
{
    size_t list = pki_der_put_open(out, PKI_DER_SEQUENCE);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!(set & rows[i].bit))
            continue;
        size_t one = pki_der_put_open(out, PKI_DER_SEQUENCE);
        pki_der_put(out, PKI_DER_OID, rows[i].oid.data, rows[i].oid.len);
        pki_der_put_close(out, one);
    }
    pki_der_put_close(out, list);
}
