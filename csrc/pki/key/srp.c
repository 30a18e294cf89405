/* OpenSSL 3 calls SRP old, and has nothing in its place. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "pki/key/srp.h"

#include "pki/error.h"

#include <stdio.h>

#ifndef OPENSSL_NO_SRP
#include <openssl/srp.h>

bool pki_srp_find(int64_t bits, struct pki_srp_group *out)
{
    char id[24];
    snprintf(id, sizeof id, "%lld", (long long)bits);
    const SRP_gN *found = bits >= PKI_SRP_BITS_MIN ? SRP_get_default_gN(id) : NULL;
    if (!found)
        return false;
    out->prime = found->N;
    out->generator = found->g;
    return true;
}

enum lest_status pki_srp_check(struct lest_error *err)
{
    (void)err;
    return LEST_OK;
}

enum lest_status pki_srp_verifier(const char *name, const char *password, const void *salt, size_t salt_len,
                                  int64_t bits, uint8_t *out, size_t *out_len, struct lest_error *err)
{
    struct pki_srp_group group;
    if (!pki_srp_find(bits, &group) || salt_len > PKI_SRP_SALT_MAX)
        return lest_error_set(err, LEST_E_USAGE, "SRP has no group of %lld bits, or the salt is too long",
                              (long long)bits);
    pki_error_clear();
    BIGNUM *number = BN_bin2bn(salt, (int)salt_len, NULL), *verifier = NULL;
    enum lest_status status = LEST_OK;
    *out_len = (size_t)BN_num_bytes(group.prime);
    if (!number ||
        !SRP_create_verifier_BN(name, password, &number, &verifier, group.prime, group.generator) ||
        BN_bn2binpad(verifier, out, (int)*out_len) < 0)
        status = pki_error(err, LEST_E_CRYPTO, "the verifier cannot be computed");
    BN_free(number);
    BN_clear_free(verifier);
    return status;
}

#else

bool pki_srp_find(int64_t bits, struct pki_srp_group *out)
{
    (void)bits, (void)out;
    return false;
}

enum lest_status pki_srp_check(struct lest_error *err)
{
    return lest_error_set(err, LEST_E_CRYPTO, "this OpenSSL is built without SRP");
}

enum lest_status pki_srp_verifier(const char *name, const char *password, const void *salt, size_t salt_len,
                                  int64_t bits, uint8_t *out, size_t *out_len, struct lest_error *err)
{
    (void)name, (void)password, (void)salt, (void)salt_len, (void)bits, (void)out, (void)out_len;
    return pki_srp_check(err);
}

#endif
