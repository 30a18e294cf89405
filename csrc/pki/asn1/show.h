/* DER as short texts for people. What comes from outside is in them: control characters stay, the caller
 * escapes them for where it prints. */
#ifndef LEST_PKI_ASN1_SHOW_H
#define LEST_PKI_ASN1_SHOW_H

#include "pki/asn1/der.h"

/** Longest text. */
enum { PKI_SHOW_MAX = 64 * 1024 };

/** Append the meaning of an extension's value as OpenSSL prints it, in lines. False, and nothing is
 *  appended, for an extension that OpenSSL does not know or whose value is malformed.
 *  oid    contents of the identifier
 *  value  the DER inside the extension's OCTET STRING */
bool pki_show_extension(struct pki_bytes oid, struct pki_bytes value, struct lest_buf *out);

/** Append one DER element in one line: strings as UTF-8, identifiers by name, numbers, sequences and
 *  sets as "{a, b}", anything else in hex, cut. What is no DER is shown in hex. */
void pki_show_value(struct pki_bytes der, struct lest_buf *out);

#endif
