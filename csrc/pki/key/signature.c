#include "pki/key/signature.h"

#include "pki/asn1/oid.h"
#include "pki/error.h"
#include "pki/key/digest.h"

#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <stdio.h>

/* The contents of the algorithm's identifier. */
static struct pki_bytes identifier(struct pki_bytes algorithm)
{
    struct pki_der_doc doc = { .noun = "algorithm", .malformed = LEST_E_MALFORMED };
    struct pki_der in, body;
    struct pki_bytes oid = { (const uint8_t *)"", 0 };
    pki_der_open(&in, &doc, algorithm.data, algorithm.len);
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "it", &body) || !pki_der_oid(&body, "it", &oid))
        oid.len = 0;
    return oid;
}

bool pki_signature_algorithm(struct pki_der *in, struct pki_der_item *whole, struct pki_bytes *oid)
{
    struct pki_der body;
    if (!pki_der_item(in, PKI_DER_SEQUENCE, "the signature algorithm", whole))
        return false;
    pki_der_enter(in, whole, &body);
    return pki_der_oid(&body, "the signature algorithm", oid);
}

bool pki_signature_end(struct pki_der *body, struct pki_bytes algorithm)
{
    struct pki_der_item outer;
    struct pki_bytes oid, signature;
    unsigned unused;
    if (!pki_signature_algorithm(body, &outer, &oid))
        return false;
    if (!pki_bytes_equal(algorithm, outer.whole))
        return pki_der_fail(body, "the two signature algorithms differ");
    return pki_der_bits(body, "the signature", &signature, &unused) && pki_der_end(body, "the signature");
}

void pki_signature_name(struct pki_bytes algorithm, char name[PKI_OID_TEXT_MAX])
{
    pki_oid_describe(identifier(algorithm), name);
}

X509_ALGOR *pki_signature_parse(struct pki_bytes algorithm)
{
    const uint8_t *at = algorithm.data;
    X509_ALGOR *parsed = d2i_X509_ALGOR(NULL, &at, (long)algorithm.len);
    if (parsed && at != algorithm.data + algorithm.len) {
        X509_ALGOR_free(parsed);
        parsed = NULL;
    }
    return parsed;
}

/* RSASSA-PSS names its digest in the parameters, SHA-1 where it does not (RFC 4055 3.1). */
static int pss_digest(struct pki_bytes algorithm)
{
    int nid = NID_undef, type;
    const void *value;
    X509_ALGOR *parsed = pki_signature_parse(algorithm);
    if (parsed) {
        X509_ALGOR_get0(NULL, &type, &value, parsed);
        RSA_PSS_PARAMS *params =
            type == V_ASN1_SEQUENCE ? ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS)) : NULL;
        const ASN1_OBJECT *digest = NULL;
        if (params && params->hashAlgorithm)
            X509_ALGOR_get0(&digest, NULL, NULL, params->hashAlgorithm);
        if (params)
            nid = digest ? OBJ_obj2nid(digest) : NID_sha1;
        RSA_PSS_PARAMS_free(params);
    }
    X509_ALGOR_free(parsed);
    return nid;
}

static int digest_bits(int digest)
{
    EVP_MD *md = EVP_MD_fetch(NULL, OBJ_nid2sn(digest), NULL);
    int bits = md ? EVP_MD_get_size(md) * 4 : -1;
    EVP_MD_free(md);
    return bits;
}

int pki_signature_digest_bits(struct pki_bytes algorithm)
{
    struct pki_bytes oid = identifier(algorithm);
    int digest = NID_undef, key, bits;
    if (pki_oid_is(oid, PKI_OID_ECDSA_SHA256) || pki_oid_is(oid, PKI_OID_RSA_SHA256))
        return 128;
    if (pki_oid_is(oid, PKI_OID_RSA_PSS)) {
        digest = pss_digest(algorithm);
        bits = digest == NID_undef ? -1 : digest_bits(digest);
    } else {
        int nid = pki_oid_nid(oid);
        /* What OpenSSL's table does not have comes from a provider by its name. */
        bool known = nid != NID_undef && OBJ_find_sigid_algs(nid, &digest, &key);
        bits = !known ? (nid == NID_undef ? -1 : 0) : digest == NID_undef ? 0 : digest_bits(digest);
    }
    pki_error_clear();
    return bits;
}

const EVP_MD *pki_signature_digest(struct pki_bytes algorithm, const char **key_type)
{
    static const struct {
        enum pki_oid oid;
        enum pki_digest digest;
        const char *key_type;
        struct pki_bytes parameters;
    } rows[] = {
        { PKI_OID_ECDSA_SHA256, PKI_SHA256, "EC", { NULL, 0 } },
        { PKI_OID_ECDSA_SHA384, PKI_SHA384, "EC", { NULL, 0 } },
        { PKI_OID_ECDSA_SHA512, PKI_SHA512, "EC", { NULL, 0 } },
        { PKI_OID_RSA_SHA256, PKI_SHA256, "RSA", { (const uint8_t *)"\5", 2 } },
        { PKI_OID_RSA_SHA384, PKI_SHA384, "RSA", { (const uint8_t *)"\5", 2 } },
        { PKI_OID_RSA_SHA512, PKI_SHA512, "RSA", { (const uint8_t *)"\5", 2 } },
    };
    struct pki_bytes oid = identifier(algorithm);
    size_t i = 0, count = sizeof rows / sizeof *rows;
    while (i < count && !pki_oid_is(oid, rows[i].oid))
        i++;
    if (i == count)
        return NULL;
    /* Identifier and lengths are short: what is before the parameters has two octets each. */
    struct pki_bytes parameters = { oid.data + oid.len, algorithm.len - oid.len - 4 };
    if (parameters.len != rows[i].parameters.len ||
        (parameters.len && !pki_bytes_equal(parameters, rows[i].parameters)))
        return NULL;
    *key_type = rows[i].key_type;
    return pki_digest_get0(rows[i].digest);
}
