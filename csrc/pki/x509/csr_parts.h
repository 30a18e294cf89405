/* The parts that both forms of a request have, PKCS#10 and CRMF: read, and written. */
#ifndef LEST_PKI_X509_CSR_PARTS_H
#define LEST_PKI_X509_CSR_PARTS_H

#include "pki/x509/csr.h"

/** How many elements there may be in values that are passed on; elements, below, is how many more. */
enum { PKI_CSR_ELEMENTS_MAX = 4096 };

/** Read the contents of Extensions, and of the attributes or controls. */
bool pki_csr_read_extensions(struct pki_csr *csr, struct pki_der in, size_t *elements);
bool pki_csr_read_attributes(struct pki_csr *csr, struct pki_der in, size_t *elements);

/** Read a whole SubjectPublicKeyInfo. */
bool pki_csr_read_key(struct pki_csr *csr, struct pki_der_doc *doc, struct pki_bytes whole);

/** Read the algorithm and the signature, to the end of body. */
bool pki_csr_read_proof(struct pki_csr *csr, struct pki_der *body);

/** Append the Extension elements that such a request asks for, and its other Attribute elements. */
void pki_csr_put_extensions(const struct pki_csr_plan *plan, struct lest_buf *out);
void pki_csr_put_others(const struct pki_csr_plan *plan, struct lest_buf *out);

#endif
