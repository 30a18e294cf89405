/* multipart/mixed bodies (RFC 2046 section 5.1), in which a key and its certificate come (RFC 7030 4.4.2). */
#ifndef LEST_EST_MIXED_H
#define LEST_EST_MIXED_H

#include "base/buf.h"
#include "http/text.h"

enum { EST_MIXED_PARTS_MAX = 8, EST_MIXED_HEADERS_MAX = 16, EST_MIXED_TYPE_MAX = 255 };

/** One part.
 *  type  its Content-Type, unfolded; empty without one
 *  body  what stands between its empty line and the line end that belongs to the next delimiter; borrowed */
struct est_part {
    char type[EST_MIXED_TYPE_MAX + 1];
    struct http_slice body;
};

/** Take a body apart. Lines end with LF or CRLF, a boundary may be quoted, blanks may follow a delimiter;
 *  preamble and epilogue are ignored, and so are all headers of a part but Content-Type: what its encoding
 *  is, is seen in it (RFC 8951 3.2.4). The closing delimiter must be there: without it the body is cut off.
 *  content_type  of the whole; its boundary is 1 to 70 characters of RFC 2046's
 *  parts         room for EST_MIXED_PARTS_MAX; they borrow from data
 *  Errors: LEST_E_MALFORMED */
enum lest_status est_mixed_decode(struct http_slice content_type, const void *data, size_t len,
                                  struct est_part *parts, size_t *count,
                                  struct lest_error *err) LEST_MUST_USE;

/** What goes into a part: its media type, and DER that is written as base64. */
struct est_content {
    const char *type;
    const void *der;
    size_t len;
};

/** The media type of what est_mixed_encode writes. Its boundary stands in no base64. */
#define EST_MIXED_TYPE "multipart/mixed; boundary=lest-serverkeygen-part"

/** Append a body of these parts, in CRLF lines.
 *  wrap               as est_body_encode
 *  transfer_encoding  whether each part says Content-Transfer-Encoding: base64
 *  out                is to be wiped. Whether it fitted says lest_buf_status(). */
void est_mixed_encode(const struct est_content *contents, size_t count, size_t wrap, bool transfer_encoding,
                      struct lest_buf *out);

#endif
