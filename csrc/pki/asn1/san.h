/* GeneralNames (RFC 5280 4.2.1.6): the contents of subjectAltName.
 *
 * A name is a text split at its first colon: "DNS:x", "IP:1.2.3.4", "IP:::1", "email:a@b", "URI:...",
 * "dirName:CN=x,O=y" (in the order of the DER), "RID:1.2.3", "otherName:OID;HEXDER". Of two types that are
 * not in use the contents are shown in hex: "x400:HEX" and "ediParty:HEX". */
#ifndef LEST_PKI_ASN1_SAN_H
#define LEST_PKI_ASN1_SAN_H

#include "pki/asn1/oid.h"

enum { PKI_SAN_MAX = 32 * 1024, PKI_SAN_NAMES_MAX = 256 };

/** Reads names one by one, as pki_name_reader does.
 *  item      the last one
 *  openings  set by the caller: a name may be without a value, for a client to fill in (RFC 9908 3.4); its
 *            text ends with the colon
 *  unusable  the last one stands for nothing, which the document tolerates (PKI_FLAW_SAN) */
struct pki_san_reader {
    struct pki_der names;
    struct pki_der_item item;
    size_t count;
    bool unusable;
    bool openings;
};

/** Begin: der is the whole GeneralNames element, with at least one name and nothing after it. */
void pki_san_open(struct pki_san_reader *reader, struct pki_der_doc *doc, const uint8_t *der, size_t len);

/** The next name as text (text is emptied first), or false at the end and after a failure (doc->status).
 *  Control characters, spaces and bytes over 0x7e in DNS, email and URI names are refused: they have only
 *  ever been used to deceive. Where the document tolerates PKI_FLAW_SAN, the text of such a name, and of any
 *  other whose value is malformed, is for a person alone: what it was. */
bool pki_san_next(struct pki_san_reader *reader, struct lest_buf *text);

/** Check all names. */
bool pki_san_check(struct pki_der_doc *doc, const uint8_t *der, size_t len);

/** Append the DER of GeneralNames for texts, at least one and at most PKI_SAN_NAMES_MAX.
 *  Errors: LEST_E_SAN_MALFORMED, LEST_E_NOMEM, LEST_E_TOO_LARGE */
enum lest_status pki_san_encode(const struct pki_bytes *texts, size_t count, struct lest_buf *out,
                                struct lest_error *err) LEST_MUST_USE;

/** As pki_san_encode, for a template: a text that ends with the colon is a name for a client to fill in, of
 *  the kinds DNS, IP, email, URI and dirName. */
enum lest_status pki_san_encode_open(const struct pki_bytes *texts, size_t count, struct lest_buf *out,
                                     struct lest_error *err) LEST_MUST_USE;

/** Of a name that was read: whether it is to be filled in, and whether two are the same as pki_san_equal has
 *  it. */
bool pki_san_is_open(const struct pki_der_item *name);
bool pki_san_is_same(const struct pki_der_item *a, const struct pki_der_item *b);

/** Whether two are the same set of names, in any order: DNS names in any case, directory names as
 *  pki_name_equal has it, all else byte by byte. An absent one equals only an absent one. */
bool pki_san_equal(struct pki_bytes a, struct pki_bytes b);

/** Type number i of the names that a certificate can be given, as its texts begin ("DNS:"); NULL after the
 *  last. */
const char *pki_san_type(size_t i);

#endif
