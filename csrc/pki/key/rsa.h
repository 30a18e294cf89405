/* RSA public keys (RFC 8017 A.1.1). */
#ifndef LEST_PKI_KEY_RSA_H
#define LEST_PKI_KEY_RSA_H

#include "pki/asn1/der.h"

#include <openssl/evp.h>

/** Bounds of what is read. An exponent of more than 64 bits is in no use and makes a verification cost as
 *  much as a signature; OpenSSL has the same bound for large moduli (OPENSSL_RSA_MAX_PUBEXP_BITS). */
enum { PKI_RSA_READ_BITS_MIN = 1024, PKI_RSA_READ_BITS_MAX = 16384, PKI_RSA_EXPONENT_LEN_MAX = 8 };

/** Both unsigned, big-endian, without a zero byte in front; borrowed. */
struct pki_rsa {
    struct pki_bytes modulus, exponent;
};

/** Read the whole of an RSAPublicKey: two positive integers in their shortest form, within the bounds. */
bool pki_rsa_read(struct pki_der *in, struct pki_rsa *rsa);

unsigned pki_rsa_bits(const struct pki_rsa *rsa);

/** Whether the exponent is one: odd, and not 1, with which every message is its own signature. */
bool pki_rsa_sound(const struct pki_rsa *rsa);

/** Make a key; it goes past the provider's decoder, which takes 10 times as long in OpenSSL 3.0. Thread-safe.
 *  Returns NULL on failure, with OpenSSL's queue for the reason; the caller frees the key. */
EVP_PKEY *pki_rsa_key(const struct pki_rsa *rsa);

#endif
