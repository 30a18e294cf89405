#include "pki/key/curve.h"

#include "pki/error.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include <stdatomic.h>
#include <string.h>

enum { FIELD_LEN_MAX = 66 };

static const struct {
    const char *name;
    const char *group;
    enum pki_oid oid;
    size_t field_len;
} curves[] = {
    [PKI_P256] = { "P-256", "prime256v1", PKI_OID_P256, 32 },
    [PKI_P384] = { "P-384", "secp384r1", PKI_OID_P384, 48 },
    [PKI_P521] = { "P-521", "secp521r1", PKI_OID_P521, 66 },
};
_Static_assert(sizeof curves / sizeof *curves == PKI_CURVE_COUNT, "every curve has a row");

enum pki_curve pki_curve_by_oid(struct pki_bytes oid)
{
    enum pki_curve curve = PKI_P256;
    while (curve < PKI_CURVE_COUNT && !pki_oid_is(oid, curves[curve].oid))
        curve++;
    return curve;
}

enum pki_curve pki_curve_by_group(const char *group)
{
    enum pki_curve curve = PKI_P256;
    while (curve < PKI_CURVE_COUNT && strcmp(group, curves[curve].group) != 0)
        curve++;
    return curve;
}

const char *pki_curve_name(enum pki_curve curve)
{
    return curves[curve].name;
}

static bool param_is(const EVP_PKEY *key, const char *param, const char *expected)
{
    char value[32];
    return EVP_PKEY_get_utf8_string_param(key, param, value, sizeof value, NULL) > 0 &&
           strcmp(value, expected) == 0;
}

/* PKI_CURVE_COUNT, too, for a key whose domain parameters are written out (RFC 5480 2.1.1 forbids that), or
 * whose point is compressed: what its owner chose is for OpenSSL to write. */
static enum pki_curve curve_of(const EVP_PKEY *key)
{
    char group[16];
    bool plain = EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) > 0 &&
                 param_is(key, OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_GROUP) &&
                 param_is(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                          OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED);
    return plain ? pki_curve_by_group(group) : PKI_CURVE_COUNT;
}

bool pki_curve_encode(const EVP_PKEY *key, struct lest_buf *out)
{
    uint8_t *point = NULL;
    pki_error_mark();
    enum pki_curve curve = curve_of(key);
    size_t len = curve == PKI_CURVE_COUNT ? 0 : EVP_PKEY_get1_encoded_public_key((EVP_PKEY *)key, &point);
    pki_error_back();
    if (len) {
        size_t whole = pki_der_put_open(out, PKI_DER_SEQUENCE);
        size_t algorithm = pki_der_put_open(out, PKI_DER_SEQUENCE);
        pki_oid_put(out, PKI_OID_EC_PUBLIC_KEY);
        pki_oid_put(out, curves[curve].oid);
        pki_der_put_close(out, algorithm);
        size_t bits = pki_der_put_open(out, PKI_DER_BIT_STRING);
        lest_buf_append_byte(out, 0); /* unused bits */
        lest_buf_append(out, point, len);
        pki_der_put_close(out, bits);
        pki_der_put_close(out, whole);
    }
    OPENSSL_free(point);
    return len != 0;
}

/* Make a key of a group's name, at the beginning of params, and of what follows it. */
static EVP_PKEY *make_key(enum pki_curve curve, int selection, OSSL_PARAM params[])
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curves[curve].group, 0);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 || EVP_PKEY_fromdata(ctx, &key, selection, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* For each curve a key with the group and no point: any operation on it but copying fails. Borrowed; NULL
 * where it cannot be made. */
static const EVP_PKEY *parameters_of(enum pki_curve curve)
{
    static _Atomic(EVP_PKEY *) made[PKI_CURVE_COUNT];
    EVP_PKEY *known = atomic_load(&made[curve]);
    if (known)
        return known;
    OSSL_PARAM params[] = { OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end() };
    EVP_PKEY *key = make_key(curve, EVP_PKEY_KEY_PARAMETERS, params);
    if (key && !atomic_compare_exchange_strong(&made[curve], &known, key)) {
        EVP_PKEY_free(key); /* another thread was faster; both made the same */
        key = known;
    }
    return key;
}

/* OpenSSL looks at the length and the first byte, too, but takes the point at infinity, which is one byte of
 * zero, and the hybrid form, which RFC 5480 2.2 forbids. */
static bool has_form(struct pki_bytes point, size_t field_len)
{
    if (point.len == 2 * field_len + 1)
        return point.data[0] == 4;
    return point.len == field_len + 1 && (point.data[0] == 2 || point.data[0] == 3);
}

bool pki_curve_set_point(enum pki_curve curve, EVP_PKEY *key, struct pki_bytes point)
{
    return has_form(point, curves[curve].field_len) &&
           EVP_PKEY_set1_encoded_public_key(key, point.data, point.len) > 0;
}

EVP_PKEY *pki_curve_key(enum pki_curve curve, struct pki_bytes point)
{
    const EVP_PKEY *parameters = parameters_of(curve);
    EVP_PKEY *key = parameters ? EVP_PKEY_dup((EVP_PKEY *)parameters) : NULL;
    if (key && !pki_curve_set_point(curve, key, point)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

EVP_PKEY *pki_curve_private_key(enum pki_curve curve, struct pki_bytes scalar, struct pki_bytes point)
{
    size_t len = curves[curve].field_len; /* that of the order, too */
    unsigned char native[FIELD_LEN_MAX];
    EVP_PKEY *key = NULL;
    BIGNUM *number = NULL;
    if (scalar.len == len && has_form(point, len) && (number = BN_bin2bn(scalar.data, (int)len, NULL)) &&
        !BN_is_zero(number) && BN_bn2nativepad(number, native, (int)len) == (int)len) {
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_end(), /* the group's name */
            OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, len),
            OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point.data, point.len),
            OSSL_PARAM_construct_end(),
        };
        key = make_key(curve, EVP_PKEY_KEYPAIR, params);
        OPENSSL_cleanse(native, sizeof native);
    }
    BN_clear_free(number);
    return key;
}
