#include "net/body.h"

void net_body_start(struct net_body *body, const struct http_request *request, size_t max)
{
    body->framing = request->framing;
    body->left = request->framing == HTTP_BODY_LENGTH ? request->body_len : 0;
    http_chunked_init(&body->chunked, max);
}

void net_body_set_rest_max(struct net_body *body, size_t max)
{
    body->chunked.body_max = body->chunked.body_len + max;
}

static enum net_body_progress take_length(struct net_body *body, const struct lest_buf *in,
                                          struct lest_buf *out, size_t *used)
{
    *used = in->len < body->left ? in->len : (size_t)body->left;
    if (out)
        lest_buf_append(out, in->data, *used);
    body->left -= *used;
    return body->left ? NET_BODY_MORE : NET_BODY_COMPLETE;
}

static enum net_body_progress take_chunks(struct net_body *body, const struct lest_buf *in,
                                          struct lest_buf *out, size_t *used, struct http_refusal *why)
{
    if (in->len == 0)
        return NET_BODY_MORE;
    switch (http_chunked_feed(&body->chunked, (const char *)in->data, in->len, used, out, why)) {
    case HTTP_MORE: return NET_BODY_MORE;
    case HTTP_DONE: return NET_BODY_COMPLETE;
    case HTTP_REFUSED: return NET_BODY_REFUSED;
    }
    return NET_BODY_REFUSED;
}

enum net_body_progress net_body_take(struct net_body *body, struct lest_buf *in, struct lest_buf *out,
                                     struct http_refusal *why)
{
    size_t used = 0;
    enum net_body_progress progress = NET_BODY_COMPLETE;
    if (body->framing == HTTP_BODY_LENGTH)
        progress = take_length(body, in, out, &used);
    else if (body->framing == HTTP_BODY_CHUNKED)
        progress = take_chunks(body, in, out, &used, why);
    if (progress == NET_BODY_REFUSED)
        return progress;
    if (out && out->failed) {
        *why = (struct http_refusal){ 503, "there is no memory for the body" };
        return NET_BODY_REFUSED;
    }
    if (used == 0)
        return progress;
    if (used == in->len)
        lest_buf_wipe(in);
    else
        lest_buf_consume(in, used);
    return progress;
}
