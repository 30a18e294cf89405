#include "pki/key/public.h"

#include "pki/asn1/oid.h"
#include "pki/error.h"
#include "pki/key/curve.h"
#include "pki/key/digest.h"

#include <openssl/core_names.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <string.h>

/* The outer form, which is the same for every algorithm. */
static bool split(struct pki_der_doc *doc, struct pki_bytes whole, struct pki_spki *spki)
{
    struct pki_der in, body, algorithm;
    unsigned unused;
    *spki = (struct pki_spki){ .whole = whole, .curve = PKI_CURVE_COUNT };
    pki_der_open(&in, doc, whole.data, whole.len);
    struct pki_der at = in;
    if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the public key", &body) ||
        !pki_der_end(&in, "the public key") ||
        !pki_der_read(&body, PKI_DER_SEQUENCE, "the public key's algorithm", &algorithm) ||
        !pki_der_oid(&algorithm, "the public key's algorithm", &spki->algorithm) ||
        !pki_der_bits(&body, "the public key's bits", &spki->bits, &unused) ||
        !pki_der_end(&body, "the public key's bits"))
        return false;
    spki->parameters = (struct pki_bytes){ algorithm.at, algorithm.left };
    return unused == 0 || pki_der_fail(&at, "the public key is not a number of whole bytes");
}

static bool read_curve(struct pki_der_doc *doc, struct pki_spki *spki)
{
    struct pki_der in;
    struct pki_bytes oid;
    pki_der_open(&in, doc, spki->parameters.data, spki->parameters.len);
    if (pki_der_peek(&in) != PKI_DER_OID)
        return pki_der_fail(&in, "the public key's curve is not given by its identifier");
    if (!pki_der_oid(&in, "the public key's curve", &oid) || !pki_der_end(&in, "the public key's curve"))
        return false;
    spki->curve = pki_curve_by_oid(oid);
    return true;
}

static bool read_rsa(struct pki_der_doc *doc, struct pki_spki *spki)
{
    static const uint8_t null[] = { PKI_DER_NULL, 0 };
    struct lest_error why;
    struct pki_der_doc key = { .noun = "RSA key", .malformed = LEST_E_MALFORMED, .err = &why };
    struct pki_der in, at;
    pki_der_open(&at, doc, spki->whole.data, spki->whole.len);
    if (!spki->is_pss && !pki_bytes_equal(spki->parameters, (struct pki_bytes){ null, sizeof null }))
        return pki_der_fail(&at, "the public key (rsaEncryption) has parameters that are not NULL");
    pki_der_open(&in, &key, spki->bits.data, spki->bits.len);
    return pki_rsa_read(&in, &spki->rsa) ||
           pki_der_fail(&at, "the public key (%s) is malformed: %.120s",
                        spki->is_pss ? "RSASSA-PSS" : "rsaEncryption", why.message);
}

bool pki_spki_read(struct pki_der_doc *doc, struct pki_bytes whole, struct pki_spki *spki)
{
    struct pki_der at;
    pki_der_open(&at, doc, whole.data, whole.len);
    if (whole.len > PKI_PUBLIC_MAX)
        return pki_der_fail(&at, "the public key is longer than %d bytes", PKI_PUBLIC_MAX);
    if (!split(doc, whole, spki))
        return false;
    if (pki_oid_is(spki->algorithm, PKI_OID_EC_PUBLIC_KEY))
        return read_curve(doc, spki);
    spki->is_pss = pki_oid_is(spki->algorithm, PKI_OID_RSA_PSS);
    return !(spki->is_pss || pki_oid_is(spki->algorithm, PKI_OID_RSA)) || read_rsa(doc, spki);
}

static EVP_PKEY *ec_key(struct pki_der *at, const struct pki_spki *spki)
{
    EVP_PKEY *key = NULL;
    if (spki->curve != PKI_CURVE_COUNT) {
        key = pki_curve_key(spki->curve, spki->bits);
    } else {
        const uint8_t *from = spki->whole.data;
        bool form = spki->bits.len > 1 && spki->bits.data[0] >= 2 && spki->bits.data[0] <= 4;
        key = form ? d2i_PUBKEY(NULL, &from, (long)spki->whole.len) : NULL;
    }
    if (!key) {
        char name[PKI_OID_TEXT_MAX];
        struct pki_bytes oid = { spki->parameters.data + 2, spki->parameters.len - 2 };
        pki_oid_describe(oid, name);
        pki_der_fail_as(at, pki_error_status(at->doc->malformed),
                        "the public key is no point on a known curve (%.100s)", name);
    }
    return key;
}

/* Whether OpenSSL would write a key just as it was read: its decoders take BER, and bytes that mean nothing,
 * so that one key would have many names. */
static bool is_canonical(const EVP_PKEY *key, struct pki_bytes whole)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    bool same = len > 0 && pki_bytes_equal(whole, (struct pki_bytes){ der, (size_t)len });
    OPENSSL_free(der);
    return same;
}

/* A key of another algorithm: what OpenSSL knows about its name decides which failure it is. */
static EVP_PKEY *any_key(struct pki_der *at, const struct pki_spki *spki)
{
    const uint8_t *from = spki->whole.data;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &from, (long)spki->whole.len);
    if (key && is_canonical(key, spki->whole))
        return key;
    EVP_PKEY_free(key);
    char name[PKI_OID_TEXT_MAX];
    enum lest_status status = pki_error_status(at->doc->malformed);
    pki_oid_describe(spki->algorithm, name);
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

/* "ed25519", "ed448", or NULL: those whose key is the bits as they are. */
static const char *edwards(const struct pki_spki *spki)
{
    if (spki->parameters.len)
        return NULL;
    return pki_oid_is(spki->algorithm, PKI_OID_ED25519) ? "ed25519"
           : pki_oid_is(spki->algorithm, PKI_OID_ED448) ? "ed448"
                                                        : NULL;
}

EVP_PKEY *pki_spki_key(struct pki_der_doc *doc, const struct pki_spki *spki)
{
    struct pki_der at;
    const char *edwards_name = edwards(spki);
    EVP_PKEY *key;
    pki_der_open(&at, doc, spki->whole.data, spki->whole.len);
    pki_error_clear();
    if (pki_oid_is(spki->algorithm, PKI_OID_EC_PUBLIC_KEY))
        return ec_key(&at, spki);
    if (edwards_name)
        key = EVP_PKEY_new_raw_public_key_ex(NULL, edwards_name, NULL, spki->bits.data, spki->bits.len);
    else if (spki->rsa.modulus.data && !spki->is_pss)
        key = pki_rsa_key(&spki->rsa);
    else
        return any_key(&at, spki);
    if (!key)
        pki_der_fail_as(&at, pki_error_status(doc->malformed), "the public key (%s) is malformed",
                        !edwards_name            ? "RSA"
                        : edwards_name[2] == '4' ? "Ed448"
                                                 : "Ed25519");
    return key;
}

bool pki_spki_type(const struct pki_spki *spki, char type[PKI_KEY_TYPE_MAX])
{
    const char *edwards_name = edwards(spki);
    if (spki->curve != PKI_CURVE_COUNT)
        snprintf(type, PKI_KEY_TYPE_MAX, "ec:%s", pki_curve_name(spki->curve));
    else if (spki->rsa.modulus.data)
        snprintf(type, PKI_KEY_TYPE_MAX, "%s:%u", spki->is_pss ? "rsa-pss" : "rsa", pki_rsa_bits(&spki->rsa));
    else if (edwards_name)
        snprintf(type, PKI_KEY_TYPE_MAX, "%s", edwards_name);
    return spki->curve != PKI_CURVE_COUNT || spki->rsa.modulus.data || edwards_name;
}

enum lest_status pki_public_encode(const EVP_PKEY *key, struct lest_buf *out, struct lest_error *err)
{
    uint8_t *der = NULL;
    if (pki_curve_encode(key, out))
        return lest_buf_status(out, err);
    pki_error_clear();
    int len = i2d_PUBKEY(key, &der);
    if (len <= 0)
        return pki_error(err, LEST_E_CRYPTO, "the public key cannot be encoded");
    lest_buf_append(out, der, (size_t)len);
    OPENSSL_free(der);
    return lest_buf_status(out, err);
}

void pki_public_normalize(EVP_PKEY *key)
{
    pki_error_mark();
    if (EVP_PKEY_is_a(key, "EC"))
        EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                       OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED);
    pki_error_back();
}

/* Every other form of a key that is read is the one that OpenSSL writes (see read_rsa, is_canonical). */
static bool is_compressed(const struct pki_spki *spki)
{
    return pki_oid_is(spki->algorithm, PKI_OID_EC_PUBLIC_KEY) && spki->bits.len > 0 &&
           spki->bits.data[0] != 4;
}

struct pki_bytes pki_spki_canonical(const struct pki_spki *spki, struct lest_buf *storage)
{
    struct pki_der_doc doc = { .noun = "public key", .malformed = LEST_E_KEY_MALFORMED };
    struct pki_bytes canonical = spki->whole;
    EVP_PKEY *key = is_compressed(spki) ? pki_spki_key(&doc, spki) : NULL;
    if (key) {
        pki_public_normalize(key);
        if (pki_public_encode(key, storage, NULL) == LEST_OK)
            canonical = (struct pki_bytes){ storage->data, storage->len };
        EVP_PKEY_free(key);
        pki_error_clear();
    }
    return canonical;
}

struct pki_bytes pki_public_canonical(struct pki_bytes spki, struct lest_buf *storage)
{
    struct pki_der_doc doc = { .noun = "public key", .malformed = LEST_E_KEY_MALFORMED };
    struct pki_spki parts;
    return pki_spki_read(&doc, spki, &parts) ? pki_spki_canonical(&parts, storage) : spki;
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

static enum lest_status split_whole(struct pki_bytes whole, struct pki_spki *spki, struct lest_error *err)
{
    struct pki_der_doc doc = { .noun = "SubjectPublicKeyInfo",
                               .malformed = LEST_E_KEY_MALFORMED,
                               .err = err };
    split(&doc, whole, spki);
    return doc.status;
}

enum lest_status pki_public_check(struct pki_bytes spki, struct lest_error *err)
{
    struct pki_spki parts;
    return split_whole(spki, &parts, err);
}

enum lest_status pki_public_bits(struct pki_bytes spki, struct pki_bytes *bits, struct lest_error *err)
{
    struct pki_spki parts;
    enum lest_status status = split_whole(spki, &parts, err);
    *bits = status ? (struct pki_bytes){ NULL, 0 } : parts.bits;
    return status;
}

enum lest_status pki_public_key_id(struct pki_bytes spki, uint8_t id[20], struct lest_error *err)
{
    struct pki_bytes bits;
    enum lest_status status = pki_public_bits(spki, &bits, err);
    if (status)
        return status;
    const EVP_MD *sha1 = pki_digest_get0(PKI_SHA1);
    pki_error_clear();
    if (!sha1 || !EVP_Digest(bits.data, bits.len, id, NULL, sha1, NULL))
        return pki_error(err, LEST_E_CRYPTO, "SHA-1 of the public key cannot be computed");
    return LEST_OK;
}

enum lest_status pki_public_hash(struct pki_bytes spki, uint8_t hash[PKI_SECRET_HASH_LEN],
                                 struct lest_error *err)
{
    static const uint8_t no_unused_bits = 0;
    struct pki_spki parts;
    struct lest_buf plain;
    lest_buf_init(&plain, PKI_PUBLIC_MAX);
    enum lest_status status = split_whole(spki, &parts, err);
    if (!status && pki_oid_is(parts.algorithm, PKI_OID_RSA_PSS)) {
        size_t whole = pki_der_put_open(&plain, PKI_DER_SEQUENCE);
        size_t algorithm = pki_der_put_open(&plain, PKI_DER_SEQUENCE);
        pki_oid_put(&plain, PKI_OID_RSA);
        pki_der_put(&plain, PKI_DER_NULL, NULL, 0);
        pki_der_put_close(&plain, algorithm);
        size_t bits = pki_der_put_open(&plain, PKI_DER_BIT_STRING);
        lest_buf_append(&plain, &no_unused_bits, 1);
        lest_buf_append(&plain, parts.bits.data, parts.bits.len);
        pki_der_put_close(&plain, bits);
        pki_der_put_close(&plain, whole);
        status = lest_buf_status(&plain, err);
        spki = (struct pki_bytes){ plain.data, plain.len };
    }
    if (!status)
        status = pki_secret_sha256(spki.data, spki.len, hash, err);
    lest_buf_free(&plain);
    return status;
}

void pki_public_describe(struct pki_bytes spki, char type[PKI_KEY_TYPE_MAX], int *security_bits)
{
    struct pki_der_doc doc = { .noun = "public key", .malformed = LEST_E_KEY_MALFORMED };
    struct pki_spki parts;
    char text[PKI_OID_TEXT_MAX];
    *security_bits = 0;
    snprintf(type, PKI_KEY_TYPE_MAX, "unknown");
    EVP_PKEY *key = pki_spki_read(&doc, spki, &parts) ? pki_spki_key(&doc, &parts) : NULL;
    if (key) {
        pki_public_type(key, type);
        *security_bits = pki_public_security_bits(key);
        EVP_PKEY_free(key);
    } else if (split_whole(spki, &parts, NULL) == LEST_OK) {
        pki_oid_describe(parts.algorithm, text);
        snprintf(type, PKI_KEY_TYPE_MAX, "%.*s", PKI_KEY_TYPE_MAX - 1, text);
    }
}
