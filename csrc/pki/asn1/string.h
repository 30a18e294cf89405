/* The character strings of ASN.1 as UTF-8. */
#ifndef LEST_PKI_ASN1_STRING_H
#define LEST_PKI_ASN1_STRING_H

#include "pki/asn1/der.h"

/** Whether the bytes are printable ASCII, with or without the space. */
bool pki_string_is_visible(const void *data, size_t len, bool space);

/** Whether the bytes are all of PrintableString's repertoire (X.680 41.4). */
bool pki_string_is_printable(const void *data, size_t len);

/** Whether an element with this tag is a character string. */
bool pki_string_tag(uint8_t tag);

/** The bytes of one of its characters, as far as that is fixed: 4 of UniversalString, 2 of BMPString, 1. */
size_t pki_string_width(uint8_t tag);

/** Append an element's characters as UTF-8: every choice of DirectoryString and IA5String, NumericString,
 *  VisibleString (T61String is read as Latin-1, as is the custom). False: no such type, malformed, or a NUL
 * in it, which has only ever been used to deceive. */
bool pki_string_append(const struct pki_der_item *item, struct lest_buf *out);

#endif
