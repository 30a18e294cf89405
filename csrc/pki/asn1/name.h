/* Distinguished names (RFC 5280 4.1.2.4): DER, parts, text.
 *
 * A part is one attribute: its type is OpenSSL's short name or a dotted identifier, its value UTF-8. The
 * order is that of the DER everywhere but in pki_name_text. */
#ifndef LEST_PKI_ASN1_NAME_H
#define LEST_PKI_ASN1_NAME_H

#include "pki/asn1/oid.h"

enum { PKI_NAME_MAX = 16 * 1024, PKI_NAME_PARTS_MAX = 64 };

/** plus: the part belongs to the RDN of the one before it.
 *  der: the value is '#' and one DER element in hex, as RFC 4514 2.4 writes what is no character string */
struct pki_name_part {
    const char *type;
    size_t type_len;
    const char *value;
    size_t value_len;
    bool plus;
    bool der;
};

/** Reads a name part by part:
 *      pki_name_open(&reader, &doc, der, len);
 *      while (pki_name_next(&reader, &text, &part)) ...
 *      if (doc.status) ...
 *  The document may belong to a larger one, which then has the error. */
struct pki_name_reader {
    struct pki_der rdns;
    struct pki_der rdn;
    size_t count;
    char type[PKI_OID_TEXT_MAX];
};

/** Begin: der is the whole Name element, with nothing after it. */
void pki_name_open(struct pki_name_reader *reader, struct pki_der_doc *doc, const uint8_t *der, size_t len);

/** The next part, or false at the end and after a failure. A string with characters that its type does not
 *  have is a part in DER where the document tolerates it (PKI_FLAW_NAME). Its strings live in the reader and
 *  in text, which is emptied for each. */
bool pki_name_next(struct pki_name_reader *reader, struct lest_buf *text, struct pki_name_part *part);

/** Check a whole name: structure, identifiers, characters, at most PKI_NAME_PARTS_MAX parts.
 *  doc as pki_der_open wants it. */
bool pki_name_check(struct pki_der_doc *doc, const uint8_t *der, size_t len);

/** Whether every value of a name is a character string, as those that are signed
 *  are; der is a checked one. */
bool pki_name_is_text(struct pki_bytes der);

/** Append the DER of parts. Types are names or dotted; strings become PrintableString where OpenSSL's
 *  table of types wants it (C, serialNumber), IA5String (DC, emailAddress), else UTF8String; lengths are
 *  checked against RFC 5280's upper bounds.
 *  Errors: LEST_E_NAME_MALFORMED, LEST_E_NOMEM, LEST_E_TOO_LARGE */
enum lest_status pki_name_encode(const struct pki_name_part *parts, size_t count, struct lest_buf *out,
                                 struct lest_error *err) LEST_MUST_USE;

/** Append the DER of a text: "CN=x,O=y" with the escapes and the "#hex" of RFC 4514 and its keywords in any
 *  case, or "/CN=x/O=y"; '+' joins parts of one RDN. Both forms are in the order of the DER: what is written
 *  first comes first. An empty text is the empty name.
 *  Errors: as pki_name_encode */
enum lest_status pki_name_parse(const char *text, size_t len, struct lest_buf *out,
                                struct lest_error *err) LEST_MUST_USE;

enum pki_name_order { PKI_NAME_RFC4514 /* last RDN first */, PKI_NAME_DER };

/** Append parts as text with the escapes of RFC 4514 2.4; control characters become \XX. */
void pki_name_print_parts(const struct pki_name_part *parts, size_t count, enum pki_name_order order,
                          struct lest_buf *out);

/** Append a name as text. False: the name is malformed, nothing useful was appended. */
bool pki_name_print(const uint8_t *der, size_t len, enum pki_name_order order, struct lest_buf *out);

/** Whether two names are the same: equal bytes, else RFC 5280 7.1 (case and white space folded). */
bool pki_name_equal(struct pki_bytes a, struct pki_bytes b);

/** The name without an RDN, whole. */
extern const struct pki_bytes pki_name_empty;

/** Whether a name has no RDN; der is a checked one. */
bool pki_name_is_empty(struct pki_bytes der);

#endif
