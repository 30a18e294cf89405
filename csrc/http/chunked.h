/* The chunked transfer coding (RFC 9112 section 7.1), decoded as it comes, byte for byte strictly. */
#ifndef LEST_HTTP_CHUNKED_H
#define LEST_HTTP_CHUNKED_H

#include "base/buf.h"
#include "http/request.h"

/** What a peer may send besides data, in one body. Extensions and trailers are checked and dropped. */
enum { HTTP_CHUNK_EXTENSIONS_MAX = 4096, HTTP_TRAILERS_MAX = 4096 };

/** Where the decoder stands; no memory of its own. Opaque, but may be copied.
 *  body_len  bytes decoded so far */
struct http_chunked {
    uint64_t body_max;
    uint64_t body_len;
    uint64_t chunk_left;
    size_t extensions;
    size_t trailers;
    int state;
    int size_digits;
};

/** Start a body that may decode to at most body_max bytes. */
void http_chunked_init(struct http_chunked *decoder, uint64_t body_max);

/** Decode what came next.
 *  consumed  how much of it belongs to this body: all of it, except with HTTP_DONE
 *  out       data is appended to it; NULL drops the data (draining). Ask lest_buf_status() afterwards.
 *  why       filled with HTTP_REFUSED: 400 malformed, 413 more than body_max, 431 extensions or trailers
 *            beyond their limits; the connection must be closed then
 *  After HTTP_DONE or HTTP_REFUSED the decoder takes no more. */
enum http_result http_chunked_feed(struct http_chunked *decoder, const char *data, size_t len,
                                   size_t *consumed, struct lest_buf *out, struct http_refusal *why);

#endif
