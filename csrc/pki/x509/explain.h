/* Why a certificate does not verify: every path from it, and all that speaks against each. For people: nobody
 * is trusted for what is found here. */
#ifndef LEST_PKI_X509_EXPLAIN_H
#define LEST_PKI_X509_EXPLAIN_H

#include "pki/x509/cert.h"
#include "pki/x509/path.h"

#include <openssl/x509_vfy.h>

/** Of one explanation: paths; faults of one path; near misses at its end. */
enum { PKI_TRIES_MAX = 16, PKI_FAULTS_MAX = 40, PKI_MISSES_MAX = 8 };

/** What speaks against the certificate at `depth` (0 is the leaf).
 *  reason  an X509_V_ERR of OpenSSL's
 *  at      seconds since 1970: when it was revoked, when its CRL ended or begins; else 0 */
struct pki_fault {
    int depth, reason;
    int64_t at;
};

/** A certificate that has the name of the missing issuer, and why it is not the issuer. */
struct pki_miss {
    struct pki_cert *cert;
    bool is_anchor;
    int reason;
};

struct pki_misses {
    struct pki_miss list[PKI_MISSES_MAX];
    size_t count;
};

/** chain  leaf first; the key of each has signed the one before
 *  end     how the path ends: X509_V_OK at an anchor; X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT where no issuer is
 *          known; X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN at a root that is no anchor;
 *          X509_V_ERR_CERT_CHAIN_TOO_LONG */
struct pki_try {
    struct pki_certs chain;
    int end;
    struct pki_fault faults[PKI_FAULTS_MAX];
    size_t fault_count;
    struct pki_misses misses;
};

/** cut  a bound ended the search: there may be more paths */
struct pki_explanation {
    struct pki_try tries[PKI_TRIES_MAX];
    size_t count;
    bool cut;
};

/** A stable word for a reason ("expired", "key_id"); "other" for what has none. */
const char *pki_fault_name(int reason);

/** Find the paths from ctx's certificate, with ctx's time, purpose and level.
 *  ctx      of a store, not yet verified; its untrusted certificates are not looked at
 *  anchors, others  borrowed: what is trusted, and what may stand between
 *  crls     those that certificates are held against, as pki_store_verify() does
 *  out      the caller's, empty before; pki_explanation_free(), also on failure
 *  Errors: LEST_E_NOMEM, LEST_E_CERT_MALFORMED */
enum lest_status pki_explain(X509_STORE_CTX *ctx, const STACK_OF(X509) * anchors,
                             const STACK_OF(X509) * others, X509_STORE *crls, struct pki_explanation *out,
                             struct lest_error *err) LEST_MUST_USE;
void pki_explanation_free(struct pki_explanation *explanation);

#endif
