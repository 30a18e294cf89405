/* SRP (RFC 5054): what a password is kept as, and the groups that this is in. */
#ifndef LEST_PKI_KEY_SRP_H
#define LEST_PKI_KEY_SRP_H

#include "base/error.h"

#include <openssl/bn.h>
#include <stdbool.h>
#include <stdint.h>

/** BITS_MIN      of the smallest group that is used
 *  VERIFIER_MAX  bytes of a verifier: those of the largest group */
enum { PKI_SRP_BITS_MIN = 2048, PKI_SRP_SALT_MAX = 64, PKI_SRP_VERIFIER_MAX = 1024 };

/** A group of RFC 5054 appendix A, which stays. */
struct pki_srp_group {
    const BIGNUM *prime;
    const BIGNUM *generator;
};

/** The group of so many bits; false where there is none, it is too small, or this OpenSSL has no SRP. */
bool pki_srp_find(int64_t bits, struct pki_srp_group *out);

/** LEST_E_CRYPTO where this OpenSSL has no SRP. */
enum lest_status pki_srp_check(struct lest_error *err) LEST_MUST_USE;

/** The verifier of a name and its password (RFC 5054 2.4), as long as the group's prime.
 *  out  PKI_SRP_VERIFIER_MAX bytes of the caller's, out_len bits / 8 of them used; to be wiped
 *  Errors: LEST_E_CRYPTO, LEST_E_USAGE (the group), LEST_E_NOMEM */
enum lest_status pki_srp_verifier(const char *name, const char *password, const void *salt, size_t salt_len,
                                  int64_t bits, uint8_t *out, size_t *out_len,
                                  struct lest_error *err) LEST_MUST_USE;

#endif
