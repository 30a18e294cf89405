/* An answer read from bytes as they come, strictly: what could be read in two ways is refused. For
 * connections that are driven by hand; a transfer's answer is read by libcurl first. */
#ifndef LEST_NET_INCOMING_H
#define LEST_NET_INCOMING_H

#include "http/chunked.h"
#include "net/reader.h"

/** status      of the final answer, once its head is there; 1xx come before it
 *  reader      its headers and its body; head_only may be set by the user
 *  raw         every byte so far, of which `at` belong to this answer
 *  The other members belong to this file. */
struct net_incoming {
    int status;
    struct net_reader reader;
    struct http_chunked chunked;
    struct lest_buf raw;
    size_t at, scanned;
    size_t body_max;
    bool is_done;
};

/** Begin. body_max: bytes of a body. */
void net_incoming_init(struct net_incoming *in, size_t body_max);
void net_incoming_free(struct net_incoming *in);

/** Begin with the next answer; what came behind the last one is its beginning. */
void net_incoming_next(struct net_incoming *in, bool head_only, size_t body_max);

/** Take what came next, perhaps nothing, and read on. is_done is set with the answer's last byte.
 *  Errors: LEST_E_PROTOCOL, LEST_E_TOO_LARGE, LEST_E_NOMEM */
enum lest_status net_incoming_take(struct net_incoming *in, const void *data, size_t len,
                                   struct lest_error *err) LEST_MUST_USE;

/** Nothing more will come. peer_ended: it said so (close_notify), or could not. Errors: LEST_E_CLOSED */
enum lest_status net_incoming_end(struct net_incoming *in, bool peer_ended,
                                  struct lest_error *err) LEST_MUST_USE;

#endif
