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

static X509_ALGOR *parse_algorithm(struct pki_bytes algorithm)
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
    X509_ALGOR *parsed = parse_algorithm(algorithm);
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
    if (pki_oid_is(oid, PKI_OID_ECDSA_SHA256))
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

/* Whether the algorithm is ECDSA with this SHA-2, written as RFC 5758 3.2 wants: without parameters. */
static const EVP_MD *ecdsa_digest(struct pki_bytes algorithm)
{
    static const struct {
        enum pki_oid oid;
        enum pki_digest digest;
    } rows[] = { { PKI_OID_ECDSA_SHA256, PKI_SHA256 },
                 { PKI_OID_ECDSA_SHA384, PKI_SHA384 },
                 { PKI_OID_ECDSA_SHA512, PKI_SHA512 } };
    struct pki_bytes oid = identifier(algorithm);
    if (algorithm.len != oid.len + 4)
        return NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (pki_oid_is(oid, rows[i].oid))
            return pki_digest_get0(rows[i].digest);
    return NULL;
}

static int verify_ecdsa(EVP_PKEY *key, const EVP_MD *md, struct pki_bytes signature, struct pki_bytes data)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    int result = -1;
    EVP_PKEY_CTX *ctx = NULL;
    if (EVP_Digest(data.data, data.len, digest, &digest_len, md, NULL) &&
        (ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL)) && EVP_PKEY_verify_init(ctx) > 0)
        result = EVP_PKEY_verify(ctx, signature.data, signature.len, digest, digest_len);
    EVP_PKEY_CTX_free(ctx);
    return result;
}

/* A thing that OpenSSL encodes as just these bytes: an ANY that is a SEQUENCE holds whole elements. */
static ASN1_TYPE *as_item(struct pki_bytes whole)
{
    ASN1_TYPE *item = ASN1_TYPE_new();
    ASN1_STRING *string = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
    if (!item || !string || !ASN1_STRING_set(string, whole.data, (int)whole.len)) {
        ASN1_TYPE_free(item);
        ASN1_STRING_free(string);
        return NULL;
    }
    ASN1_TYPE_set(item, V_ASN1_SEQUENCE, string);
    return item;
}

static int verify_any(EVP_PKEY *key, struct pki_bytes algorithm, struct pki_bytes signature,
                      struct pki_bytes data)
{
    int result = -1;
    X509_ALGOR *parsed = parse_algorithm(algorithm);
    ASN1_TYPE *item = as_item(data);
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    if (parsed && item && bits && ASN1_BIT_STRING_set(bits, (uint8_t *)signature.data, (int)signature.len)) {
        /* Without this OpenSSL counts unused bits by itself, from the last byte. */
        bits->flags = (bits->flags & ~0x07L) | ASN1_STRING_FLAG_BITS_LEFT;
        result = ASN1_item_verify(ASN1_ITEM_rptr(ASN1_ANY), parsed, bits, item, key);
    }
    X509_ALGOR_free(parsed);
    ASN1_TYPE_free(item);
    ASN1_BIT_STRING_free(bits);
    return result;
}

enum lest_status pki_signature_verify(EVP_PKEY *key, struct pki_bytes algorithm, struct pki_bytes signature,
                                      struct pki_bytes data, enum lest_status bad, struct lest_error *err)
{
    pki_error_clear();
    const EVP_MD *md = ecdsa_digest(algorithm);
    int result = md && EVP_PKEY_is_a(key, "EC") ? verify_ecdsa(key, md, signature, data)
                                                : verify_any(key, algorithm, signature, data);
    if (result > 0) {
        pki_error_clear();
        return LEST_OK;
    }
    char name[PKI_OID_TEXT_MAX], type[PKI_KEY_TYPE_MAX];
    pki_signature_name(algorithm, name);
    pki_public_type(key, type);
    return pki_error(err, bad, "the signature (%.60s, by a key of type %.40s) is not right", name, type);
}
