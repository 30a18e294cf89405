/* X.509 extensions (RFC 5280 4.1, 4.2): the list, one Extension, and the values that certificates, requests
 * and CRLs have in common. */
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

/** As pki_ext_next, for an ExtensionTemplate (RFC 9908 3.4): one without a value has data NULL. */
bool pki_ext_next_template(struct pki_der *in, struct pki_ext *ext);

/** Check a list of extensions: each well-formed, no OID twice (RFC 5280 4.2), at most PKI_EXT_COUNT_MAX. */
enum { PKI_EXT_COUNT_MAX = 128 };
bool pki_ext_check(struct pki_der in);
/** The same of a list of ExtensionTemplate. */
bool pki_ext_check_template(struct pki_der in);

/** Read the Extensions at the end of a certificate or CRL, which stand inside an explicit tag, and check them
 *  as pki_ext_check() does.
 *  list  their contents, for pki_ext_next() */
bool pki_ext_list(struct pki_der *in, struct pki_der *list);

/** Read the value of a keyUsage, to its end: bit n of RFC 5280 4.2.1.3 is 1 << n in *key_usage. */
bool pki_ext_key_usage(struct pki_der *in, int *key_usage);
/** Read the value of an extKeyUsage, to its end: the contents of ExtKeyUsageSyntax, at least one purpose. */
bool pki_ext_eku(struct pki_der *in, struct pki_bytes *purposes);
/** Read the value of an authorityKeyIdentifier, to its end: its keyIdentifier, data
 *  NULL where it has none. */
bool pki_ext_aki(struct pki_der *in, struct pki_bytes *key_id);

/** The name of a bit of KeyUsage ("digitalSignature") and back; NULL and -1 for none. */
const char *pki_ext_key_usage_name(unsigned bit);
int pki_ext_key_usage_bit(const char *name, size_t len);

/** An Extension that is being written: what is appended now becomes its value. */
struct pki_ext_mark {
    size_t whole, value;
};

/** Append an Extension in three steps: open it, append the DER of its value, close it. critical is written
 *  only if it is true, since DER leaves out what is the default. */
struct pki_ext_mark pki_ext_put_open(struct lest_buf *out, enum pki_oid oid, bool critical);
void pki_ext_put_close(struct lest_buf *out, struct pki_ext_mark mark);

/** Append an Extension whose value is DER that the caller has. */
void pki_ext_put(struct lest_buf *out, enum pki_oid oid, bool critical, struct pki_bytes value);

/** Append an Extension whose identifier is a text (dotted or a name) and whose value is not known to be DER:
 *  it is checked to be one DER element ("extnValue ... contains the DER encoding of an ASN.1 value", RFC 5280
 *  4.1).
 *  Errors: LEST_E_MALFORMED, LEST_E_NOMEM, LEST_E_TOO_LARGE */
enum lest_status pki_ext_put_text(struct lest_buf *out, const char *oid, size_t oid_len, bool critical,
                                  struct pki_bytes value, struct lest_error *err) LEST_MUST_USE;

/** Append an ExtensionTemplate without a value. Errors: as pki_ext_put_text */
enum lest_status pki_ext_put_open_text(struct lest_buf *out, const char *oid, size_t oid_len, bool critical,
                                       struct lest_error *err) LEST_MUST_USE;

#endif
