/* X.509 extensions (RFC 5280 4.1, 4.2): the list, and the ones whose content is a set of names. */
#ifndef LEST_PKI_ASN1_EXT_H
#define LEST_PKI_ASN1_EXT_H

#include "pki/asn1/der.h"

/** One Extension. oid: contents of its OBJECT IDENTIFIER; value: the DER inside its OCTET STRING. */
struct pki_ext {
    struct pki_bytes oid;
    bool critical;
    struct pki_bytes value;
};

/** Read the next extension of the contents of Extensions. */
bool pki_ext_next(struct pki_der *in, struct pki_ext *ext);

/** Check a list of extensions: each well-formed, no OID twice (RFC 5280 4.2), at most PKI_EXT_COUNT_MAX. */
enum { PKI_EXT_COUNT_MAX = 128 };
bool pki_ext_check(struct pki_der in);

/** Append a text to a bit of KeyUsage and back; NULL and -1 for none. Bits as in RFC 5280 4.2.1.3. */
const char *pki_ext_key_usage_name(unsigned bit);
int pki_ext_key_usage_bit(const char *name, size_t len);

#endif
