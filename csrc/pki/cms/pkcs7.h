/* certs-only CMS (RFC 5652 section 5, RFC 5272 section 4.1): the bag in which EST answers. */
#ifndef LEST_PKI_CMS_PKCS7_H
#define LEST_PKI_CMS_PKCS7_H

#include "pki/asn1/oid.h"
#include "pki/x509/cert.h"
#include "pki/x509/crl.h"

enum {
    PKI_PKCS7_MAX = 16 * 1024 * 1024,
    PKI_PKCS7_CERTS_MAX = 64,
    PKI_PKCS7_CRLS_MAX = 16,
};

/** What a CMS message is. type and content_type are texts (name or dotted OID); for anything but SignedData
 *  only type is set.
 *  der          the message in DER, which the spans below point into
 *  content_oid  contents of the content's type
 *  content      contents of what stands in eContent; data NULL where that is absent
 *  signer_info  contents of SignerInfos, for pki_signed_read
 *  skipped      certificates and revocation data of kinds that are no X.509 */
struct pki_pkcs7 {
    struct lest_buf der;
    char type[256];
    char content_type[256];
    bool is_signed_data;
    int64_t version;
    struct pki_bytes content_oid, content, signer_info;
    size_t signers;
    size_t skipped;
    struct pki_certs certs;
    struct pki_crl *crls[PKI_PKCS7_CRLS_MAX];
    size_t crl_count;
};

/** Any SignedData that is to be written. certs, crls: each one DER element.
 *  version       of the message (RFC 5652 5.1)
 *  digests       contents of DigestAlgorithmIdentifiers
 *  content_type  of the content
 *  content       what goes into eContent; data NULL leaves it out
 *  signer_info   contents of SignerInfos */
struct pki_pkcs7_plan {
    const struct pki_bytes *certs, *crls;
    size_t cert_count, crl_count;
    int version;
    struct pki_bytes digests, content, signer_info;
    enum pki_oid content_type;
};

/** Append it. Errors: LEST_E_PKCS7_MALFORMED (an entry is no single SEQUENCE), LEST_E_TOO_LARGE,
 *  LEST_E_NOMEM */
enum lest_status pki_pkcs7_put(const struct pki_pkcs7_plan *plan, struct lest_buf *out,
                               struct lest_error *err) LEST_MUST_USE;

/** Append a certs-only SignedData: version 1, no digest algorithms, eContentType id-data without content, no
 *  signers (RFC 5652 5.1). Certificates keep their order: DER would sort them, but clients that take the
 *  first one for theirs are many, and CMS need not be DER.
 *  Errors: as pki_pkcs7_put */
enum lest_status pki_pkcs7_encode(const struct pki_bytes *certs, size_t cert_count,
                                  const struct pki_bytes *crls, size_t crl_count, struct lest_buf *out,
                                  struct lest_error *err) LEST_MUST_USE;

/** Read any CMS message as far as its kind, and all of a SignedData; BER or DER, or PEM, told apart by
 *  looking. Certificates keep their order, and duplicates stay.
 *  out  the caller's, pki_pkcs7_free(); empty on failure
 *  Errors: LEST_E_PKCS7_MALFORMED, LEST_E_CERT_MALFORMED, LEST_E_CRL_MALFORMED, LEST_E_PEM,
 *  LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_pkcs7_read(const void *data, size_t len, struct pki_pkcs7 *out,
                                struct lest_error *err) LEST_MUST_USE;

/** As pki_pkcs7_read, but only for a bag of certificates and CRLs: SignedData without content and without
 *  signers. */
enum lest_status pki_pkcs7_decode(const void *data, size_t len, struct pki_pkcs7 *out,
                                  struct lest_error *err) LEST_MUST_USE;

void pki_pkcs7_free(struct pki_pkcs7 *pkcs7);

#endif
