/* A certification authority: its certificate and key, and the certificates it signs (RFC 5280).
 *
 * A certificate is assembled by the DER writer and signed with a kept context: X509_sign and its kind encode,
 * decode and fetch several times over (342 us against 45 on one machine). */
#ifndef LEST_PKI_X509_ISSUER_H
#define LEST_PKI_X509_ISSUER_H

#include "pki/key/signature.h"
#include "pki/x509/cert.h"

enum { PKI_SERIAL_LEN = 16, PKI_SERIAL_TIME_LEN = 4, PKI_SERIAL_MAX = 20, PKI_ISSUER_URLS_MAX = 16 };

/** May be used by several threads at once. */
struct pki_issuer;

/** cert    the CA's own, which must say so: basicConstraints cA, and keyCertSign where it has a keyUsage
 *  digest  as pki_signer_new
 *  out     the caller's, pki_issuer_free(); keeps references to both
 *  Errors: LEST_E_ISSUE (no CA, or not its key), LEST_E_KEY_UNSUPPORTED, LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_issuer_new(struct pki_cert *cert, const struct pki_key *key, const char *digest,
                                struct pki_issuer **out, struct lest_error *err) LEST_MUST_USE;
void pki_issuer_free(struct pki_issuer *issuer);

/** The CA's certificate, borrowed. */
struct pki_cert *pki_issuer_get0_cert(const struct pki_issuer *issuer);

/** What signs for the CA, and the value of the AuthorityKeyIdentifier that says which key it was; both
 *  borrowed. */
struct pki_signer *pki_issuer_get0_signer(const struct pki_issuer *issuer);
struct pki_bytes pki_issuer_aki(const struct pki_issuer *issuer);

/** What a new certificate says. Absent bytes (data NULL) are left out; all borrowed.
 *  spki         whole SubjectPublicKeyInfo of a key that was read before: only its outer form is looked at
 *  subject      whole Name; absent is the empty name, which wants a san
 *  san          whole GeneralNames
 *  serial       unsigned, big-endian; absent: the second of issue and 96 random bits
 *  times        seconds since 1970, to the end of 9999; not_after at most the CA's
 *  key_usage    bits as in struct pki_cert; 0 is digitalSignature; keyCertSign and cRLSign are refused
 *  eku          contents of ExtKeyUsageSyntax
 *  extensions   a run of whole Extension elements, added last; none may stand here that is made above
 *  crl_urls, ocsp_urls, ca_issuer_urls   at most PKI_ISSUER_URLS_MAX each */
struct pki_issue {
    struct pki_bytes spki, subject, san, serial, eku, extensions;
    int64_t not_before, not_after;
    unsigned key_usage;
    const struct pki_bytes *crl_urls, *ocsp_urls, *ca_issuer_urls;
    size_t crl_url_count, ocsp_url_count, ca_issuer_url_count;
};

/** Append the DER of a new end-entity certificate, never a CA's: v3, with both key identifiers,
 *  basicConstraints with cA FALSE, and keyUsage; the last two are critical. The subject key identifier is the
 *  SHA-1 of the key's bits, method 1 of RFC 5280 4.2.1.2, as other CAs make it.
 *  Errors: LEST_E_ISSUE (the plan is not possible), LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_issuer_issue(const struct pki_issuer *issuer, const struct pki_issue *plan,
                                  struct lest_buf *out, struct lest_error *err) LEST_MUST_USE;

/** Append the DER of a self-signed CA certificate: cA TRUE, keyCertSign and cRLSign.
 *  path_len  -1: without
 *  Errors: as pki_issuer_issue and pki_signer_new */
enum lest_status pki_issuer_root(const struct pki_key *key, const char *digest, struct pki_bytes subject,
                                 int64_t not_before, int64_t not_after, int path_len, struct lest_buf *out,
                                 struct lest_error *err) LEST_MUST_USE;

/** Append the DER of a link (RFC 4210 4.4.1: OldWithNew, NewWithOld): the CA of the same name whose key is
 *  another one, certified by this key, with the key identifier and the path length that it has itself. It is
 *  the only CA certificate that an issuer signs.
 *  other  a CA certificate of the issuer's name and of another key
 *  times  seconds since 1970; not_after at most that of either certificate
 *  Errors: LEST_E_ISSUE (no such CA, times), LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_issuer_link(const struct pki_issuer *issuer, const struct pki_cert *other,
                                 int64_t not_before, int64_t not_after, struct lest_buf *out,
                                 struct lest_error *err) LEST_MUST_USE;

#endif
