/* Formats that are met where keys and certificates are looked for, and are not read. */
#ifndef LEST_PKI_ASN1_FOREIGN_H
#define LEST_PKI_ASN1_FOREIGN_H

#include "pki/asn1/der.h"

/** What bytes are, as "a PKCS#12 file (openssl pkcs12 -nodes takes it apart)", by their outermost elements;
 *  NULL for anything else. */
const char *pki_foreign_name(const void *data, size_t len);

#endif
