/* SignedData with content and a signer (RFC 5652 section 5), as CMC messages are: looked into, checked,
 * made. */
#ifndef LEST_PKI_CMS_SIGNED_H
#define LEST_PKI_CMS_SIGNED_H

#include "pki/cms/pkcs7.h"
#include "pki/key/key.h"

enum { PKI_SIGNED_ATTRIBUTES_MAX = 32 };

/** One SignerInfo, all borrowed from its message. Who signed is told by issuer and serial number or by a key
 *  identifier; what is absent has data NULL.
 *  issuer      whole Name
 *  serial      contents of the INTEGER
 *  digest      contents of the digest's identifier
 *  attributes  contents of signedAttrs
 *  algorithm   whole AlgorithmIdentifier of the signature */
struct pki_signed_by {
    struct pki_bytes issuer, serial, key_id, digest, attributes, algorithm, signature;
};

/** Read the one signer of a message. One without signed attributes is malformed: the content of none of these
 *  messages is id-data (5.3).
 *  Errors: LEST_E_CMC_MALFORMED (also where there is not exactly one) */
enum lest_status pki_signed_read(const struct pki_pkcs7 *message, struct pki_signed_by *out,
                                 struct lest_error *err) LEST_MUST_USE;

/** Whether the signer is said to be the holder of this certificate. */
bool pki_signed_is_by(const struct pki_signed_by *by, const struct pki_cert *cert);

/** Check the signature with a public key (5.4, 5.6): the attributes are of this content, and signed. Digests
 *  are those of SHA-2; keys below PKI_SECURITY_BITS_MIN are refused.
 *  spki  whole SubjectPublicKeyInfo
 *  Errors: LEST_E_CMC_SIGNATURE, LEST_E_CMC_MALFORMED, LEST_E_KEY_UNSUPPORTED, LEST_E_NOMEM */
enum lest_status pki_signed_verify(const struct pki_pkcs7 *message, const struct pki_signed_by *by,
                                   struct pki_bytes spki, struct lest_error *err) LEST_MUST_USE;

/** What is to be signed.
 *  key     signs, with its own digest
 *  cert    tells who signed, by its issuer and serial number; NULL: key_id does
 *  key_id  the subject key identifier that the request has (RFC 5272 3.2)
 *  certs, crls  go along */
struct pki_signed_plan {
    enum pki_oid content_type;
    struct pki_bytes content;
    const struct pki_key *key;
    const struct pki_cert *cert;
    struct pki_bytes key_id;
    const struct pki_bytes *certs, *crls;
    size_t cert_count, crl_count;
};

/** Append the message. Errors: LEST_E_KEY_UNSUPPORTED, LEST_E_CRYPTO, LEST_E_NOMEM, LEST_E_TOO_LARGE */
enum lest_status pki_signed_build(const struct pki_signed_plan *plan, struct lest_buf *out,
                                  struct lest_error *err) LEST_MUST_USE;

#endif
