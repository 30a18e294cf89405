#include "jose/key.h"

#include "base/base64.h"
#include "base/json.h"
#include "jose/cjose.h"
#include "jose/token.h"
#include "pki/error.h"

#include <stdlib.h>
#include <string.h>

/* CJOSE_HDR_ALG is a variable of a library that is loaded later. */
#define CJOSE_ALG "alg"

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, NUMBER_MAX = 4096 };

struct jose_key {
    cjose_jwk_t *jwk;
    cjose_jwk_kty_t kty;
    cjose_jwk_ec_curve curve; /* of an EC key; else CJOSE_JWK_EC_INVALID */
};

/* EdDSA is missing: libcjose 0.6.2 does not know it. */
static const struct algorithm {
    const char *name;
    cjose_jwk_kty_t kty;
    cjose_jwk_ec_curve curve;
} algorithms[] = {
    { "RS256", CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
    { "RS384", CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
    { "RS512", CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
    { "PS256", CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
    { "PS384", CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
    { "PS512", CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
    { "ES256", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_256 },
    { "ES384", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_384 },
    { "ES512", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_521 },
};

const char *jose_algorithm(size_t i)
{
    return i < sizeof algorithms / sizeof *algorithms ? algorithms[i].name : NULL;
}

bool jose_key_fits(const struct jose_key *key, const char *algorithm)
{
    for (size_t i = 0; jose_algorithm(i); i++)
        if (strcmp(jose_algorithm(i), algorithm) == 0)
            return algorithms[i].kty == key->kty && algorithms[i].curve == key->curve;
    return false;
}

/* Of a failure, libcjose's own word is not taken: it calls a point that is not on its curve a want of memory,
 * for which this process would end. */
static enum lest_status describe(struct jose_key *key, struct lest_error *err)
{
    cjose_err why = { .code = CJOSE_ERR_NONE };
    key->kty = jose_cjose.jwk_get_kty(key->jwk, &why);
    key->curve = CJOSE_JWK_EC_INVALID;
    if (key->kty == CJOSE_JWK_KTY_EC) {
        key->curve = jose_cjose.jwk_EC_get_curve(key->jwk, &why);
        return LEST_OK;
    }
    if (key->kty != CJOSE_JWK_KTY_RSA)
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED, "the key is no public one");
    size_t bits = jose_cjose.jwk_get_keysize(key->jwk, &why);
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        return lest_error_set(err, LEST_E_KEY_UNSUPPORTED,
                              "an RSA key has %d to %d bits here, and this one has %zu", RSA_BITS_MIN,
                              RSA_BITS_MAX, bits);
    return LEST_OK;
}

static bool is_text(const struct lest_json_token *token, const char *text)
{
    return token->len == strlen(text) && memcmp(token->text, text, token->len) == 0;
}

/* Members with which a public key is made (RFC 7518 6.2.1, 6.3.1). */
static bool is_number(const struct lest_json_token *name)
{
    return is_text(name, "n") || is_text(name, "e") || is_text(name, "x") || is_text(name, "y");
}

/* With the exponent 1 everything is a signature of itself, and with an even one nothing is. */
static bool is_exponent(const struct lest_buf *bytes)
{
    size_t last = bytes->len - 1;
    bool is_large = bytes->data[last] > 1;
    for (size_t i = 0; i < last; i++)
        is_large = is_large || bytes->data[i];
    return is_large && bytes->data[last] & 1;
}

/* What the members of a JWK were read with: room for its numbers, and how the last one was read. */
struct members {
    struct lest_buf bytes;
    enum lest_status status;
};

/* libcjose ends the process for some numbers that are not base64url. */
static bool is_plain(const struct lest_json_token *name, const struct lest_json_token *value,
                     struct members *members)
{
    if (value->kind != LEST_JSON_STRING)
        return false;
    if (!is_number(name))
        return is_text(name, "kty") || is_text(name, "crv");
    struct lest_buf *bytes = &members->bytes;
    bytes->len = 0;
    members->status = lest_base64url_decode(value->text, value->len, bytes, NULL);
    return !members->status && bytes->len && (!is_text(name, "e") || is_exponent(bytes));
}

/* An object of texts, those that make a public key and no others. */
static bool is_public(const char *json, size_t len, struct members *members)
{
    struct lest_json_reader reader;
    lest_json_read(&reader, json, len);
    struct lest_json_token name = lest_json_next(&reader);
    if (name.kind != LEST_JSON_OBJECT)
        return false;
    while ((name = lest_json_next(&reader)).kind == LEST_JSON_NAME) {
        struct lest_json_token value = lest_json_next(&reader);
        if (!is_plain(&name, &value, members))
            return false;
    }
    return name.kind == LEST_JSON_OBJECT_END && lest_json_next(&reader).kind == LEST_JSON_END;
}

static enum lest_status check_members(const char *json, size_t len, struct lest_error *err)
{
    struct members members = { .status = LEST_OK };
    lest_buf_init(&members.bytes, NUMBER_MAX);
    bool good = is_public(json, len, &members);
    lest_buf_free(&members.bytes);
    if (good)
        return LEST_OK;
    return members.status == LEST_E_NOMEM
               ? lest_error_set(err, LEST_E_NOMEM, "out of memory")
               : lest_error_set(err, LEST_E_KEY_MALFORMED, "the JWK is not of the members of a public key");
}

enum lest_status jose_key_import(const char *json, size_t len, struct jose_key **out, struct lest_error *err)
{
    cjose_err why = { .code = CJOSE_ERR_NONE };
    *out = NULL;
    enum lest_status status = jose_cjose_load(err);
    if (status)
        return status;
    status = check_members(json, len, err);
    if (status)
        return status;
    struct jose_key *key = calloc(1, sizeof *key);
    if (!key)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    pki_error_clear();
    key->jwk = jose_cjose.jwk_import(json, len, &why);
    status =
        key->jwk ? describe(key, err) : lest_error_set(err, LEST_E_KEY_MALFORMED, "the JWK cannot be read");
    pki_error_clear();
    if (status)
        jose_key_free(key);
    else
        *out = key;
    return status;
}

void jose_key_free(struct jose_key *key)
{
    if (!key)
        return;
    if (key->jwk)
        jose_cjose.jwk_release(key->jwk);
    free(key);
}

/* Its own word for what was signed must be the one that was read strictly. */
static bool is_of_payload(cjose_jws_t *jws, const struct lest_buf *payload, cjose_err *why)
{
    uint8_t *plain = NULL;
    size_t len = 0;
    return jose_cjose.jws_get_plaintext(jws, &plain, &len, why) && len == payload->len &&
           memcmp(plain, payload->data, len) == 0;
}

static enum lest_status verify(const struct jose_key *key, const char *algorithm, cjose_jws_t *jws,
                               const struct lest_buf *payload, struct lest_error *err)
{
    cjose_err why = { .code = CJOSE_ERR_NONE };
    const char *named = jose_cjose.header_get(jose_cjose.jws_get_protected(jws), CJOSE_ALG, &why);
    if (!named || strcmp(named, algorithm) != 0 || !jose_key_fits(key, algorithm))
        return lest_error_set(err, LEST_E_UNAUTHENTICATED, "the token is of another algorithm");
    if (!jose_cjose.jws_verify(jws, key->jwk, &why) || !is_of_payload(jws, payload, &why))
        return lest_error_set(err, LEST_E_UNAUTHENTICATED, "the signature of the token is not right");
    return LEST_OK;
}

enum lest_status jose_key_verify(const struct jose_key *key, const char *algorithm, const char *token,
                                 size_t len, struct lest_buf *payload, struct lest_error *err)
{
    cjose_err why = { .code = CJOSE_ERR_NONE };
    enum lest_status status = jose_token_read(token, len, NULL, payload, err);
    if (status)
        goto out;
    pki_error_clear();
    cjose_jws_t *jws = jose_cjose.jws_import(token, len, &why);
    if (!jws) {
        status = lest_error_set(err, LEST_E_MALFORMED, "the token cannot be read");
        goto out;
    }
    status = verify(key, algorithm, jws, payload, err);
    jose_cjose.jws_release(jws);
    pki_error_clear();
out:
    if (status)
        lest_buf_wipe(payload);
    return status;
}
