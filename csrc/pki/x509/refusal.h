/* Why a verification failed, in one sentence. */
#ifndef LEST_PKI_X509_REFUSAL_H
#define LEST_PKI_X509_REFUSAL_H

#include "base/error.h"

#include <openssl/x509_vfy.h>

/** The sentence for a verification that failed, also in a TLS handshake, with the certificate at fault, its
 *  depth and the reason. Always LEST_E_CERT_UNTRUSTED or LEST_E_NOMEM. */
enum lest_status pki_refusal(X509_STORE_CTX *ctx, struct lest_error *err);

#endif
