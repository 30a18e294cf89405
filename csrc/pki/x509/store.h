/* Trust: anchors and CRLs, and the verification of chains against them (RFC 5280 section 6). */
#ifndef LEST_PKI_X509_STORE_H
#define LEST_PKI_X509_STORE_H

#include "pki/x509/cert.h"
#include "pki/x509/crl.h"
#include "pki/x509/explain.h"

/** Bounds of one verification. */
enum { PKI_STORE_UNTRUSTED_MAX = 64 };

struct pki_store;

/** An empty store, which trusts nobody. Any anchor ends a chain, whether or not it is self-signed; keys and
 *  signatures below 112 bits of security are refused (OpenSSL's level 2).
 *
 *  Each certificate of a chain but the anchor is checked against the CRLs of its issuer that are in the
 *  store: revoked, or a CRL that is expired, not yet valid or has a bad signature, refuses. Where the store
 *  has no CRL of the issuer the certificate is accepted, or refused if crl_required is set: a CRL is then
 *  needed for each of them. "Of its issuer" goes by the name: when a CA has changed its key under one name,
 *  CRLs of both keys belong here. Indirect CRLs are not looked at. A leaf that is itself the anchor is
 *  checked as well.
 *
 *  A store is filled by one thread; after that any number of threads may verify with it.
 *  out  free with pki_store_free()
 *  Errors: LEST_E_NOMEM, LEST_E_CRYPTO */
enum lest_status pki_store_new(bool crl_required, struct pki_store **out,
                               struct lest_error *err) LEST_MUST_USE;
void pki_store_free(struct pki_store *store);

/** Add an anchor or a CRL; the same one twice is no error. */
enum lest_status pki_store_add_anchor(struct pki_store *store, const struct pki_cert *cert,
                                      struct lest_error *err) LEST_MUST_USE;
enum lest_status pki_store_add_crl(struct pki_store *store, const struct pki_crl *crl,
                                   struct lest_error *err) LEST_MUST_USE;

/** Add a certificate that may stand in a chain, as if each leaf had sent it along: it is not trusted for
 *  being here. A client of EST knows only its own certificate (RFC 7030 4.2.3), so a CA under
 *  a root brings the rest. */
enum lest_status pki_store_add_intermediate(struct pki_store *store, const struct pki_cert *cert,
                                            struct lest_error *err) LEST_MUST_USE;

/** OpenSSL's object, borrowed, for TLS contexts: everything above holds for a verification with it by
 *  pki_store_run() (a TLS context brings its own purpose, time and security level). It may outlive the store
 *  by its own references (SSL_CTX_set1_verify_cert_store). */
X509_STORE *pki_store_get0(const struct pki_store *store);

/** In place of X509_verify_cert(), for code that has a context of such a store, or of another (the system's):
 *  every path is tried, as pki_path_verify() says, with the intermediates of the store at hand. 1 is
 *  verified; else the context has the error. */
int pki_store_run(X509_STORE_CTX *ctx);

/** Extended key usage of TLS (id-kp-clientAuth, id-kp-serverAuth) or none asked for. A certificate without
 *  that extension is for any purpose; anyExtendedKeyUsage does not stand for one of the two. */
enum pki_purpose { PKI_PURPOSE_ANY, PKI_PURPOSE_CLIENT, PKI_PURPOSE_SERVER };

struct pki_verify {
    struct pki_cert *const *untrusted;
    size_t untrusted_count;
    int64_t at; /* seconds since 1970 */
    enum pki_purpose purpose;
    bool crl_required; /* for this one, even if not for the store */
    int64_t expired_s; /* by how much the leaf, and it alone, may have expired; 0 for not at all */
};

/** Find and check a chain from leaf to an anchor.
 *  chain  leaf first, anchor last; pki_certs_free(). Empty on failure
 *  Errors: LEST_E_CERT_UNTRUSTED, with the subject at fault, its depth and the reason in the sentence;
 *  LEST_E_CERT_MALFORMED, LEST_E_TOO_LARGE, LEST_E_NOMEM, LEST_E_CRYPTO */
enum lest_status pki_store_verify(const struct pki_store *store, struct pki_cert *leaf,
                                  const struct pki_verify *how, struct pki_certs *chain,
                                  struct lest_error *err) LEST_MUST_USE;

/** Every path from leaf, and what speaks against each: for people, never a reason to trust one. It is bounded
 *  as a verification is.
 *  out  empty before; pki_explanation_free(), also on failure
 *  Errors: LEST_E_CERT_MALFORMED, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_store_explain(const struct pki_store *store, struct pki_cert *leaf,
                                   const struct pki_verify *how, struct pki_explanation *out,
                                   struct lest_error *err) LEST_MUST_USE;

#endif
