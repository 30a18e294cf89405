#include "net/connection.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* LINE_MAX_BYTES    a request line
 * READ_BYTES        read at once: one TLS record
 * DISCARD_MAX       a body that was answered early is read to its end if it is not longer, to keep the
 * connection LINGER_MAX_BYTES  read from a peer that still sends after our last answer, before it is left to
 * block FEW_BYTES         a head is parsed again when a line has ended or this much has come */
enum {
    LINE_MAX_BYTES = 8 * 1024,
    READ_BYTES = 16 * 1024,
    OUT_MAX = 256 * 1024 * 1024,
    DISCARD_MAX = 64 * 1024,
    DISCARD_MS = 2000,
    LINGER_MAX_BYTES = 256 * 1024,
    LINGER_MS = 2000,
    LEFT_MS = 2000,
    FEW_BYTES = 1024
};

static void set_deadline(struct net_connection *c, int ms)
{
    c->deadline = lest_clock_monotonic_ms() + ms;
}

static void set_waiting(struct net_connection *c, bool waiting)
{
    if (c->is_waiting)
        TAILQ_REMOVE(&c->server->waiting, c, waiting);
    if (waiting)
        TAILQ_INSERT_TAIL(&c->server->waiting, c, waiting);
    c->is_waiting = waiting;
    net_server_changed(c->server);
}

/* The handler is told once that nobody waits for the answer any more. It may do anything to the server, so
 * that this connection may be NET_CLOSED afterwards, and its exchange over. */
static void tell_abort(struct net_server *server, struct net_exchange *x, const char *why)
{
    if (x->answered || x->why_aborted)
        return;
    x->why_aborted = why;
    if (x->delivered && server->handler.abort)
        server->handler.abort(server->handler.arg, x);
}

static void end_exchange(struct net_connection *c, const char *why)
{
    struct net_exchange *x = c->exchange;
    struct net_server *server = c->server;
    if (!x)
        return;
    c->exchange = NULL;
    x->connection = NULL;
    server->requests--;
    tell_abort(server, x, why);
    x->answered = true;
    if (x->delivered && server->handler.done)
        server->handler.done(server->handler.arg, x);
    net_exchange_free(x);
}

static void destroy(struct net_connection *c)
{
    struct net_server *server = c->server;
    if (c->is_waiting)
        TAILQ_REMOVE(&server->waiting, c, waiting);
    TAILQ_REMOVE(&server->all, c, all);
    server->connections--;
    net_peer_counts_leave(server->counts, c->key);
    event_del(&c->timer);
    net_stream_close(&c->stream);
    net_peer_free(c->peer);
    lest_buf_wipe(&c->in);
    lest_buf_free(&c->out);
    free(c);
    net_server_changed(server);
    net_server_unref(server);
}

/* Nothing more is served. close_notify and the end of our side go out; then the peer is given a little time
 * to do the same, since closing with unread bytes would reset the connection and may destroy our last answer.
 */
static void finish(struct net_connection *c)
{
    end_exchange(c, "closed");
    if (c->state == NET_CLOSED)
        return;
    net_stream_shutdown(&c->stream);
    lest_buf_wipe(&c->in);
    lest_buf_free(&c->out);
    c->state = c->ended ? NET_CLOSED : NET_LINGER;
    c->linger_left = LINGER_MAX_BYTES;
    set_deadline(c, LINGER_MS);
    set_waiting(c, c->state == NET_LINGER);
}

static void drop(struct net_connection *c, const char *why)
{
    c->state = NET_CLOSED;
    end_exchange(c, why);
}

static void start_write(struct net_connection *c)
{
    c->state = NET_WRITE;
    set_waiting(c, false);
    set_deadline(c, c->server->limits.write_ms);
}

/* An answer of the server itself: a sentence, and the end of the connection. */
static void refuse(struct net_connection *c, int status, const char *sentence)
{
    char date[HTTP_DATE_SIZE];
    bool head_only = c->exchange && c->exchange->request.method == HTTP_HEAD;
    if (c->exchange) {
        c->exchange->connection = NULL;
        tell_abort(c->server, c->exchange, status == 408 || status == 503 ? "timeout" : "refused");
    }
    if (c->state == NET_CLOSED)
        return;
    if (c->exchange)
        c->exchange->answered = true;
    struct lest_buf *out = &c->out;
    http_date_format(lest_clock_wall_us() / 1000000, date);
    http_response_start(out, status);
    http_response_text(out, "Date", date);
    http_response_text(out, "Content-Type", "text/plain");
    http_response_number(out, "Content-Length", strlen(sentence) + 2);
    if (status == 503)
        http_response_text(out, "Retry-After", "10");
    http_response_text(out, "Connection", "close");
    http_response_end(out);
    if (!head_only)
        lest_buf_append_fmt(out, "%s.\n", sentence);
    c->close_after = true;
    start_write(c);
}

/* Append to c->in what one read gives. */
static enum net_io read_some(struct net_connection *c, size_t room)
{
    char bytes[READ_BYTES];
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

static size_t in_max(const struct net_connection *c)
{
    return LINE_MAX_BYTES + (size_t)c->server->limits.header_max;
}

/* handshake */

static void note_peer(struct net_connection *c)
{
    SSL *ssl = c->stream.ssl;
    struct net_peer *peer = c->peer;
    peer->version = SSL_get_version(ssl);
    peer->cipher = SSL_get_cipher_name(ssl);
    const char *group = SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));
    snprintf(peer->group, sizeof peer->group, "%s", group ? group : "");
    X509 *leaf = SSL_get1_peer_certificate(ssl);
    if (!leaf)
        return;
    STACK_OF(X509) *sent = SSL_get_peer_cert_chain(ssl);
    peer->chain = sent ? X509_chain_up_ref(sent) : sk_X509_new_null();
    if (!peer->chain || !sk_X509_insert(peer->chain, leaf, 0))
        X509_free(leaf);
}

static void report_handshake(struct net_connection *c, enum net_io io)
{
    struct lest_error why;
    const struct net_handler *handler = &c->server->handler;
    if (io == NET_IO_WAIT)
        lest_error_set(&why, LEST_E_TIMEOUT, "the TLS handshake took too long");
    else if (io == NET_IO_END)
        lest_error_set(&why, LEST_E_CLOSED, "the client left during the TLS handshake");
    else
        net_tls_reason(c->stream.ssl, &why);
    struct lest_log_field fields[] = {
        { "address", LEST_LOG_TEXT, c->peer->address, strlen(c->peer->address), 0 },
        { "port", LEST_LOG_INTEGER, NULL, 0, c->peer->port },
        { "message", LEST_LOG_TEXT, why.message, strlen(why.message), 0 },
        { "detail", LEST_LOG_TEXT, why.detail, strlen(why.detail), 0 },
    };
    /* Who connects and leaves is a load balancer's probe more often than not. */
    lest_log_write(why.status == LEST_E_CLOSED ? LEST_LOG_DEBUG : LEST_LOG_INFO, "handshake failed", fields,
                   sizeof fields / sizeof *fields - (*why.detail ? 0 : 1));
    if (handler->handshake_failed)
        handler->handshake_failed(handler->arg, c->peer, &why);
}

static void next_request(struct net_connection *c)
{
    const struct net_limits *limits = &c->server->limits;
    c->state = NET_HEAD;
    c->parsed = 0;
    c->begun = c->in.len > 0;
    set_deadline(c, c->begun || c->requests == 0 ? limits->header_ms : limits->idle_ms);
    set_waiting(c, !c->begun);
}

static bool step_handshake(struct net_connection *c)
{
    enum net_io io = net_stream_handshake(&c->stream);
    if (io == NET_IO_WAIT)
        return false;
    if (io == NET_IO_DONE) {
        note_peer(c);
        next_request(c);
        return true;
    }
    report_handshake(c, io);
    /* OpenSSL has sent its alert; as with an answer, a reset must not overtake it. */
    finish(c);
    return true;
}

/* head */

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
    x->id = ++c->server->exchanges;
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
    set_deadline(c, c->server->limits.body_ms);
}

static void deliver_head(struct net_connection *c, const struct http_request *request)
{
    struct net_server *server = c->server;
    struct net_exchange *x = c->exchange = new_exchange(c, request);
    if (!x) {
        drop(c, "stopped");
        return;
    }
    c->requests++;
    server->requests++;
    start_body(c, &x->request);
    if (server->requests > server->limits.requests_max) {
        refuse(c, 503, "too many requests are under way");
        return;
    }
    if (x->request.method == HTTP_METHOD_UNKNOWN) {
        refuse(c, 501, "the method is not known");
        return;
    }
    x->delivered = true;
    if (server->handler.head)
        server->handler.head(server->handler.arg, x);
    if (c->state != NET_BODY || c->exchange->answered)
        return;
    if (x->request.framing == HTTP_BODY_LENGTH && c->body_left > (uint64_t)server->limits.body_max)
        refuse(c, 413, "the body is too large");
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
           (c->parsed < LINE_MAX_BYTES && c->in.len >= LINE_MAX_BYTES) || (len && memchr(fresh, '\n', len));
}

static bool step_head(struct net_connection *c)
{
    struct http_request request;
    struct http_refusal why;
    struct http_limits limits = { LINE_MAX_BYTES, (size_t)c->server->limits.header_max, HTTP_HEADERS_MAX };
    if (c->in.len && !c->begun) {
        c->begun = true;
        set_waiting(c, false);
        set_deadline(c, c->server->limits.header_ms);
    }
    if (c->in.len && is_worth_parsing(c)) {
        c->parsed = c->in.len;
        switch (http_request_parse((const char *)c->in.data, c->in.len, &limits, &request, &why)) {
        case HTTP_DONE: deliver_head(c, &request); return true;
        case HTTP_REFUSED: refuse(c, why.status, why.reason); return true;
        case HTTP_MORE: break;
        }
    }
    switch (read_some(c, c->in.max - c->in.len)) {
    case NET_IO_DONE: return true;
    case NET_IO_WAIT: return false;
    case NET_IO_END: finish(c); return true;
    case NET_IO_FAILED: drop(c, "closed"); return true;
    }
    return true;
}

/* body */

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

static bool step_body(struct net_connection *c)
{
    struct net_exchange *x = c->exchange;
    struct http_refusal why;
    if (x->answered) {
        start_write(c);
        return true;
    }
    switch (take_body(c, &x->body, &why)) {
    case BODY_REFUSED: refuse(c, why.status, why.reason); return true;
    case BODY_MORE: break;
    case BODY_COMPLETE:
        x->complete = true;
        c->state = NET_ANSWER;
        set_deadline(c, c->server->limits.answer_ms);
        if (c->server->handler.request)
            c->server->handler.request(c->server->handler.arg, x);
        return true;
    }
    enum net_io io = flush(c);
    if (io == NET_IO_WAIT)
        return false;
    if (io == NET_IO_DONE)
        io = read_some(c, READ_BYTES);
    if (io == NET_IO_DONE)
        return true;
    if (io == NET_IO_WAIT)
        return false;
    /* RFC 9112 8: a message that ends before its length is incomplete; nothing of it is used. */
    drop(c, "closed");
    return true;
}

/* answer */

/* The peer has closed its side. Before TLS 1.3 that was the end of both directions (RFC 5246 7.2.1); since
 * then it may still be listening (RFC 8446 6.1). */
static void peer_ended(struct net_connection *c)
{
    if (net_stream_probe(&c->stream))
        return;
    set_deadline(c, LEFT_MS);
    tell_abort(c->server, c->exchange, "closed");
}

static bool step_answer(struct net_connection *c)
{
    if (c->exchange->answered) {
        start_write(c);
        return true;
    }
    if (c->ended) {
        if (net_stream_is_reset(&c->stream))
            drop(c, "closed");
        return c->state == NET_CLOSED;
    }
    /* Nothing more is wanted from the peer but to know that it is still there; what it sends ahead is
     * bounded. */
    size_t max = in_max(c);
    switch (read_some(c, c->in.len < max ? max - c->in.len : 0)) {
    case NET_IO_DONE: return true;
    case NET_IO_WAIT: return false;
    case NET_IO_END: peer_ended(c); return true;
    case NET_IO_FAILED: drop(c, "closed"); return true;
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

static bool step_write(struct net_connection *c)
{
    enum net_io io = flush(c);
    if (io == NET_IO_WAIT)
        return false;
    if (io != NET_IO_DONE) {
        drop(c, "closed");
        return true;
    }
    if (c->close_after) {
        finish(c);
    } else if (c->exchange->complete || c->exchange->request.framing == HTTP_BODY_NONE) {
        end_exchange(c, NULL);
        next_request(c);
    } else {
        c->state = NET_DISCARD;
        c->chunked.body_max = c->chunked.body_len + DISCARD_MAX;
        set_deadline(c, DISCARD_MS);
    }
    return true;
}

static bool step_discard(struct net_connection *c)
{
    struct http_refusal why;
    switch (take_body(c, NULL, &why)) {
    case BODY_REFUSED: finish(c); return true;
    case BODY_MORE: break;
    case BODY_COMPLETE:
        end_exchange(c, NULL);
        next_request(c);
        return true;
    }
    enum net_io io = read_some(c, READ_BYTES);
    if (io == NET_IO_WAIT)
        return false;
    if (io != NET_IO_DONE)
        finish(c);
    return true;
}

static bool step_linger(struct net_connection *c)
{
    switch (net_stream_discard(&c->stream, &c->linger_left)) {
    case NET_IO_WAIT: return false;
    /* Enough was read: from here on the peer blocks, and so gets around to reading. */
    case NET_IO_DONE: return false;
    case NET_IO_END:
    case NET_IO_FAILED: c->state = NET_CLOSED; return true;
    }
    return true;
}

/* the loop */

static void run(struct net_connection *c)
{
    static bool (*const steps[])(struct net_connection *) = {
        [NET_HANDSHAKE] = step_handshake, [NET_HEAD] = step_head,   [NET_BODY] = step_body,
        [NET_ANSWER] = step_answer,       [NET_WRITE] = step_write, [NET_DISCARD] = step_discard,
        [NET_LINGER] = step_linger,
    };
    _Static_assert(sizeof steps / sizeof *steps == NET_CLOSED, "every state has its step");
    c->running = true;
    while (c->state != NET_CLOSED && steps[c->state](c))
        ;
    c->running = false;
    if (c->state == NET_CLOSED) {
        destroy(c);
        return;
    }
    if (c->state == NET_ANSWER && c->ended)
        net_stream_watch_reset(&c->stream);
    else
        net_stream_watch(&c->stream);
    if (c->armed != c->deadline) {
        int64_t left = c->deadline - lest_clock_monotonic_ms();
        struct timeval delay;
        if (left < 1)
            left = 1;
        delay.tv_sec = (time_t)(left / 1000);
        delay.tv_usec = (suseconds_t)(left % 1000 * 1000);
        event_add(&c->timer, &delay);
        c->armed = c->deadline;
    }
}

static void on_ready(void *arg)
{
    run(arg);
}

static void expire(struct net_connection *c)
{
    switch (c->state) {
    case NET_HANDSHAKE:
        report_handshake(c, NET_IO_WAIT);
        drop(c, "timeout");
        break;
    case NET_HEAD:
        if (c->begun)
            refuse(c, 408, "the request did not arrive in time");
        else
            finish(c);
        break;
    case NET_BODY: refuse(c, 408, "the body did not arrive in time"); break;
    case NET_ANSWER:
        if (c->exchange->why_aborted)
            drop(c, "closed");
        else
            refuse(c, 503, "the answer is not ready in time");
        break;
    case NET_DISCARD: finish(c); break;
    case NET_WRITE:
    case NET_LINGER:
    case NET_CLOSED: drop(c, "timeout"); break;
    }
}

/* The deadline, or a wake-up (net_connection_answered). */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct net_connection *c = arg;
    c->armed = 0;
    c->running = true;
    bool answered = c->exchange && c->exchange->answered && (c->state == NET_BODY || c->state == NET_ANSWER);
    if (!answered && c->deadline <= lest_clock_monotonic_ms())
        expire(c);
    run(c);
}

void net_connection_answered(struct net_connection *c)
{
    if (!c->running)
        event_active(&c->timer, EV_TIMEOUT, 1);
}

void net_connection_kill(struct net_connection *c)
{
    if (c->state != NET_LINGER && c->state != NET_CLOSED)
        net_stream_shutdown(&c->stream);
    bool running = c->running;
    c->running = true;
    drop(c, "stopped");
    c->running = running;
    if (!running)
        destroy(c);
}

void net_connection_stop(struct net_connection *c)
{
    /* Whoever has not been served yet was let in, and would take the end for a fault. */
    if (c->running || c->state != NET_HEAD || c->begun || c->requests == 0)
        return;
    finish(c);
    run(c);
}

static struct net_peer *new_peer(const struct sockaddr_storage *address)
{
    struct net_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->refs = 1;
    net_address_text(address, peer->address);
    peer->port = net_address_port(address);
    return peer;
}

void net_connection_start(struct net_server *server, int fd, const struct sockaddr_storage *address)
{
    struct net_peer_key key = net_peer_key(address);
    struct net_connection *c = calloc(1, sizeof *c);
    struct net_peer *peer = new_peer(address);
    SSL *ssl = net_tls_accept(server->tls);
    if (!c || !peer || !ssl) {
        net_peer_counts_leave(server->counts, key);
        free(c);
        net_peer_free(peer);
        SSL_free(ssl);
        close(fd);
        return;
    }
    struct event_base *base = net_loop_get0_base(server->loop);
    c->server = server;
    c->peer = peer;
    c->key = key;
    c->state = NET_HANDSHAKE;
    lest_buf_init(&c->in, in_max(c) + READ_BYTES);
    lest_buf_init(&c->out, OUT_MAX);
    net_stream_init(&c->stream, base, fd, ssl, on_ready, c);
    evtimer_assign(&c->timer, base, on_timer, c);
    TAILQ_INSERT_TAIL(&server->all, c, all);
    server->connections++;
    server->refs++;
    set_waiting(c, true);
    set_deadline(c, server->limits.handshake_ms);
    run(c);
}
