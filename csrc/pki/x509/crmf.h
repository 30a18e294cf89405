/* CRMF (RFC 4211) as a message of CMC has it (RFC 5272 3.2.1.2.2): a CertReqMsg is read into a struct
 * pki_csr, and made of its plan. */
#ifndef LEST_PKI_X509_CRMF_H
#define LEST_PKI_X509_CRMF_H

#include "pki/x509/csr.h"

/** Whether these contents of a request are those of a CertReqMsg. */
bool pki_crmf_is(struct pki_der in);

/** Read them to their end: subject and public key are there, what the CA alone says is not, nor regInfo or
 *  POPOSigningKeyInput. Without a signature the request is_unsigned, whatever other proof it has. */
bool pki_crmf_read(struct pki_csr *csr, struct pki_der in);

/** Append the CertReqMsg of a plan. Errors: as pki_csr_build */
enum lest_status pki_crmf_build(const struct pki_csr_plan *plan, struct lest_buf *out,
                                struct lest_error *err) LEST_MUST_USE;

#endif
