/* The steps of a connection from the end of its handshake on: what is done in each state. */
#include "net/connection.h"

#include <stdlib.h>
#include <string.h>

/* DISCARD_MAX  a body that was answered early is read to its end if it is not longer, to keep the connection
 * FEW_BYTES    a head is parsed again when a line has ended or this much has come
 * LEFT_MS      for an answer that is nearly ready, after the client has left */
enum { DISCARD_MAX = 64 * 1024, DISCARD_MS = 2000, FEW_BYTES = 1024, LEFT_MS = 2000 };

/* Append to c->in what one read gives. */
static enum net_io read_some(struct net_connection *c, size_t room)
{
    char bytes[NET_READ_BYTES];
    size_t got;
    if (room == 0)
        return NET_IO_WAIT;
    enum net_io io = net_stream_read(&c->stream, bytes, room < sizeof bytes ? room : sizeof bytes, &got);
    if (io == NET_IO_DONE)
        lest_buf_append(&c->in, bytes, got);
    lest_wipe(bytes, got);
    c->ended = c->ended || io == NET_IO_END;
    return c->in.failed ? NET_IO_FAILED : io;
}

static struct net_exchange *new_exchange(struct net_connection *c, const struct http_request *request)
{
    struct net_exchange *x = calloc(1, sizeof *x);
    struct lest_buf rest;
    if (!x)
        return NULL;
    lest_buf_init(&rest, c->in.max);
    lest_buf_append(&rest, c->in.data + request->head_len, c->in.len - request->head_len);
    if (rest.failed) {
        free(x);
        return NULL;
    }
    /* The request's slices point into these bytes, so they move as they are. */
    x->head = c->in;
    x->head.len = request->head_len;
    c->in = rest;
    x->request = *request;
    lest_buf_init(&x->body, (size_t)c->server->limits.body_max);
    net_server_next_id(c->server, x->id);
    x->peer = c->peer;
    x->peer->refs++;
    x->connection = c;
    x->refs = 1;
    return x;
}

static void start_body(struct net_connection *c, const struct http_request *request)
{
    size_t body_max = (size_t)c->server->limits.body_max;
    c->body_left = request->framing == HTTP_BODY_LENGTH ? request->body_len : 0;
    http_chunked_init(&c->chunked, body_max);
    c->state = NET_BODY;
    net_connection_set_deadline(c, c->server->limits.body_ms);
}

static bool is_busy(const struct net_server *server)
{
    return server->requests >= server->limits.requests_max;
}

static void refuse_busy(struct net_connection *c)
{
    net_connection_refuse(c, 503, "too many requests are under way");
}

/* The request is there: from now until it is answered it is one of those under way. While its body came, and
 * while its answer goes, it is the peer that takes the time, and must not take it from others. */
static void deliver_request(struct net_connection *c)
{
    struct net_server *server = c->server;
    struct net_exchange *x = c->exchange;
    x->complete = true;
    c->state = NET_ANSWER;
    if (is_busy(server)) {
        refuse_busy(c);
        return;
    }
    x->under_way = true;
    server->requests++;
    net_connection_set_waiting(c, false);
    net_connection_set_deadline(c, server->limits.answer_ms);
    if (server->handler.request)
        server->handler.request(server->handler.arg, x);
}

static void deliver_head(struct net_connection *c, const struct http_request *request)
{
    struct net_server *server = c->server;
    struct net_exchange *x = c->exchange = new_exchange(c, request);
    if (!x) {
        net_connection_drop(c, "stopped");
        return;
    }
    c->requests++;
    start_body(c, &x->request);
    if (is_busy(server)) {
        refuse_busy(c);
        return;
    }
    if (x->request.method == HTTP_METHOD_UNKNOWN) {
        net_connection_refuse(c, 501, "the method is not known");
        return;
    }
    x->delivered = true;
    if (server->handler.head)
        server->handler.head(server->handler.arg, x);
    if (c->state != NET_BODY || c->exchange->answered)
        return;
    if (x->request.framing == HTTP_BODY_LENGTH && c->body_left > (uint64_t)server->limits.body_max)
        net_connection_refuse(c, 413, "the body is too large");
    else if (x->request.expect_continue && c->in.len == 0)
        lest_buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* A peer that sends its head byte by byte must not have it parsed as often, but a line or header that is too
 * long is refused as soon as it is. */
static bool is_worth_parsing(const struct net_connection *c)
{
    const uint8_t *fresh = c->in.data + c->parsed;
    size_t len = c->in.len - c->parsed;
    return len >= FEW_BYTES || c->in.len >= (size_t)c->server->limits.header_max ||
           (c->parsed < NET_REQUEST_LINE_MAX && c->in.len >= NET_REQUEST_LINE_MAX) ||
           (len && memchr(fresh, '\n', len));
}

bool net_connection_step_head(struct net_connection *c)
{
    struct http_request request;
    struct http_refusal why;
    struct http_limits limits = { NET_REQUEST_LINE_MAX, (size_t)c->server->limits.header_max,
                                  HTTP_HEADERS_MAX };
    if (c->in.len && !c->begun) {
        c->begun = true;
        net_connection_set_deadline(c, c->server->limits.header_ms);
    }
    if (c->in.len && is_worth_parsing(c)) {
        c->parsed = c->in.len;
        switch (http_request_parse((const char *)c->in.data, c->in.len, &limits, &request, &why)) {
        case HTTP_DONE: deliver_head(c, &request); return true;
        case HTTP_REFUSED: net_connection_refuse(c, why.status, why.reason); return true;
        case HTTP_MORE: break;
        }
    }
    switch (read_some(c, c->in.max - c->in.len)) {
    case NET_IO_DONE: return true;
    case NET_IO_WAIT: return false;
    case NET_IO_END: net_connection_finish(c); return true;
    case NET_IO_FAILED: net_connection_drop(c, "closed"); return true;
    }
    return true;
}

enum progress { BODY_MORE, BODY_COMPLETE, BODY_REFUSED };

/* Move what has come of the body to out, or nowhere. */
static enum progress take_body(struct net_connection *c, struct lest_buf *out, struct http_refusal *why)
{
    enum progress progress = BODY_MORE;
    size_t used = 0;
    switch (c->exchange ? c->exchange->request.framing : HTTP_BODY_NONE) {
    case HTTP_BODY_NONE: return BODY_COMPLETE;
    case HTTP_BODY_LENGTH:
        used = c->in.len < c->body_left ? c->in.len : (size_t)c->body_left;
        if (out)
            lest_buf_append(out, c->in.data, used);
        c->body_left -= used;
        progress = c->body_left ? BODY_MORE : BODY_COMPLETE;
        break;
    case HTTP_BODY_CHUNKED:
        if (c->in.len == 0)
            return BODY_MORE;
        switch (http_chunked_feed(&c->chunked, (const char *)c->in.data, c->in.len, &used, out, why)) {
        case HTTP_MORE: break;
        case HTTP_DONE: progress = BODY_COMPLETE; break;
        case HTTP_REFUSED: return BODY_REFUSED;
        }
        break;
    }
    if (out && out->failed) {
        *why = (struct http_refusal){ 503, "there is no memory for the body" };
        return BODY_REFUSED;
    }
    if (used == c->in.len)
        lest_buf_wipe(&c->in);
    else
        lest_buf_consume(&c->in, used);
    return progress;
}

static enum net_io flush(struct net_connection *c)
{
    while (c->out_done < c->out.len) {
        size_t done;
        enum net_io io =
            net_stream_write(&c->stream, c->out.data + c->out_done, c->out.len - c->out_done, &done);
        if (io != NET_IO_DONE)
            return io;
        c->out_done += done;
    }
    lest_buf_free(&c->out);
    c->out_done = 0;
    return NET_IO_DONE;
}

bool net_connection_step_body(struct net_connection *c)
{
    struct net_exchange *x = c->exchange;
    struct http_refusal why;
    if (x->answered) {
        net_connection_start_write(c);
        return true;
    }
    switch (take_body(c, &x->body, &why)) {
    case BODY_REFUSED: net_connection_refuse(c, why.status, why.reason); return true;
    case BODY_MORE: break;
    case BODY_COMPLETE: deliver_request(c); return true;
    }
    enum net_io io = flush(c);
    if (io == NET_IO_WAIT)
        return false;
    if (io == NET_IO_DONE)
        io = read_some(c, NET_READ_BYTES);
    if (io == NET_IO_DONE)
        return true;
    if (io == NET_IO_WAIT)
        return false;
    /* RFC 9112 8: a message that ends before its length is incomplete; nothing of it is used. */
    net_connection_drop(c, "closed");
    return true;
}

/* The peer has closed its side. Before TLS 1.3 that was the end of both directions (RFC 5246 7.2.1); since
 * then it may still be listening (RFC 8446 6.1). */
static void peer_ended(struct net_connection *c)
{
    if (net_stream_probe(&c->stream))
        return;
    net_connection_set_deadline(c, LEFT_MS);
    net_connection_tell_abort(c->server, c->exchange, "closed");
}

bool net_connection_step_answer(struct net_connection *c)
{
    if (c->exchange->answered) {
        net_connection_start_write(c);
        return true;
    }
    if (c->ended) {
        if (net_stream_is_reset(&c->stream))
            net_connection_drop(c, "closed");
        return c->state == NET_CLOSED;
    }
    /* Nothing more is wanted from the peer but to know that it is still there; what it sends ahead is
     * bounded. */
    size_t max = net_connection_in_max(c);
    switch (read_some(c, c->in.len < max ? max - c->in.len : 0)) {
    case NET_IO_DONE: return true;
    case NET_IO_WAIT: return false;
    case NET_IO_END: peer_ended(c); return true;
    case NET_IO_FAILED: net_connection_drop(c, "closed"); return true;
    }
    return true;
}

bool net_connection_will_close(const struct net_connection *c)
{
    const struct net_exchange *x = c->exchange;
    const struct http_request *request = &x->request;
    if (!request->keep_alive || c->ended || c->server->stopped ||
        c->requests >= c->server->limits.requests_per_connection_max)
        return true;
    if (x->complete || request->framing == HTTP_BODY_NONE)
        return false;
    /* Whoever was told to wait for 100 may send its body or not (RFC 9110 10.1.1). */
    return request->expect_continue || c->body_left > DISCARD_MAX;
}

bool net_connection_step_write(struct net_connection *c)
{
    enum net_io io = flush(c);
    if (io == NET_IO_WAIT)
        return false;
    if (io != NET_IO_DONE) {
        net_connection_drop(c, "closed");
        return true;
    }
    if (c->close_after) {
        net_connection_finish(c);
    } else if (c->exchange->complete || c->exchange->request.framing == HTTP_BODY_NONE) {
        net_connection_end_exchange(c, NULL);
        net_connection_next_request(c);
    } else {
        c->state = NET_DISCARD;
        c->chunked.body_max = c->chunked.body_len + DISCARD_MAX;
        net_connection_set_deadline(c, DISCARD_MS);
    }
    return true;
}

bool net_connection_step_discard(struct net_connection *c)
{
    struct http_refusal why;
    switch (take_body(c, NULL, &why)) {
    case BODY_REFUSED: net_connection_finish(c); return true;
    case BODY_MORE: break;
    case BODY_COMPLETE:
        net_connection_end_exchange(c, NULL);
        net_connection_next_request(c);
        return true;
    }
    enum net_io io = read_some(c, NET_READ_BYTES);
    if (io == NET_IO_WAIT)
        return false;
    if (io != NET_IO_DONE)
        net_connection_finish(c);
    return true;
}
