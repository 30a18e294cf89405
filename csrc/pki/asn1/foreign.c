#include "pki/asn1/foreign.h"

#include <string.h>

/* Enter the element that comes next, which has this tag; lengths may be of BER. */
static bool enter(struct pki_der *in, uint8_t tag)
{
    if (in->left < 2 || in->at[0] != tag)
        return false;
    size_t head = in->at[1] > 0x80 ? 2 + (size_t)(in->at[1] & 0x7f) : 2;
    if (in->left < head)
        return false;
    in->at += head;
    in->left -= head;
    return true;
}

static bool enter_sequences(struct pki_der *in, int depth)
{
    while (depth > 0 && enter(in, PKI_DER_SEQUENCE))
        depth--;
    return depth == 0;
}

/* PFX (RFC 7292 4): { 3, { pkcs7-data or pkcs7-signedData, ... } } */
static bool is_pkcs12(struct pki_der in)
{
    static const uint8_t version[] = { PKI_DER_INTEGER, 1, 3 };
    static const uint8_t pkcs7[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07 };
    if (!enter(&in, PKI_DER_SEQUENCE) || in.left < sizeof version ||
        memcmp(in.at, version, sizeof version) != 0)
        return false;
    in.at += sizeof version;
    in.left -= sizeof version;
    return enter(&in, PKI_DER_SEQUENCE) && enter(&in, PKI_DER_OID) && in.left >= sizeof pkcs7 &&
           memcmp(in.at, pkcs7, sizeof pkcs7) == 0;
}

/* OCSPRequest (RFC 6960 4.1.1): four SEQUENCEs down stands a CertID, { algorithm, hash, hash, serial }. */
static bool is_ocsp_request(struct pki_der in)
{
    struct pki_der_doc doc = { .noun = "CertID", .malformed = LEST_E_MALFORMED };
    struct pki_der id;
    bool found = enter_sequences(&in, 2);
    in.doc = &doc;
    while (found && in.left && in.at[0] & PKI_DER_CONTEXT)
        found = pki_der_read(&in, PKI_DER_ANY, "a field", NULL);
    return found && enter_sequences(&in, 2) && pki_der_read(&in, PKI_DER_SEQUENCE, "the CertID", &id) &&
           pki_der_read(&id, PKI_DER_SEQUENCE, "the algorithm", NULL) &&
           pki_der_read(&id, PKI_DER_OCTET_STRING, "a hash", NULL) &&
           pki_der_read(&id, PKI_DER_OCTET_STRING, "a hash", NULL) &&
           pki_der_read(&id, PKI_DER_INTEGER, "the serial number", NULL);
}

/* OCSPResponse (RFC 6960 4.2.1): { ENUMERATED, ... } */
static bool is_ocsp_response(struct pki_der in)
{
    return enter(&in, PKI_DER_SEQUENCE) && enter(&in, PKI_DER_ENUMERATED);
}

static bool begins(struct pki_der in, const char *magic)
{
    return in.left >= strlen(magic) && memcmp(in.at, magic, strlen(magic)) == 0;
}

static bool is_java(struct pki_der in)
{
    return begins(in, "\xfe\xed\xfe\xed") || begins(in, "\xce\xce\xce\xce");
}

static bool is_ssh(struct pki_der in)
{
    return begins(in, "ssh-") || begins(in, "ecdsa-sha2-");
}

const char *pki_foreign_name(const void *data, size_t len)
{
    static const struct {
        bool (*is)(struct pki_der in);
        const char *name;
    } formats[] = {
        { is_pkcs12, "a PKCS#12 file (`openssl pkcs12 -in FILE -nodes` takes it apart)" },
        { is_ocsp_request, "an OCSP request" },
        { is_ocsp_response, "an OCSP response" },
        { is_java, "a Java key store (`keytool -importkeystore` makes it PKCS#12)" },
        { is_ssh, "an SSH public key" },
    };
    struct pki_der in = { .at = data, .left = len };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].is(in))
            return formats[i].name;
    return NULL;
}
