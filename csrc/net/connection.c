/* A connection as such: its beginning, its timers, its end. */
#include "net/connection.h"

#include "base/clock.h"
#include "http/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* LINGER_MAX_BYTES  read from a peer that still sends after our last answer, before it is left to block
 * RETRY_AFTER_S     advice to a client that came at a bad time */
enum { OUT_MAX = 256 * 1024 * 1024, LINGER_MAX_BYTES = 256 * 1024, LINGER_MS = 2000, RETRY_AFTER_S = 10 };

void net_connection_set_deadline(struct net_connection *c, int ms)
{
    c->deadline = lest_clock_monotonic_ms() + ms;
}

void net_connection_set_waiting(struct net_connection *c, bool waiting)
{
    if (c->is_waiting)
        TAILQ_REMOVE(&c->server->waiting, c, waiting);
    if (waiting)
        TAILQ_INSERT_TAIL(&c->server->waiting, c, waiting);
    c->is_waiting = waiting;
    net_server_changed(c->server);
}

void net_connection_tell_abort(struct net_server *server, struct net_exchange *x, const char *why)
{
    if (x->answered || x->why_aborted)
        return;
    x->why_aborted = why;
    if (x->delivered && server->handler.abort)
        server->handler.abort(server->handler.arg, x);
}

void net_connection_set_answered(struct net_server *server, struct net_exchange *x)
{
    if (x->under_way)
        server->requests--;
    x->under_way = false;
    x->answered = true;
}

void net_connection_end_exchange(struct net_connection *c, const char *why)
{
    struct net_exchange *x = c->exchange;
    struct net_server *server = c->server;
    if (!x)
        return;
    c->exchange = NULL;
    x->connection = NULL;
    net_connection_tell_abort(server, x, why);
    net_connection_set_answered(server, x);
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

void net_connection_finish(struct net_connection *c)
{
    net_connection_end_exchange(c, "closed");
    if (c->state == NET_CLOSED)
        return;
    net_stream_shutdown(&c->stream);
    lest_buf_wipe(&c->in);
    lest_buf_free(&c->out);
    c->state = c->ended ? NET_CLOSED : NET_LINGER;
    c->linger_left = LINGER_MAX_BYTES;
    net_connection_set_deadline(c, LINGER_MS);
    net_connection_set_waiting(c, c->state == NET_LINGER);
}

void net_connection_drop(struct net_connection *c, const char *why)
{
    c->state = NET_CLOSED;
    net_connection_end_exchange(c, why);
}

void net_connection_start_write(struct net_connection *c)
{
    c->state = NET_WRITE;
    net_connection_set_waiting(c, true);
    net_connection_set_deadline(c, c->server->limits.write_ms);
}

/* Who gets the exchanges logs them; of what never became one this is all that is known. */
static void log_refusal(const struct net_connection *c, const char *id, int status, const char *sentence)
{
    struct lest_log_field fields[] = {
        { "id", LEST_LOG_TEXT, id, strlen(id), 0 },
        { "address", LEST_LOG_TEXT, c->peer->address, strlen(c->peer->address), 0 },
        { "status", LEST_LOG_INTEGER, NULL, 0, status },
        { "reason", LEST_LOG_TEXT, sentence, strlen(sentence), 0 },
    };
    net_lines_write(&c->server->refusals, fields, sizeof fields / sizeof *fields);
}

void net_connection_refuse(struct net_connection *c, int status, const char *sentence)
{
    char date[HTTP_DATE_SIZE], id[NET_REQUEST_ID_SIZE];
    bool head_only = c->exchange && c->exchange->request.method == HTTP_HEAD;
    if (c->exchange)
        memcpy(id, c->exchange->id, sizeof id);
    else
        net_server_next_id(c->server, id);
    if (!c->exchange || !c->exchange->delivered)
        log_refusal(c, id, status, sentence);
    if (c->exchange) {
        c->exchange->connection = NULL;
        c->exchange->refusal = (struct http_refusal){ status, sentence };
        net_connection_tell_abort(c->server, c->exchange,
                                  status == 408 || status == 503 ? "timeout" : "refused");
    }
    if (c->state == NET_CLOSED)
        return;
    if (c->exchange)
        net_connection_set_answered(c->server, c->exchange);
    struct lest_buf *out = &c->out;
    http_date_format(lest_clock_wall_us() / 1000000, date);
    http_response_start(out, status);
    http_response_text(out, "Date", date);
    http_response_text(out, "X-Request-Id", id);
    http_response_text(out, "Content-Type", "text/plain");
    http_response_number(out, "Content-Length", strlen(sentence) + 2);
    if (status == 503)
        http_response_number(out, "Retry-After", RETRY_AFTER_S);
    http_response_text(out, "Connection", "close");
    http_response_end(out);
    if (!head_only)
        lest_buf_append_fmt(out, "%s.\n", sentence);
    c->close_after = true;
    net_connection_start_write(c);
}

size_t net_connection_in_max(const struct net_connection *c)
{
    return NET_REQUEST_LINE_MAX + (size_t)c->server->limits.header_max;
}

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
    size_t count = sizeof fields / sizeof *fields - (*why.detail ? 0 : 1);
    /* Who connects and leaves is a load balancer's probe more often than not. */
    if (why.status == LEST_E_CLOSED)
        lest_log_write(LEST_LOG_DEBUG, c->server->handshakes.event, fields, count);
    else
        net_lines_write(&c->server->handshakes, fields, count);
    if (handler->handshake_failed)
        handler->handshake_failed(handler->arg, c->peer, &why);
}

void net_connection_next_request(struct net_connection *c)
{
    const struct net_limits *limits = &c->server->limits;
    c->state = NET_HEAD;
    c->parsed = 0;
    c->begun = c->in.len > 0;
    net_connection_set_deadline(c, c->begun || c->requests == 0 ? limits->header_ms : limits->idle_ms);
    net_connection_set_waiting(c, true);
}

static bool step_handshake(struct net_connection *c)
{
    enum net_io io = net_stream_handshake(&c->stream);
    if (io == NET_IO_WAIT)
        return false;
    if (io == NET_IO_DONE) {
        note_peer(c);
        net_connection_next_request(c);
        return true;
    }
    report_handshake(c, io);
    /* OpenSSL has sent its alert; as with an answer, a reset must not overtake it. */
    net_connection_finish(c);
    return true;
}

static bool step_linger(struct net_connection *c)
{
    switch (net_stream_discard(&c->stream, &c->linger_left)) {
    case NET_IO_WAIT:
    case NET_IO_DONE: return false; /* enough was read: now the peer blocks, and so gets around to reading */
    case NET_IO_END:
    case NET_IO_FAILED: c->state = NET_CLOSED; return true;
    }
    return true;
}

static void run(struct net_connection *c)
{
    static bool (*const steps[])(struct net_connection *) = {
        [NET_HANDSHAKE] = step_handshake,
        [NET_HEAD] = net_connection_step_head,
        [NET_BODY] = net_connection_step_body,
        [NET_ANSWER] = net_connection_step_answer,
        [NET_WRITE] = net_connection_step_write,
        [NET_DISCARD] = net_connection_step_discard,
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
        net_connection_drop(c, "timeout");
        break;
    case NET_HEAD:
        if (c->begun)
            net_connection_refuse(c, 408, "the request did not arrive in time");
        else
            net_connection_finish(c);
        break;
    case NET_BODY: net_connection_refuse(c, 408, "the body did not arrive in time"); break;
    case NET_ANSWER:
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): this state has an exchange */
        if (c->exchange->why_aborted)
            net_connection_drop(c, "closed");
        else
            net_connection_refuse(c, 503, "the answer is not ready in time");
        break;
    case NET_DISCARD: net_connection_finish(c); break;
    case NET_WRITE:
    case NET_LINGER:
    case NET_CLOSED: net_connection_drop(c, "timeout"); break;
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
    net_connection_drop(c, "stopped");
    c->running = running;
    if (!running)
        destroy(c);
}

void net_connection_stop(struct net_connection *c)
{
    /* Whoever has not been served yet was let in, and would take the end for a fault. */
    if (c->running || c->state != NET_HEAD || c->begun || c->requests == 0)
        return;
    net_connection_finish(c);
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
    lest_buf_init(&c->in, net_connection_in_max(c) + NET_READ_BYTES);
    lest_buf_init(&c->out, OUT_MAX);
    net_stream_init(&c->stream, base, fd, ssl, on_ready, c);
    evtimer_assign(&c->timer, base, on_timer, c);
    TAILQ_INSERT_TAIL(&server->all, c, all);
    server->connections++;
    server->refs++;
    net_connection_set_waiting(c, true);
    net_connection_set_deadline(c, server->limits.handshake_ms);
    run(c);
}
