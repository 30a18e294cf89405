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

/** Read the next control. Its one value stands for the set that an attribute has. */
bool pki_crmf_next_control(struct pki_der *in, struct pki_attr *control);

/** Append the CertReqMsg of a plan. Errors: as pki_csr_build */
enum lest_status pki_crmf_build(const struct pki_csr_plan *plan, struct lest_buf *out,
                                struct lest_error *err) LEST_MUST_USE;

/* The parts that both forms have, of csr.c. elements: how many more there may be in values that are passed
 * on. */
enum { PKI_CSR_ELEMENTS_MAX = 4096 };

/** Read the contents of Extensions, and of the attributes or controls. */
bool pki_csr_read_extensions(struct pki_csr *csr, struct pki_der in, size_t *elements);
bool pki_csr_read_attributes(struct pki_csr *csr, struct pki_der in, size_t *elements);

/** Read a whole SubjectPublicKeyInfo. */
bool pki_csr_read_key(struct pki_csr *csr, struct pki_der_doc *doc, struct pki_bytes whole);

/** Read the algorithm and the signature, to the end of body. */
bool pki_csr_read_proof(struct pki_csr *csr, struct pki_der *body);

#endif
