/* Certificate revocation lists (RFC 5280 section 5), read. */
#ifndef LEST_PKI_X509_CRL_H
#define LEST_PKI_X509_CRL_H

#include "pki/x509/issuer.h"

enum { PKI_CRL_MAX = 16 * 1024 * 1024 };

/** Views into der, as in struct pki_cert.
 *  next_update  PKI_CRL_NEVER where the CRL does not say
 *  entries      contents of revokedCertificates, for pki_crl_next
 *  number       contents of the cRLNumber INTEGER */
struct pki_crl {
    struct pki_bytes der, issuer, signature_algorithm, entries, extensions, number, aki;
    int64_t this_update, next_update;
    size_t count;
    unsigned version; /* 1 or 2 */
    struct pki_crl_own *own;
};
#define PKI_CRL_NEVER INT64_MAX

/** One revoked certificate. reason is the number of RFC 5280 5.3.1, -1 where none is given. */
struct pki_crl_entry {
    struct pki_bytes serial;
    int64_t date;
    int reason;
};

/** Parse one CRL, DER or PEM told apart by looking; all of the input must be it, every entry well-formed.
 *  data, len  borrowed for the call; at most PKI_CRL_MAX bytes of DER
 *  out        the caller's, free with pki_crl_free(); NULL on failure
 *  Errors: LEST_E_CRL_MALFORMED, LEST_E_PEM, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_crl_parse(const void *data, size_t len, struct pki_crl **out,
                               struct lest_error *err) LEST_MUST_USE;

/** One more reference; pki_crl_free() drops one. */
struct pki_crl *pki_crl_ref(struct pki_crl *crl);
void pki_crl_free(struct pki_crl *crl);

/** Read entries one by one: open once, then until false (the end). */
void pki_crl_open(const struct pki_crl *crl, struct pki_der_doc *doc, struct pki_der *entries);
bool pki_crl_next(struct pki_der *entries, struct pki_crl_entry *entry);

/** Look for a serial number (contents of an INTEGER) from the first entry on. */
bool pki_crl_find(const struct pki_crl *crl, struct pki_bytes serial, struct pki_crl_entry *entry);

/** The name of a reason ("keyCompromise"), NULL for an unknown number and past PKI_CRL_REASON_LAST; and back,
 *  -1 for none. */
enum { PKI_CRL_REASON_LAST = 10 };
const char *pki_crl_reason_name(int reason);
int pki_crl_reason_number(const char *name);

/** OpenSSL's object, borrowed, made at the first call; NULL on failure. */
X509_CRL *pki_crl_get0_x509(const struct pki_crl *crl, struct lest_error *err);

/** Whether issuer signed the CRL: the names match, its key usage (where there is one) allows cRLSign, the
 *  signature verifies. Times are not looked at.
 *  Errors: LEST_E_CERT_UNTRUSTED, LEST_E_CRL_MALFORMED, LEST_E_CERT_MALFORMED */
enum lest_status pki_crl_verify(const struct pki_crl *crl, const struct pki_cert *issuer,
                                struct lest_error *err) LEST_MUST_USE;

/** What a new CRL says. Times are seconds since 1970.
 *  number   greater than that of each earlier one of the same key (RFC 5280 5.2.3)
 *  entries  what pki_crl_put_entry has appended to a buffer, borrowed */
struct pki_crl_plan {
    int64_t number, this_update, next_update;
    struct pki_bytes entries;
};

/** Append an entry to those of a new CRL: one certificate, by its serial number (contents of an INTEGER that
 *  is not negative). reason as in struct pki_crl_entry: `unspecified` is left out, as RFC 5280 5.3.1 asks; a
 *  hold, and its end, cannot be said.
 *  Errors: LEST_E_ISSUE, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_crl_put_entry(struct lest_buf *entries, const struct pki_crl_entry *entry,
                                   struct lest_error *err) LEST_MUST_USE;

/** Append the DER of a new CRL (RFC 5280 5): v2, whole, of all that the key has signed, with its number and
 *  the key's identifier. The same plan gives the same bytes but the signature.
 *  Errors: LEST_E_ISSUE (nextUpdate is not after thisUpdate; the CA's keyUsage has no cRLSign),
 *  LEST_E_TOO_LARGE (out is too small), LEST_E_CRYPTO, LEST_E_NOMEM */
enum lest_status pki_crl_build(const struct pki_issuer *issuer, const struct pki_crl_plan *plan,
                               struct lest_buf *out, struct lest_error *err) LEST_MUST_USE;

#endif
