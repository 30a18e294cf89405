/* Digests, fetched from OpenSSL once for the process and then shared: fetching one costs more than many a
 * digest. Thread-safe. */
#ifndef LEST_PKI_KEY_DIGEST_H
#define LEST_PKI_KEY_DIGEST_H

#include <openssl/evp.h>

enum pki_digest { PKI_SHA1, PKI_SHA256, PKI_SHA384, PKI_SHA512, PKI_DIGEST_COUNT };

/** The digest, borrowed, or NULL if this OpenSSL will not give it. */
const EVP_MD *pki_digest_get0(enum pki_digest digest);

#endif
