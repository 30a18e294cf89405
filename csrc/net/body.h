/* The body of a request, taken from what a connection has received. */
#ifndef LEST_NET_BODY_H
#define LEST_NET_BODY_H

#include "base/buf.h"
#include "http/chunked.h"
#include "http/request.h"

/** Where the reading stands.
 *  left  bytes to come of a body with a length */
struct net_body {
    enum http_framing framing;
    uint64_t left;
    struct http_chunked chunked;
};

enum net_body_progress { NET_BODY_MORE, NET_BODY_COMPLETE, NET_BODY_REFUSED };

/** Start with the body of a request. max is for one in chunks; of one with a length the caller looks at
 *  left. */
void net_body_start(struct net_body *body, const struct http_request *request, size_t max);

/** Move what has come of the body from `in` to the end of `out`; NULL throws it away. why is filled with
 *  NET_BODY_REFUSED. */
enum net_body_progress net_body_take(struct net_body *body, struct lest_buf *in, struct lest_buf *out,
                                     struct http_refusal *why);

/** Let at most this much more of a body in chunks come. */
void net_body_set_rest_max(struct net_body *body, size_t max);

#endif
