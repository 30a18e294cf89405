/* X.509 extensions (RFC 5280 4.1, 4.2): the list, one Extension, and the values that certificates, requests and
 * CRLs have in common. */
#ifndef LEST_PKI_ASN1_EXT_H
#define LEST_PKI_ASN1_EXT_H

#include "pki/asn1/oid.h"

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

/** Read Extensions inside an explicit tag, as certificates and CRLs end with, and check them.
 *  list  their contents, for pki_ext_next() */
bool pki_ext_list(struct pki_der *in, struct pki_der *list);

/** Read the whole of an extension's value.
 *  key_usage  bit n of RFC 5280 4.2.1.3 as 1 << n
 *  purposes   contents of ExtKeyUsageSyntax, at least one
 *  key_id     of AuthorityKeyIdentifier; data NULL where it has none */
bool pki_ext_key_usage(struct pki_der *in, int *key_usage);
bool pki_ext_eku(struct pki_der *in, struct pki_bytes *purposes);
bool pki_ext_aki(struct pki_der *in, struct pki_bytes *key_id);

/** The name of a bit of KeyUsage ("digitalSignature") and back; NULL and -1 for none. */
const char *pki_ext_key_usage_name(unsigned bit);
int pki_ext_key_usage_bit(const char *name, size_t len);

/** An Extension that is open up to the inside of its OCTET STRING. */
struct pki_ext_mark {
    size_t whole, value;
};

/** Append an Extension: open it, append its value, close it. DER leaves out a critical that is FALSE. */
struct pki_ext_mark pki_ext_put_open(struct lest_buf *out, enum pki_oid oid, bool critical);
void pki_ext_put_close(struct lest_buf *out, struct pki_ext_mark mark);

/** Append an Extension with this value, which is the DER of what the identifier wants. */
void pki_ext_put(struct lest_buf *out, enum pki_oid oid, bool critical, struct pki_bytes value);

/** As pki_ext_put for an identifier as text (dotted or a name) and a value from outside, which is checked to
 *  be one DER element ("extnValue ... contains the DER encoding of an ASN.1 value", RFC 5280 4.1).
 *  Errors: LEST_E_MALFORMED, LEST_E_NOMEM, LEST_E_TOO_LARGE */
enum lest_status pki_ext_put_text(struct lest_buf *out, const char *oid, size_t oid_len, bool critical,
                                  struct pki_bytes value, struct lest_error *err) LEST_MUST_USE;

#endif
