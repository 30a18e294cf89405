/* BER (X.690 section 8) made DER, for the messages that are allowed to be BER: CMS (RFC 5652 section 5.1). */
#ifndef LEST_PKI_ASN1_BER_H
#define LEST_PKI_ASN1_BER_H

#include "pki/asn1/der.h"

/** Append one element, which must be the whole input, with all lengths definite and in their shortest form,
 *  and octet strings in one piece. Sets are not sorted and values not looked into, so that DER comes out as
 *  it was, and signed parts keep their bytes.
 *  what  for messages ("PKCS#7")
 *  Errors: malformed, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status pki_ber_to_der(const char *what, enum lest_status malformed, const void *data, size_t len,
                                struct lest_buf *out, struct lest_error *err) LEST_MUST_USE;

#endif
