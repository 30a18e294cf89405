#include "pki/key/rsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>

#include <stdatomic.h>

static bool read_number(struct pki_der *in, const char *what, struct pki_bytes *number)
{
    struct pki_der at = *in;
    if (!pki_der_integer(in, what, number))
        return false;
    if (number->data[0] & 0x80 || (number->len == 1 && number->data[0] == 0))
        return pki_der_fail(&at, "%s is not positive", what);
    if (number->data[0] == 0) {
        number->data++;
        number->len--;
    }
    return true;
}

unsigned pki_rsa_bits(const struct pki_rsa *rsa)
{
    unsigned bits = (unsigned)rsa->modulus.len * 8;
    for (uint8_t first = rsa->modulus.data[0]; !(first & 0x80); first = (uint8_t)(first << 1))
        bits--;
    return bits;
}

bool pki_rsa_read(struct pki_der *in, struct pki_rsa *rsa)
{
    struct pki_der body, at = *in;
    if (!pki_der_read(in, PKI_DER_SEQUENCE, "the key", &body) || !pki_der_end(in, "the key") ||
        !read_number(&body, "the modulus", &rsa->modulus) ||
        !read_number(&body, "the exponent", &rsa->exponent) || !pki_der_end(&body, "the key"))
        return false;
    /* The length first: the number of bits is then no overflow. */
    if (rsa->modulus.len > PKI_RSA_READ_BITS_MAX / 8 || pki_rsa_bits(rsa) < PKI_RSA_READ_BITS_MIN)
        return pki_der_fail(&at, "the modulus has not %d to %d bits", PKI_RSA_READ_BITS_MIN,
                            PKI_RSA_READ_BITS_MAX);
    return rsa->exponent.len <= PKI_RSA_EXPONENT_LEN_MAX ||
           pki_der_fail(&at, "the exponent has more than %d bits", 8 * PKI_RSA_EXPONENT_LEN_MAX);
}

bool pki_rsa_sound(const struct pki_rsa *rsa)
{
    bool is_one = rsa->exponent.len == 1 && rsa->exponent.data[0] == 1;
    return rsa->exponent.data[rsa->exponent.len - 1] & 1 && !is_one;
}

/* A context to make keys with. A thread takes it out while it uses it; one that finds none makes its own. */
static _Atomic(EVP_PKEY_CTX *) idle;

static EVP_PKEY_CTX *take_context(void)
{
    EVP_PKEY_CTX *ctx = atomic_exchange(&idle, NULL);
    if (!ctx && (ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL)) && EVP_PKEY_fromdata_init(ctx) <= 0) {
        EVP_PKEY_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

static void give_back(EVP_PKEY_CTX *ctx)
{
    EVP_PKEY_CTX_free(atomic_exchange(&idle, ctx));
}

EVP_PKEY *pki_rsa_key(const struct pki_rsa *rsa)
{
    /* OpenSSL wants numbers in the byte order of the machine. */
    unsigned char modulus[PKI_RSA_READ_BITS_MAX / 8];
    int len = (int)rsa->modulus.len;
    uint64_t exponent = 0;
    for (size_t i = 0; i < rsa->exponent.len; i++)
        exponent = exponent << 8 | rsa->exponent.data[i];
    OSSL_PARAM params[] = { OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, modulus, rsa->modulus.len),
                            OSSL_PARAM_construct_uint64(OSSL_PKEY_PARAM_RSA_E, &exponent),
                            OSSL_PARAM_construct_end() };
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = take_context();
    BIGNUM *n = BN_bin2bn(rsa->modulus.data, len, NULL);
    if (!ctx || !n || BN_bn2nativepad(n, modulus, len) != len ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    BN_free(n);
    give_back(ctx);
    return key;
}
