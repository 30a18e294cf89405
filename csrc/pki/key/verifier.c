#include "pki/key/verifier.h"

#include "pki/error.h"
#include "pki/key/signature.h"

#include <stdatomic.h>
#include <stdlib.h>

struct pki_verifier {
    EVP_PKEY *key;
    enum pki_curve curve; /* PKI_CURVE_COUNT for keys that are not kept */
};

/* For each curve one verifier that is not in use. The thread that takes it gives it a new point first. */
static _Atomic(struct pki_verifier *) idle[PKI_CURVE_COUNT];

static void discard(struct pki_verifier *verifier)
{
    if (verifier)
        EVP_PKEY_free(verifier->key);
    free(verifier);
}

static struct pki_verifier *take_idle(const struct pki_spki *spki)
{
    if (spki->curve == PKI_CURVE_COUNT)
        return NULL;
    struct pki_verifier *verifier = atomic_exchange(&idle[spki->curve], NULL);
    pki_error_clear();
    if (verifier && !pki_curve_set_point(spki->curve, verifier->key, spki->bits)) {
        discard(verifier);
        verifier = NULL;
    }
    return verifier;
}

struct pki_verifier *pki_verifier_new(struct pki_der_doc *doc, const struct pki_spki *spki)
{
    struct pki_verifier *verifier = take_idle(spki);
    if (verifier)
        return verifier;
    verifier = calloc(1, sizeof *verifier);
    if (!verifier) {
        doc->status = lest_error_set(doc->err, LEST_E_NOMEM, "out of memory");
        return NULL;
    }
    verifier->curve = spki->curve;
    verifier->key = pki_spki_key(doc, spki);
    if (!verifier->key) {
        discard(verifier);
        return NULL;
    }
    return verifier;
}

void pki_verifier_free(struct pki_verifier *verifier)
{
    if (verifier && verifier->curve != PKI_CURVE_COUNT)
        verifier = atomic_exchange(&idle[verifier->curve], verifier);
    discard(verifier);
}

void pki_verifier_type(const struct pki_verifier *verifier, char type[PKI_KEY_TYPE_MAX])
{
    pki_public_type(verifier->key, type);
}

int pki_verifier_security_bits(const struct pki_verifier *verifier)
{
    return pki_public_security_bits(verifier->key);
}

/* PKCS#1 1.5 signs the digest's name with it; ECDSA does not want to know. */
static bool init_verify(EVP_PKEY_CTX *ctx, EVP_PKEY *key, const EVP_MD *md)
{
    return EVP_PKEY_verify_init(ctx) > 0 &&
           (!EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_CTX_set_signature_md(ctx, md) > 0);
}

static int verify_digest(EVP_PKEY *key, const EVP_MD *md, struct pki_bytes signature, struct pki_bytes data)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    int result = -1;
    EVP_PKEY_CTX *ctx = NULL;
    if (EVP_Digest(data.data, data.len, digest, &digest_len, md, NULL) &&
        (ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL)) && init_verify(ctx, key, md))
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
    X509_ALGOR *parsed = pki_signature_parse(algorithm);
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

enum lest_status pki_verifier_verify(const struct pki_verifier *verifier, struct pki_bytes algorithm,
                                     struct pki_bytes signature, struct pki_bytes data, enum lest_status bad,
                                     struct lest_error *err)
{
    const char *wanted;
    pki_error_clear();
    const EVP_MD *md = pki_signature_digest(algorithm, &wanted);
    int result = md && EVP_PKEY_is_a(verifier->key, wanted)
                     ? verify_digest(verifier->key, md, signature, data)
                     : verify_any(verifier->key, algorithm, signature, data);
    if (result > 0) {
        pki_error_clear();
        return LEST_OK;
    }
    char name[PKI_OID_TEXT_MAX], type[PKI_KEY_TYPE_MAX];
    pki_signature_name(algorithm, name);
    pki_public_type(verifier->key, type);
    return pki_error(err, bad, "the signature (%.60s, by a key of type %.40s) is not right", name, type);
}
