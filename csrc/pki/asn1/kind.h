/* What a document of this field is, so that an error can say what stands where another one is wanted. */
#ifndef LEST_PKI_ASN1_KIND_H
#define LEST_PKI_ASN1_KIND_H

#include "pki/asn1/der.h"

/** What a PEM block with this label is, as "a certificate request"; NULL for a label that is not known. */
const char *pki_kind_of_label(struct pki_bytes label);

/** The same for DER, by its outermost elements; below them it need not be well-formed. NULL for anything
 *  else. */
const char *pki_kind_of_der(struct pki_bytes der);

#endif
