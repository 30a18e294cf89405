/* The answer of a server, read strictly: its head line by line, its body, and whether all of it is there. */
#ifndef LEST_NET_READER_H
#define LEST_NET_READER_H

#include "base/buf.h"
#include "http/text.h"

enum { NET_READER_HEADERS_MAX = 256, NET_READER_HEAD_MAX = 128 * 1024 };

/** headers      of the final response in their order; valid once net_reader_finish() was called
 *  head_only    the answer to HEAD, which has no body
 *  The other members belong to this file. */
struct net_reader {
    struct http_header *headers;
    size_t header_count, header_room;
    struct lest_buf head, body;
    bool head_only, head_complete, has_length, chunked;
    uint64_t length;
};

/** Begin. body_max: bytes of a body. */
void net_reader_init(struct net_reader *reader, size_t body_max);
void net_reader_free(struct net_reader *reader);

/** Take one line of a head or of the trailer, which is ignored. http_status is the response's whose head
 *  this is, of use at its end. Errors: LEST_E_PROTOCOL, LEST_E_TOO_LARGE */
enum lest_status net_reader_take_line(struct net_reader *reader, struct http_slice line, long http_status,
                                      struct lest_error *err) LEST_MUST_USE;

/** Take some of the body. Errors: LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status net_reader_take_body(struct net_reader *reader, const void *data, size_t len,
                                      struct lest_error *err) LEST_MUST_USE;

/** The connection has no more: whether that is all that was sent. peer_ended: it said so, or could not. */
bool net_reader_is_whole(const struct net_reader *reader, long http_status, bool peer_ended);

/** Let the headers point to what they are. */
void net_reader_finish(struct net_reader *reader);

#endif
