/* Bodies of EST messages: base64 of DER (RFC 8951 section 3), and what people send instead. */
#ifndef LEST_EST_BODY_H
#define LEST_EST_BODY_H

#include "base/buf.h"

/** Append the bytes of the one object in a body. Its form is told by looking at it:
 *    DER or BER  begins with 0x30, which base64 of a SEQUENCE cannot
 *    PEM         has a BEGIN line. It has one block, labelled as a request, PKCS7 or CMS; text may stand
 *                before it, as `openssl req -text` writes
 *    base64      all else; blanks and line ends may stand anywhere (RFC 8951 3.1)
 *  The result begins with a SEQUENCE that ends with the bytes (or has an indefinite length). What is in it is
 *  for the parser of the object.
 *  out  the caller's, with its maximum; emptied on failure
 *  Errors, each with a sentence that may be shown to the peer: LEST_E_MALFORMED (empty, not a SEQUENCE, cut
 *  off, bytes after the end), LEST_E_BASE64, LEST_E_PEM, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status est_body_decode(const void *data, size_t len, struct lest_buf *out,
                                 struct lest_error *err) LEST_MUST_USE;

/** Append the base64 of der.
 *  wrap  characters in a line, a multiple of 4; each line ends with LF. 0: one line without LF
 *  Whether it fitted says lest_buf_status(). */
void est_body_encode(const void *der, size_t len, size_t wrap, struct lest_buf *out);

#endif
