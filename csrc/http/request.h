/* The head of an HTTP/1.1 request (RFC 9112), strictly: what could be read in two ways is refused.
 *
 * A pure function of the bytes received so far; nothing is allocated, everything in the result points into
 * them. Method, target, Host, Content-Length, Transfer-Encoding, Expect and Connection are judged here;
 * which methods a path has, and how large a body may be, is for the caller. */
#ifndef LEST_HTTP_REQUEST_H
#define LEST_HTTP_REQUEST_H

#include "http/text.h"

enum { HTTP_HEADERS_MAX = 64 };

/** How much a peer may send before its request is understood. Counts include the line ends.
 *  line_max     the request line, with an empty line before it; more is 414
 *  fields_max   the header lines and the empty line after them; more is 431
 *  headers_max  header lines, at most HTTP_HEADERS_MAX; more is 431
 *  is_plain     a target of the absolute form is an http URI; else it is one of https */
struct http_limits {
    size_t line_max;
    size_t fields_max;
    size_t headers_max;
    bool is_plain;
};

/** 8 KiB, 16 KiB, 64, https. */
extern const struct http_limits http_limits_default;

enum http_result {
    HTTP_MORE,   /* all bytes so far are right, and more must come */
    HTTP_DONE,   /* complete */
    HTTP_REFUSED /* wrong, and more bytes cannot mend it: answer and close */
};

/** The answer to a request that is refused.
 *  status  HTTP status code
 *  reason  a sentence for the peer, a constant */
struct http_refusal {
    int status;
    const char *reason;
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
    HTTP_TRACE,
    HTTP_CONNECT,
    HTTP_METHOD_UNKNOWN /* a token that is none of these; methods are case-sensitive; 501 by RFC 9110 9.1 */
};

enum http_framing {
    HTTP_BODY_NONE,   /* neither Content-Length nor Transfer-Encoding: no body */
    HTTP_BODY_LENGTH, /* body_len bytes follow, perhaps 0 */
    HTTP_BODY_CHUNKED /* see http/chunked.h */
};

/** A complete head. Slices borrow the caller's bytes (an empty path of the absolute form is a constant "/").
 *  target           as sent
 *  path             from the "/" on, not decoded; only RFC 3986 characters and well-formed %XX
 *  query            after the "?", or data NULL without one
 *  host             of Host or of the absolute form, with its port; empty on HTTP/1.0 without Host
 *  minor            of the version: 0 or 1
 *  keep_alive       the peer allows another request on this connection (RFC 9112 9.3)
 *  expect_continue  the peer waits for "100 Continue" before it sends its body (RFC 9110 10.1.1)
 *  head_len         bytes consumed: the body begins there, or the next request if there is no body */
struct http_request {
    enum http_method method;
    struct http_slice method_name;
    struct http_slice target;
    struct http_slice path;
    struct http_slice query;
    struct http_slice host;
    int minor;
    bool keep_alive;
    bool expect_continue;
    enum http_framing framing;
    uint64_t body_len;
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    size_t head_len;
};

/** Parse all bytes received so far on a connection, from the start of a request.
 *  limits  NULL for the defaults
 *  out     filled with HTTP_DONE only
 *  why     filled with HTTP_REFUSED: 400, 414, 417, 431, 501 or 505; after any of them the connection must be
 *          closed, for where the message ends is unknown
 *  The answer is the same however the bytes were cut: HTTP_MORE until the byte that decides. */
enum http_result http_request_parse(const char *data, size_t len, const struct http_limits *limits,
                                    struct http_request *out, struct http_refusal *why);

/** The first header of this name (any case), or NULL. Host, Content-Length, Transfer-Encoding, Content-Type
 *  and Authorization are there once at most. */
const struct http_header *http_request_header(const struct http_request *request, const char *name);

/** "GET"; "" for HTTP_METHOD_UNKNOWN. */
const char *http_method_name(enum http_method method);

/** The method of this name, or HTTP_METHOD_UNKNOWN. */
enum http_method http_method_find(struct http_slice name);

#endif
