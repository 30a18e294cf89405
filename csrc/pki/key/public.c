#include "pki/key/public.h"

#include "pki/asn1/oid.h"
#include "pki/error.h"
#include "pki/key/curve.h"
#include "pki/key/digest.h"

#include <openssl/x509.h>

#include <stdio.h>
#include <string.h>

static EVP_PKEY *read_ec(struct pki_der *algorithm, struct pki_der *at, struct pki_bytes point,
                         struct pki_bytes spki)
{
    struct pki_bytes oid;
    EVP_PKEY *key = NULL;
    if (pki_der_peek(algorithm) != PKI_DER_OID) {
        pki_der_fail(algorithm, "the public key's curve is not given by its identifier");
        return NULL;
    }
    if (!pki_der_oid(algorithm, "the public key's curve", &oid) ||
        !pki_der_end(algorithm, "the public key's curve"))
        return NULL;
    enum pki_curve curve = pki_curve_by_oid(oid);
    pki_error_clear();
    if (curve != PKI_CURVE_COUNT) {
        key = pki_curve_key(curve, point);
    } else {
        const uint8_t *from = spki.data;
        bool form = point.len > 1 && point.data[0] >= 2 && point.data[0] <= 4;
        key = form ? d2i_PUBKEY(NULL, &from, (long)spki.len) : NULL;
    }
    if (!key) {
        char name[PKI_OID_TEXT_MAX];
        pki_oid_describe(oid, name);
        pki_der_fail_as(at, pki_error_status(at->doc->malformed),
                        "the public key is no point on a known curve (%.100s)", name);
    }
    return key;
}

/* A key of another algorithm: what OpenSSL knows about its name decides which failure it is. */
static EVP_PKEY *read_any(struct pki_der *at, struct pki_bytes algorithm, struct pki_bytes spki)
{
    const uint8_t *from = spki.data;
    pki_error_clear();
    EVP_PKEY *key = d2i_PUBKEY(NULL, &from, (long)spki.len);
    if (key && from == spki.data + spki.len)
        return key;
    EVP_PKEY_free(key);
    char name[PKI_OID_TEXT_MAX];
    enum lest_status status = pki_error_status(at->doc->malformed);
    pki_oid_describe(algorithm, name);
    EVP_KEYMGMT *known = EVP_KEYMGMT_fetch(NULL, name, NULL);
    if (known)
        pki_der_fail_as(at, status, "the public key (%.100s) is malformed", name);
    else
        pki_der_fail_as(at, pki_error_status(status == LEST_E_NOMEM ? status : LEST_E_KEY_UNSUPPORTED),
                        "the public key's algorithm %.100s is unknown", name);
    EVP_KEYMGMT_free(known);
    pki_error_clear();
    return NULL;
}

EVP_PKEY *pki_public_read(struct pki_der_doc *doc, struct pki_bytes spki)
{
    struct pki_der in, body, algorithm;
    struct pki_bytes oid, bits;
    unsigned unused;
    pki_der_open(&in, doc, spki.data, spki.len);
    struct pki_der at = in;
    if (spki.len > PKI_PUBLIC_MAX) {
        pki_der_fail(&in, "the public key is longer than %d bytes", PKI_PUBLIC_MAX);
        return NULL;
    }
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the public key", &body) ||
        !pki_der_end(&in, "the public key") ||
        !pki_der_read(&body, PKI_DER_SEQUENCE, "the public key's algorithm", &algorithm) ||
        !pki_der_oid(&algorithm, "the public key's algorithm", &oid) ||
        !pki_der_bits(&body, "the public key's bits", &bits, &unused) ||
        !pki_der_end(&body, "the public key's bits"))
        return NULL;
    if (unused) {
        pki_der_fail(&at, "the public key is not a number of whole bytes");
        return NULL;
    }
    if (pki_oid_is(oid, PKI_OID_EC_PUBLIC_KEY))
        return read_ec(&algorithm, &at, bits, spki);
    bool ed25519 = pki_oid_is(oid, PKI_OID_ED25519), ed448 = pki_oid_is(oid, PKI_OID_ED448);
    if ((ed25519 || ed448) && algorithm.left == 0) {
        pki_error_clear();
        EVP_PKEY *key =
            EVP_PKEY_new_raw_public_key_ex(NULL, ed25519 ? "ED25519" : "ED448", NULL, bits.data, bits.len);
        if (!key)
            pki_der_fail_as(&at, pki_error_status(doc->malformed), "the public key (%s) is malformed",
                            ed25519 ? "Ed25519" : "Ed448");
        return key;
    }
    return read_any(&at, oid, spki);
}

enum lest_status pki_public_encode(const EVP_PKEY *key, struct lest_buf *out, struct lest_error *err)
{
    uint8_t *der = NULL;
    pki_error_clear();
    int len = i2d_PUBKEY(key, &der);
    if (len <= 0)
        return pki_error(err, LEST_E_CRYPTO, "the public key cannot be encoded");
    lest_buf_append(out, der, (size_t)len);
    OPENSSL_free(der);
    return lest_buf_status(out, err);
}

void pki_public_type(const EVP_PKEY *key, char type[PKI_KEY_TYPE_MAX])
{
    pki_error_mark();
    const char *name = EVP_PKEY_get0_type_name(key);
    int bits = EVP_PKEY_get_bits(key);
    if (!name) {
        snprintf(type, PKI_KEY_TYPE_MAX, "unknown");
    } else if (strcmp(name, "EC") == 0) {
        char group[PKI_KEY_TYPE_MAX - 4] = "";
        size_t len = 0;
        if (!EVP_PKEY_get_group_name(key, group, sizeof group, &len))
            snprintf(group, sizeof group, "unknown");
        enum pki_curve curve = pki_curve_by_group(group);
        snprintf(type, PKI_KEY_TYPE_MAX, "ec:%s", curve == PKI_CURVE_COUNT ? group : pki_curve_name(curve));
    } else if (strcmp(name, "RSA") == 0) {
        snprintf(type, PKI_KEY_TYPE_MAX, "rsa:%d", bits);
    } else if (strcmp(name, "RSA-PSS") == 0) {
        snprintf(type, PKI_KEY_TYPE_MAX, "rsa-pss:%d", bits);
    } else if (strcmp(name, "ED25519") == 0 || strcmp(name, "ED448") == 0) {
        snprintf(type, PKI_KEY_TYPE_MAX, "%s", name[2] == '4' ? "ed448" : "ed25519");
    } else {
        snprintf(type, PKI_KEY_TYPE_MAX, "%s", name);
    }
    pki_error_back();
}

int pki_public_security_bits(const EVP_PKEY *key)
{
    pki_error_mark();
    int bits = EVP_PKEY_get_security_bits(key);
    pki_error_back();
    return bits > 0 ? bits : 0;
}

/* The BIT STRING's contents of a SubjectPublicKeyInfo that is whole, of whatever algorithm. */
static enum lest_status read_bits(struct pki_bytes spki, struct pki_bytes *bits, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "SubjectPublicKeyInfo",
                               .malformed = LEST_E_KEY_MALFORMED,
                               .err = err };
    struct pki_der in, body, algorithm;
    struct pki_bytes oid;
    unsigned unused;
    *bits = (struct pki_bytes){ NULL, 0 };
    pki_der_open(&in, &doc, spki.data, spki.len);
    if (pki_der_read(&in, PKI_DER_SEQUENCE, "the public key", &body) && pki_der_end(&in, "the public key") &&
        pki_der_read(&body, PKI_DER_SEQUENCE, "the public key's algorithm", &algorithm) &&
        pki_der_oid(&algorithm, "the public key's algorithm", &oid) &&
        pki_der_bits(&body, "the public key's bits", bits, &unused))
        pki_der_end(&body, "the public key's bits");
    return doc.status;
}

enum lest_status pki_public_check(struct pki_bytes spki, struct lest_error *err)
{
    struct pki_bytes bits;
    return read_bits(spki, &bits, err);
}

enum lest_status pki_public_key_id(struct pki_bytes spki, uint8_t id[20], struct lest_error *err)
{
    struct pki_bytes bits;
    enum lest_status status = read_bits(spki, &bits, err);
    if (status)
        return status;
    const EVP_MD *sha1 = pki_digest_get0(PKI_SHA1);
    pki_error_clear();
    if (!sha1 || !EVP_Digest(bits.data, bits.len, id, NULL, sha1, NULL))
        return pki_error(err, LEST_E_CRYPTO, "SHA-1 of the public key cannot be computed");
    return LEST_OK;
}

void pki_public_describe(struct pki_bytes spki, char type[PKI_KEY_TYPE_MAX], int *security_bits)
{
    struct pki_der_doc doc = { .noun = "public key", .malformed = LEST_E_KEY_MALFORMED };
    struct pki_der in, body, algorithm;
    struct pki_bytes oid;
    char text[PKI_OID_TEXT_MAX];
    *security_bits = 0;
    snprintf(type, PKI_KEY_TYPE_MAX, "unknown");
    EVP_PKEY *key = pki_public_read(&doc, spki);
    if (key) {
        pki_public_type(key, type);
        *security_bits = pki_public_security_bits(key);
        EVP_PKEY_free(key);
        return;
    }
    doc.status = LEST_OK;
    pki_der_open(&in, &doc, spki.data, spki.len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the key", &body) ||
        !pki_der_read(&body, PKI_DER_SEQUENCE, "the algorithm", &algorithm) ||
        !pki_der_oid(&algorithm, "the algorithm", &oid))
        return;
    pki_oid_describe(oid, text);
    snprintf(type, PKI_KEY_TYPE_MAX, "%.*s", PKI_KEY_TYPE_MAX - 1, text);
}
