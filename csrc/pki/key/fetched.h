/* Algorithms of OpenSSL that are fetched once for the process and then shared: fetching costs more than many
 * of the operations themselves. Thread-safe; nothing is changed after the first use. */
#ifndef LEST_PKI_KEY_FETCHED_H
#define LEST_PKI_KEY_FETCHED_H

#include <openssl/evp.h>

enum pki_digest { PKI_SHA1, PKI_SHA256, PKI_SHA384, PKI_SHA512, PKI_DIGEST_COUNT };
enum pki_curve { PKI_P256, PKI_P384, PKI_P521, PKI_CURVE_COUNT };

/** The digest, or NULL if this OpenSSL will not give it. */
const EVP_MD *pki_fetched_digest(enum pki_digest digest);

/** A public key on this curve, to be copied and given another point (EVP_PKEY_dup and
 *  EVP_PKEY_set1_encoded_public_key): that leaves out the provider's decoder. NULL if there is none. */
EVP_PKEY *pki_fetched_curve(enum pki_curve curve);

#endif
