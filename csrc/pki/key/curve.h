/* The curves of NIST that certificates are made with (RFC 5480 2.1.1.1): their names and their domain
 * parameters. Other curves are OpenSSL's to know. */
#ifndef LEST_PKI_KEY_CURVE_H
#define LEST_PKI_KEY_CURVE_H

#include "pki/asn1/oid.h"

#include <openssl/evp.h>

enum pki_curve { PKI_P256, PKI_P384, PKI_P521, PKI_CURVE_COUNT };

/** Which of them this identifier (contents) is, or this name of a group of OpenSSL's ("prime256v1");
 *  PKI_CURVE_COUNT for none. */
enum pki_curve pki_curve_by_oid(struct pki_bytes oid);
enum pki_curve pki_curve_by_group(const char *group);

/** "P-256", "P-384", "P-521". */
const char *pki_curve_name(enum pki_curve curve);

/** Append the SubjectPublicKeyInfo of a key on one of them, without the provider's encoder, which costs as
 *  much as the verification of a signature (OpenSSL 3.0). False for any other key,
 *  and nothing is appended. */
bool pki_curve_encode(const EVP_PKEY *key, struct lest_buf *out);

/** Make a public key from an encoded point (SEC 1 2.3.3), compressed or not, which OpenSSL checks to be on
 *  the curve. The domain parameters are made once for the process and copied, which leaves out the provider's
 *  decoder. Thread-safe.
 *  Returns NULL for what is no point, with OpenSSL's queue for the reason; the caller frees the key. */
EVP_PKEY *pki_curve_key(enum pki_curve curve, struct pki_bytes point);

/** Make a private key of its number and its point, which must be on the curve and is not compared with the
 *  number, as OpenSSL's own decoder does not (pki_signer_new() does); that one costs forty times as much
 *  (OpenSSL 3.0).
 *  scalar  with the length of the curve's order, as SEC 1 C.4 wants it
 *  Returns NULL for anything else, and where no key can be made of it; the caller frees the key. */
EVP_PKEY *pki_curve_private_key(enum pki_curve curve, struct pki_bytes scalar, struct pki_bytes point);

/** Give a key of pki_curve_key() for the same curve another point; false as above, and the key is then good
 *  for nothing but this. */
bool pki_curve_set_point(enum pki_curve curve, EVP_PKEY *key, struct pki_bytes point);

#endif
