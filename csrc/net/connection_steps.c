#include "net/connection_steps.h"

#include "net/connection_answer.h"

#include <stdlib.h>
#include <string.h>

/* FEW_BYTES  a head is parsed again when a line has ended or this much has come
 * LEFT_MS    for an answer that is nearly ready, after the client has left
 * TAIL_STEP  of a tail is written in one step: no fast reader has the loop for itself */
enum { DISCARD_MS = 2000, FEW_BYTES = 1024, LEFT_MS = 2000, TAIL_STEP = 64 * 1024 };

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
    if (io == NET_IO_FAILED && c->stream.records.why)
        net_connection_report_end(c, c->stream.records.why);
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
    lest_buf_init(&x->body, (size_t)c->service->limits.body_max);
    net_service_next_id(c->service, x->id);
    x->peer = net_peer_ref(c->peer);
    x->carrier = &net_connection_carrier;
    x->carried_by = c;
    x->refs = 1;
    return x;
}

static void start_body(struct net_connection *c, const struct http_request *request)
{
    net_body_start(&c->body, request, (size_t)c->service->limits.body_max);
    c->state = NET_BODY;
    net_connection_set_deadline(c, c->service->limits.body_ms);
}

static void refuse_busy(struct net_connection *c)
{
    net_connection_refuse(c, 503, "too many requests are under way");
}

/* The request is there: from now until it is answered it is one of those under way. While its body came, and
 * while its answer goes, it is the peer that takes the time, and must not take it from others. */
static void deliver_request(struct net_connection *c)
{
    struct net_service *service = c->service;
    struct net_exchange *x = c->exchange;
    x->complete = true;
    c->state = NET_ANSWER;
    if (net_service_is_busy(service)) {
        refuse_busy(c);
        return;
    }
    net_service_begin_answer(service, x);
    net_connection_set_waiting(c, false);
    net_connection_set_deadline(c, service->limits.answer_ms);
    if (service->handler.request)
        service->handler.request(service->handler.arg, x);
}

static void deliver_head(struct net_connection *c, const struct http_request *request)
{
    struct net_service *service = c->service;
    struct net_exchange *x = c->exchange = new_exchange(c, request);
    if (!x) {
        net_connection_drop(c, "stopped");
        return;
    }
    c->requests++;
    start_body(c, &x->request);
    if (net_service_is_busy(service)) {
        refuse_busy(c);
        return;
    }
    if (x->request.method == HTTP_METHOD_UNKNOWN) {
        net_connection_refuse(c, 501, "the method is not known");
        return;
    }
    x->delivered = true;
    if (service->handler.head)
        service->handler.head(service->handler.arg, x);
    if (c->state != NET_BODY || c->exchange->answered)
        return;
    if (x->request.framing == HTTP_BODY_LENGTH && c->body.left > (uint64_t)service->limits.body_max)
        net_connection_refuse(c, 413, "the body is too large");
    else if (x->request.expect_continue && c->in.len == 0)
        lest_buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* A peer that sends its head byte by byte must not have it parsed as often, but what is no HTTP from its
 * first byte on, and a line or header that is too long, is refused as soon as it is. */
static bool is_worth_parsing(const struct net_connection *c)
{
    const uint8_t *fresh = c->in.data + c->parsed;
    size_t len = c->in.len - c->parsed;
    return c->parsed == 0 || len >= FEW_BYTES || c->in.len >= (size_t)c->service->limits.header_max ||
           (c->parsed < NET_REQUEST_LINE_MAX && c->in.len >= NET_REQUEST_LINE_MAX) ||
           (len && memchr(fresh, '\n', len));
}

bool net_connection_step_head(struct net_connection *c)
{
    struct http_request request;
    struct http_refusal why;
    struct http_limits limits = { NET_REQUEST_LINE_MAX, (size_t)c->service->limits.header_max,
                                  HTTP_HEADERS_MAX, !c->tls };
    if (c->in.len && !c->begun) {
        c->begun = true;
        net_connection_set_deadline(c, c->service->limits.header_ms);
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
    lest_buf_wipe(&c->out);
    c->out_done = 0;
    return NET_IO_DONE;
}

/* A step of the tail, which follows what was flushed; c->tail is NULL once all of it is written. */
static enum net_io write_tail(struct net_connection *c)
{
    size_t done, left = c->tail->len - c->tail_done;
    enum net_io io = left ? net_stream_write(&c->stream, c->tail->data + c->tail_done,
                                             left < TAIL_STEP ? left : TAIL_STEP, &done)
                          : NET_IO_DONE;
    if (io == NET_IO_DONE && left)
        c->tail_done += done;
    if (c->tail_done == c->tail->len)
        net_connection_drop_tail(c);
    return io;
}

bool net_connection_step_body(struct net_connection *c)
{
    struct net_exchange *x = c->exchange;
    struct http_refusal why;
    if (x->answered) {
        net_connection_start_write(c);
        return true;
    }
    switch (net_body_take(&c->body, &c->in, &x->body, &why)) {
    case NET_BODY_REFUSED: net_connection_refuse(c, why.status, why.reason); return true;
    case NET_BODY_MORE: break;
    case NET_BODY_COMPLETE: deliver_request(c); return true;
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
    net_service_tell_abort(c->service, c->exchange, "closed");
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

bool net_connection_step_write(struct net_connection *c)
{
    enum net_io io = flush(c);
    if (io == NET_IO_DONE && c->tail)
        io = write_tail(c);
    if (io == NET_IO_WAIT)
        return false;
    if (io != NET_IO_DONE) {
        net_connection_drop(c, "closed");
        return true;
    }
    if (c->tail)
        return true;
    if (c->close_after) {
        net_connection_finish(c);
    } else if (c->exchange->complete || c->exchange->request.framing == HTTP_BODY_NONE) {
        net_connection_end_exchange(c, NULL);
        net_connection_next_request(c);
    } else {
        c->state = NET_DISCARD;
        net_body_set_rest_max(&c->body, NET_DISCARD_MAX);
        net_connection_set_deadline(c, DISCARD_MS);
    }
    return true;
}

bool net_connection_step_discard(struct net_connection *c)
{
    struct http_refusal why;
    switch (net_body_take(&c->body, &c->in, NULL, &why)) {
    case NET_BODY_REFUSED: net_connection_finish(c); return true;
    case NET_BODY_MORE: break;
    case NET_BODY_COMPLETE:
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
