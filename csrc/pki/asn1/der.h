/* DER (X.690): a strict, bounded reader of bytes from outside, and a writer over lest_buf.
 *
 * The reader takes definite lengths in their shortest form only, never looks outside what it was given and
 * allocates nothing. Every reader knows its document, so that a failure is one sentence with the place:
 *
 *     struct pki_der_doc doc = { .noun = "CSR", .malformed = LEST_E_CSR_MALFORMED, .err = err };
 *     struct pki_der in, body;
 *     pki_der_open(&in, &doc, bytes, len);
 *     if (!pki_der_read(&in, PKI_DER_SEQUENCE, "the request", &body) || !pki_der_end(&in, "the request"))
 *         return doc.status;        // LEST_E_CSR_MALFORMED; err: "CSR: the request is cut off at byte 0" */
#ifndef LEST_PKI_ASN1_DER_H
#define LEST_PKI_ASN1_DER_H

#include "base/buf.h"

/** Identifier octets. */
enum {
    PKI_DER_ANY = 0,
    PKI_DER_BOOLEAN = 0x01,
    PKI_DER_INTEGER = 0x02,
    PKI_DER_BIT_STRING = 0x03,
    PKI_DER_OCTET_STRING = 0x04,
    PKI_DER_NULL = 0x05,
    PKI_DER_OID = 0x06,
    PKI_DER_ENUMERATED = 0x0a,
    PKI_DER_UTF8_STRING = 0x0c,
    PKI_DER_NUMERIC_STRING = 0x12,
    PKI_DER_PRINTABLE_STRING = 0x13,
    PKI_DER_T61_STRING = 0x14,
    PKI_DER_IA5_STRING = 0x16,
    PKI_DER_UTC_TIME = 0x17,
    PKI_DER_GENERALIZED_TIME = 0x18,
    PKI_DER_VISIBLE_STRING = 0x1a,
    PKI_DER_UNIVERSAL_STRING = 0x1c,
    PKI_DER_BMP_STRING = 0x1e,
    PKI_DER_SEQUENCE = 0x30,
    PKI_DER_SET = 0x31,
    PKI_DER_CONTEXT = 0x80,     /* | number: [n] IMPLICIT of a primitive type */
    PKI_DER_CONSTRUCTED = 0x20, /* PKI_DER_CONTEXT | PKI_DER_CONSTRUCTED | n: [n] of a constructed one */
};

/** Bytes borrowed from somewhere; data is NULL where a thing is absent. */
struct pki_bytes {
    const uint8_t *data;
    size_t len;
};

/** Byte equality; an absent one equals only an absent one. */
bool pki_bytes_equal(struct pki_bytes a, struct pki_bytes b);

/** What others write wrong. A reader of what they made goes on where its document tolerates it, and says so;
 *  what is to be signed is read by a document that tolerates nothing. */
enum pki_flaw {
    PKI_FLAW_BOOLEAN = 1 << 0,   /* neither 00 nor ff: true, as BER has it */
    PKI_FLAW_VERSION = 1 << 1,   /* of a CSR: not 0 */
    PKI_FLAW_EXTENSION = 1 << 2, /* the value of an extension that nothing here reads is no DER */
    PKI_FLAW_SAN = 1 << 3,       /* an alternative name that stands for nothing, and is passed over */
    PKI_FLAW_NAME = 1 << 4,      /* a string in a name with characters that its type does not have */
};
enum { PKI_FLAWS = 5 };

/** Flaw number i, 1 << i, as a sentence; NULL after the last. */
const char *pki_flaw_text(unsigned i);

/** The document that a reader reads. The caller sets the first four members and zeroes the others.
 *  noun       how an error begins: "CSR"
 *  malformed  the status of an error, unless a function fails with another
 *  err        where an error is told; the first one stays
 *  tolerated  flaws that are no errors; 0 for none
 *  flaws      those of them that it has
 *  start      byte 0 of the positions in errors; pki_der_open() sets it to its data if it is NULL
 *  status     LEST_OK until an error */
struct pki_der_doc {
    const char *noun;
    enum lest_status malformed;
    struct lest_error *err;
    unsigned tolerated;
    unsigned flaws;
    const uint8_t *start;
    enum lest_status status;
};

/** What is left to read of one element's contents. */
struct pki_der {
    const uint8_t *at;
    size_t left;
    struct pki_der_doc *doc;
};

/** One element. whole covers identifier, length and contents. For a tag number of 31 and more, tag is the
 *  first identifier octet alone. */
struct pki_der_item {
    uint8_t tag;
    struct pki_bytes whole;
    struct pki_bytes body;
};

/** Begin to read data; doc->start is set if it is NULL, so that a part of a document can be read later
 *  with the positions of the whole. */
void pki_der_open(struct pki_der *in, struct pki_der_doc *doc, const void *data, size_t len);

/** The identifier octet that comes next, or 0 at the end. */
uint8_t pki_der_peek(const struct pki_der *in);

/** Read one element; tag PKI_DER_ANY takes any. what: the element's name in an error, as "the request".
 *  Returns false with the document's error set. */
bool pki_der_item(struct pki_der *in, uint8_t tag, const char *what, struct pki_der_item *item);

/** Read one element and enter it; `in` is past it. body may be NULL to skip it. */
bool pki_der_read(struct pki_der *in, uint8_t tag, const char *what, struct pki_der *body);

/** Enter an item that was read. */
void pki_der_enter(const struct pki_der *in, const struct pki_der_item *item, struct pki_der *body);

/** False with an error if something is left. */
bool pki_der_end(struct pki_der *in, const char *what);

/** Whether the document tolerates a flaw, which it then has. Else the caller fails. */
bool pki_der_tolerates(struct pki_der *in, enum pki_flaw flaw);

/** As pki_der_fail with another status than the document's `malformed`. */
bool pki_der_fail_as(struct pki_der *in, enum lest_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Set the document's error: "NOUN: <format> at byte N". Always false, for `return pki_der_fail(...)`. */
bool pki_der_fail(struct pki_der *in, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** A BOOLEAN: 00 and ff, and others where the document tolerates PKI_FLAW_BOOLEAN. */
bool pki_der_boolean(struct pki_der *in, const char *what, bool *value);
/** A non-negative INTEGER of at most 63 bits. */
bool pki_der_small(struct pki_der *in, const char *what, int64_t *value);
/** Any INTEGER in its shortest form: the contents as they are (two's complement). */
bool pki_der_integer(struct pki_der *in, const char *what, struct pki_bytes *value);
/** Whether the contents of an OBJECT IDENTIFIER are well-formed: arcs in their shortest form, at most
 *  PKI_OID_MAX bytes. */
enum { PKI_OID_MAX = 64 };
bool pki_der_oid_valid(struct pki_bytes contents);

/** An OBJECT IDENTIFIER whose contents are valid. */
bool pki_der_oid(struct pki_der *in, const char *what, struct pki_bytes *value);
/** A BIT STRING; unused counts the bits of its last byte that do not count, which are zero. */
bool pki_der_bits(struct pki_der *in, const char *what, struct pki_bytes *value, unsigned *unused);
/** A UTCTime or GeneralizedTime in the forms of RFC 5280 4.1.2.5, as seconds since 1970. */
bool pki_der_time(struct pki_der *in, const char *what, int64_t *seconds);

/** Check the nesting below an element whose contents are kept as they are: each constructed element is
 *  well-formed, there are at most `depth` levels and `*count` elements. *count is reduced by those found. */
bool pki_der_check(struct pki_der in, const char *what, unsigned depth, size_t *count);

/** Check bytes that the caller will write as they are: they are one element to its end, in DER as far as that
 *  shows without a schema (X.690 10 and 11: lengths, BOOLEAN, INTEGER, strings, SET OF). They are the whole
 *  document. */
bool pki_der_one(struct pki_der_doc *doc, struct pki_bytes der, const char *what);

/** Writing: failures are kept in the buffer (lest_buf_status). */

/** Open a constructed element; close it with the mark that was returned. */
size_t pki_der_put_open(struct lest_buf *out, uint8_t tag);
void pki_der_put_close(struct lest_buf *out, size_t mark);

/** A whole element with these contents. */
void pki_der_put(struct lest_buf *out, uint8_t tag, const void *data, size_t len);
void pki_der_put_boolean(struct lest_buf *out, bool value);
void pki_der_put_small(struct lest_buf *out, int64_t value);
/** An INTEGER from an unsigned big-endian number; leading zeros are left out, one is put where needed. */
void pki_der_put_unsigned(struct lest_buf *out, uint8_t tag, const uint8_t *data, size_t len);
/** A named bit list, trailing zero bits left out; bit 0 is the most significant one of the first byte,
 *  given as 1u << 0 in bits. */
void pki_der_put_named_bits(struct lest_buf *out, unsigned bits);
/** UTCTime through 2049, else GeneralizedTime (RFC 5280 4.1.2.5); seconds from 1950 to the end of 9999. */
void pki_der_put_time(struct lest_buf *out, int64_t seconds);
/** GeneralizedTime, whatever the year. */
void pki_der_put_generalized_time(struct lest_buf *out, int64_t seconds);

/** Sort the elements from `mark` to the end of out as DER wants a SET OF (X.690 11.6). */
void pki_der_put_sort(struct lest_buf *out, size_t mark);

#ifdef __clang_analyzer__
/* The analyzer does not look into other files: these are always false. */
static inline bool pki_der_analyzed(bool result)
{
    (void)result;
    return false;
}
#define pki_der_fail(in, ...) pki_der_analyzed((pki_der_fail)(in, __VA_ARGS__))
#define pki_der_fail_as(in, status, ...) pki_der_analyzed((pki_der_fail_as)(in, status, __VA_ARGS__))
#endif

#endif
