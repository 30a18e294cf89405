#include "pki/asn1/kind.h"

#include <string.h>

static const char CERTIFICATE[] = "a certificate", CSR[] = "a certificate request", CRL[] = "a CRL",
                  PKCS7[] = "a PKCS#7 bag (`openssl pkcs7 -in FILE -print_certs` takes it apart)",
                  PUBLIC[] = "a public key", PRIVATE[] = "a private key",
                  ENCRYPTED[] = "an encrypted private key", PARAMETERS[] = "the parameters of a key";

enum { TAGS_MAX = 4, CONTEXT_0 = PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED };

/* The tags with which a SEQUENCE begins. */
struct shape {
    uint8_t tags[TAGS_MAX];
    const char *name;
};

/* RFC 5280 4.1, 5.1 and RFC 2986 4: { content, algorithm, signature }. */
static const uint8_t SIGNED[TAGS_MAX] = { PKI_DER_SEQUENCE, PKI_DER_SEQUENCE, PKI_DER_BIT_STRING };

/* Their contents. A certificate of version 1 has { serial, algorithm, issuer, validity }, a CSR { version,
 * subject, key, attributes }, whose attributes some leave out. */
static const struct shape contents[] = {
    { { CONTEXT_0 }, CERTIFICATE },
    { { PKI_DER_INTEGER, PKI_DER_SEQUENCE, PKI_DER_SEQUENCE, PKI_DER_SEQUENCE }, CERTIFICATE },
    { { PKI_DER_INTEGER, PKI_DER_SEQUENCE, PKI_DER_SEQUENCE, PKI_DER_UTC_TIME }, CRL },
    { { PKI_DER_INTEGER, PKI_DER_SEQUENCE, PKI_DER_SEQUENCE, PKI_DER_GENERALIZED_TIME }, CRL },
    { { PKI_DER_SEQUENCE, PKI_DER_SEQUENCE, PKI_DER_UTC_TIME }, CRL },
    { { PKI_DER_SEQUENCE, PKI_DER_SEQUENCE, PKI_DER_GENERALIZED_TIME }, CRL },
    { { PKI_DER_INTEGER, PKI_DER_SEQUENCE, PKI_DER_SEQUENCE }, CSR },
    { { 0 }, NULL },
};

/* RFC 5280 4.1.2.7, RFC 5958 2 and 3, RFC 5915 3, RFC 8017 A.1.2, RFC 5652 3. */
static const struct shape others[] = {
    { { PKI_DER_SEQUENCE, PKI_DER_BIT_STRING }, PUBLIC },
    { { PKI_DER_SEQUENCE, PKI_DER_OCTET_STRING }, ENCRYPTED },
    { { PKI_DER_INTEGER, PKI_DER_SEQUENCE, PKI_DER_OCTET_STRING }, PRIVATE },
    { { PKI_DER_INTEGER, PKI_DER_OCTET_STRING }, PRIVATE },
    { { PKI_DER_INTEGER, PKI_DER_INTEGER, PKI_DER_INTEGER, PKI_DER_INTEGER }, PRIVATE },
    { { PKI_DER_OID, CONTEXT_0 }, PKCS7 },
    { { 0 }, NULL },
};

/* Enter the SEQUENCE at the beginning and give the tags of its first elements, 0 where there are no more. */
static bool read_tags(struct pki_bytes der, uint8_t tags[TAGS_MAX], struct pki_der_item *first)
{
    struct pki_der_doc doc = { .noun = "kind", .malformed = LEST_E_MALFORMED };
    struct pki_der in, body;
    struct pki_der_item item;
    memset(tags, 0, TAGS_MAX);
    pki_der_open(&in, &doc, der.data, der.len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the data", &body))
        return false;
    for (int i = 0; i < TAGS_MAX && body.left; i++) {
        if (!pki_der_item(&body, PKI_DER_ANY, "an element", &item))
            return false;
        tags[i] = item.tag;
        if (i == 0)
            *first = item;
    }
    return true;
}

static bool begins(const uint8_t tags[TAGS_MAX], const uint8_t shape[TAGS_MAX])
{
    for (int i = 0; i < TAGS_MAX && shape[i]; i++)
        if (tags[i] != shape[i])
            return false;
    return true;
}

static const char *find(const struct shape *shapes, const uint8_t tags[TAGS_MAX])
{
    while (shapes->name && !begins(tags, shapes->tags))
        shapes++;
    return shapes->name;
}

const char *pki_kind_of_der(struct pki_bytes der)
{
    uint8_t tags[TAGS_MAX];
    struct pki_der_item first;
    if (!read_tags(der, tags, &first))
        return NULL;
    if (begins(tags, SIGNED))
        return read_tags(first.whole, tags, &first) ? find(contents, tags) : NULL;
    return find(others, tags);
}

const char *pki_kind_of_label(struct pki_bytes label)
{
    static const struct {
        const char *label, *name;
    } kinds[] = {
        { "CERTIFICATE", CERTIFICATE },
        { "X509 CERTIFICATE", CERTIFICATE },
        { "TRUSTED CERTIFICATE", "a certificate in OpenSSL's own format (`openssl x509` rewrites it)" },
        { "CERTIFICATE REQUEST", CSR },
        { "NEW CERTIFICATE REQUEST", CSR },
        { "X509 CRL", CRL },
        { "PKCS7", PKCS7 },
        { "CMS", PKCS7 },
        { "PKCS #7 SIGNED DATA", PKCS7 },
        { "PUBLIC KEY", PUBLIC },
        { "RSA PUBLIC KEY", PUBLIC },
        { "PRIVATE KEY", PRIVATE },
        { "EC PRIVATE KEY", PRIVATE },
        { "RSA PRIVATE KEY", PRIVATE },
        { "OPENSSH PRIVATE KEY", PRIVATE },
        { "ENCRYPTED PRIVATE KEY", ENCRYPTED },
        { "EC PARAMETERS", PARAMETERS },
        { "DH PARAMETERS", PARAMETERS },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (label.len == strlen(kinds[i].label) && memcmp(label.data, kinds[i].label, label.len) == 0)
            return kinds[i].name;
    return NULL;
}
