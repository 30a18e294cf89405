/* Base64 (RFC 4648 section 4), as EST bodies use it (RFC 8951 section 3.1), and base64url (section 5). */
#ifndef LEST_BASE_BASE64_H
#define LEST_BASE_BASE64_H

#include "base/buf.h"

/** Append the base64 of data, with a LF after every `wrap` characters and at the end; wrap 0: one line and
 *  no newline. wrap is a multiple of 4. Failures are kept in out. */
void lest_base64_encode(const void *data, size_t len, size_t wrap, struct lest_buf *out);

/** Append the bytes that text stands for. CR, LF, space and tab may stand anywhere (RFC 8951 3.1); any
 *  other character outside the alphabet, wrong padding, bits set in the padding and characters after it
 *  are errors (RFC 4648 3.2, 3.3, 3.5).
 *  Errors: LEST_E_BASE64, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status lest_base64_decode(const char *text, size_t len, struct lest_buf *out,
                                    struct lest_error *err) LEST_MUST_USE;

/** Append the bytes that base64url without padding stands for (RFC 7515 2): no blanks, and nothing but its
 *  alphabet.
 *  Errors: LEST_E_BASE64, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status lest_base64url_decode(const char *text, size_t len, struct lest_buf *out,
                                       struct lest_error *err) LEST_MUST_USE;

#endif
