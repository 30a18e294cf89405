/* EC private keys (RFC 5915), read by hand. */
#ifndef LEST_PKI_KEY_EC_H
#define LEST_PKI_KEY_EC_H

#include "pki/asn1/der.h"

#include <openssl/evp.h>

/** Make a key of a whole ECPrivateKey in its common form: on P-256, P-384 or P-521, with its public key. The
 *  provider's decoder takes many times as long (OpenSSL 3.0).
 *  algorithm  contents of the AlgorithmIdentifier that stands beside it in PKCS#8; data NULL for none, and
 *             the curve is then named in the key
 *  Returns NULL for all else, which is OpenSSL's to read or to refuse; the caller frees the key. */
EVP_PKEY *pki_ec_read(struct pki_bytes der, struct pki_bytes algorithm);

#endif
