/* certs-only CMS (RFC 5652 section 5, RFC 5272 section 4.1): the bag in which EST answers. */
#ifndef LEST_PKI_CMS_PKCS7_H
#define LEST_PKI_CMS_PKCS7_H

#include "pki/x509/cert.h"
#include "pki/x509/crl.h"

enum {
    PKI_PKCS7_MAX = 16 * 1024 * 1024,
    PKI_PKCS7_CERTS_MAX = 64,
    PKI_PKCS7_CRLS_MAX = 16,
};

/** What a CMS message is. type and content_type are texts (name or dotted OID); for anything but SignedData
 *  only type is set.
 *  skipped  certificates and revocation data of kinds that are no X.509 */
struct pki_pkcs7 {
    char type[256];
    char content_type[256];
    bool is_signed_data;
    int64_t version;
    size_t content_len;
    size_t signers;
    size_t skipped;
    struct pki_certs certs;
    struct pki_crl *crls[PKI_PKCS7_CRLS_MAX];
    size_t crl_count;
};

/** Append a certs-only SignedData: version 1, no digest algorithms, eContentType id-data without content, no
 *  signers (RFC 5652 5.1). Certificates keep their order: DER would sort them, but clients that take the
 *  first one for theirs are many, and CMS need not be DER.
 *  certs, crls  each one DER element
 *  Errors: LEST_E_PKCS7_MALFORMED (an entry is no single SEQUENCE), LEST_E_TOO_LARGE, LEST_E_NOMEM */
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
