/* The digests of signed messages: those of SHA-2, by their identifiers (RFC 5754). */
#ifndef LEST_PKI_CMS_SHA2_H
#define LEST_PKI_CMS_SHA2_H

#include "pki/asn1/oid.h"
#include "pki/key/digest.h"

/** oid: of the digest; rsa: of RSA (PKCS#1 1.5) with it. */
struct pki_sha2 {
    enum pki_oid oid;
    enum pki_digest digest;
    enum pki_oid rsa;
};

enum { PKI_SHA2S = 3 };
extern const struct pki_sha2 pki_sha2s[PKI_SHA2S];

/** The place of the digest whose identifier has these contents; PKI_SHA2S for another. */
size_t pki_sha2_find(struct pki_bytes oid);

#endif
