/* Attributes (X.501): a type with a set of values, as requests (RFC 2986 4.1) and CSR attributes (RFC 8951 4)
 * have them. */
#ifndef LEST_PKI_ASN1_ATTR_H
#define LEST_PKI_ASN1_ATTR_H

#include "pki/asn1/oid.h"

/** One Attribute. oid: contents of its type; values: contents of the SET, one DER element after another. */
struct pki_attr {
    struct pki_bytes oid;
    struct pki_bytes values;
};

/** Read the next of a run of Attribute elements. An empty set of values is left for the caller to judge. */
bool pki_attr_next(struct pki_der *in, struct pki_attr *attr);

/** The only value of an attribute that must have one; what names it in an error. */
bool pki_attr_single(struct pki_der *values, const char *what, struct pki_der_item *item);

/** An Attribute that is being written: what is appended now is one of its values. */
struct pki_attr_mark {
    size_t whole, values;
};

/** Append an Attribute in three steps: open it, append the DER of its values, close it. Closing sorts the
 *  values, as DER wants for a SET OF. */
struct pki_attr_mark pki_attr_put_open(struct lest_buf *out, enum pki_oid type);
void pki_attr_put_close(struct lest_buf *out, struct pki_attr_mark mark);

/** Append an Attribute for a type as text (dotted or a name) and values from outside, each checked to be one
 *  DER element.
 *  malformed  the status for a value that is none
 *  Errors: malformed, LEST_E_MALFORMED (the type), LEST_E_NOMEM, LEST_E_TOO_LARGE */
enum lest_status pki_attr_put_text(struct lest_buf *out, const char *type, size_t type_len,
                                   const struct pki_bytes *values, size_t count, enum lest_status malformed,
                                   struct lest_error *err) LEST_MUST_USE;

#endif
