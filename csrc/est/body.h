/* Bodies of EST messages: base64 of DER (RFC 8951 section 3), and what people send instead. */
#ifndef LEST_EST_BODY_H
#define LEST_EST_BODY_H

#include "base/buf.h"

/** Append the bytes of the one object in a body, told apart by looking: raw DER or BER begins with 0x30
 * (which base64 of a SEQUENCE cannot), PEM has a BEGIN line, anything else is base64 with blanks and line
 * ends anywhere or nowhere (RFC 8951 3.1). PEM may have text before its only block, as `openssl req -text`
 * writes, with a label of a request, PKCS7 or CMS. The result begins with a SEQUENCE whose length is that of
 * all the bytes (or indefinite); what is in it is for its own parser. out  the caller's, with its maximum;
 * emptied on failure Errors, each with a sentence that may be shown to the peer: LEST_E_MALFORMED (empty, not
 * a SEQUENCE, cut off, bytes after the end), LEST_E_BASE64, LEST_E_PEM, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status est_body_decode(const void *data, size_t len, struct lest_buf *out,
                                 struct lest_error *err) LEST_MUST_USE;

/** Append the base64 of der, in lines of `wrap` characters (a multiple of 4) with one LF at the end, or in
 * one line without any if wrap is 0. Ask lest_buf_status() afterwards. */
void est_body_encode(const void *der, size_t len, size_t wrap, struct lest_buf *out);

#endif
