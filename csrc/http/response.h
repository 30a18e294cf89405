/* Writing the head of a response (RFC 9112 section 4). Failures are kept in the buffer until asked for. */
#ifndef LEST_HTTP_RESPONSE_H
#define LEST_HTTP_RESPONSE_H

#include "base/buf.h"
#include "http/text.h"

enum { HTTP_DATE_SIZE = 30 };

/** The standard phrase of a status code; "" for one that has none. */
const char *http_reason(int status);

/** Append "HTTP/1.1 200 OK". status is between 100 and 999. */
void http_response_start(struct lest_buf *out, int status);

/** Append one header line. The name must be a token and the value free of control characters but HTAB, so
 *  that no text from outside can end the line (CR, LF, NUL); otherwise nothing is appended.
 *  Errors: LEST_E_MALFORMED, and those of lest_buf_status() */
enum lest_status http_response_header(struct lest_buf *out, struct http_slice name, struct http_slice value,
                                      struct lest_error *err) LEST_MUST_USE;

/** Append a header of constants or a number, which need no check. */
void http_response_text(struct lest_buf *out, const char *name, const char *value);
void http_response_number(struct lest_buf *out, const char *name, size_t value);

/** Append the empty line that ends the head. */
void http_response_end(struct lest_buf *out);

/** IMF-fixdate ("Sun, 06 Nov 1994 08:49:37 GMT") of seconds since 1970, with its NUL. */
void http_date_format(int64_t seconds, char out[HTTP_DATE_SIZE]);

#endif
