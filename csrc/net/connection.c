/* The driver of a connection: its beginning, its timer, which step comes next, its end. */
#include "net/connection.h"

#include "base/clock.h"
#include "base/meter.h"
#include "net/connection_proxy.h"
#include "net/connection_state.h"
#include "net/connection_steps.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* STEPS_MAX    of a connection in one turn of the loop, whatever its peer has sent
 * RECORDS_MAX  that it begins to work on in one turn */
enum { OUT_MAX = 256 * 1024 * 1024, STOP_IDLE_MS = 1000, STEPS_MAX = 32, RECORDS_MAX = 64 };

/* Handshakes of a server that stand still at once: each has a fibre, which is 32 KiB. */
enum { ASKING_MAX = 256 };

static void destroy(struct net_connection *c)
{
    struct net_service *service = c->service;
    if (c->is_waiting)
        TAILQ_REMOVE(&service->waiting, c, waiting);
    TAILQ_REMOVE(&service->all, c, all);
    net_service_count_connection(service, -1);
    net_peer_counts_leave(c->counts, c->key);
    event_del(&c->timer);
    service->asking -= c->asking;
    if (c->peer->identity)
        net_identity_close(c->peer->identity, c->stream.ssl);
    net_stream_close(&c->stream);
    net_tls_free(c->tls);
    net_peer_free(c->peer);
    lest_buf_wipe(&c->in);
    lest_buf_wipe(&c->out);
    net_connection_drop_tail(c);
    free(c);
    service->changed(service);
    net_service_unref(service);
}

static void count_handshake(const struct net_connection *c, enum lest_meter_handshake result)
{
    int version =
        c->stream.ssl && result == LEST_HANDSHAKE_OK ? SSL_version(c->stream.ssl) - TLS1_VERSION : 0;
    lest_meter_add(lest_meter_key(LEST_METER_HANDSHAKES, result, (unsigned)version, 0, 0), 1);
}

static void report_handshake(struct net_connection *c, enum net_io io)
{
    struct lest_error why;
    const struct net_handler *handler = &c->service->handler;
    if (io == NET_IO_WAIT)
        lest_error_set(&why, LEST_E_TIMEOUT, "the TLS handshake took too long");
    else if (io == NET_IO_END)
        lest_error_set(&why, LEST_E_CLOSED, "the client left during the TLS handshake");
    else if (c->stream.records.why)
        lest_error_set(&why, LEST_E_PROTOCOL, "%s", c->stream.records.why);
    else
        net_tls_reason(c->stream.ssl, &why);
    count_handshake(c, io == NET_IO_WAIT  ? LEST_HANDSHAKE_LATE
                       : io == NET_IO_END ? LEST_HANDSHAKE_LEFT
                                          : LEST_HANDSHAKE_FAILED);
    const struct net_identity *identity = c->peer->identity;
    struct lest_log_field fields[5] = {
        lest_log_text("address", c->peer->address),
        lest_log_integer("port", c->peer->port),
        lest_log_text("message", why.message),
    };
    size_t count = 3;
    if (*why.detail)
        fields[count++] = lest_log_text("detail", why.detail);
    if (identity && identity->name_len)
        fields[count++] = lest_log_bytes("identity", (const char *)identity->name, identity->name_len);
    /* Who connects and leaves is a load balancer's probe more often than not. */
    if (why.status == LEST_E_CLOSED)
        lest_log_write(LEST_LOG_DEBUG, c->service->handshakes.event, fields, count);
    else
        net_lines_write(&c->service->handshakes, fields, count);
    if (handler->handshake_failed)
        handler->handshake_failed(handler->arg, c->peer, &why);
}

/* The handler has answered. */
static void resume(void *arg)
{
    struct net_connection *c = arg;
    c->service->asking -= c->asking;
    c->asking = false;
    if (!c->running)
        event_active(&c->timer, EV_TIMEOUT, 1);
}

/* The handshake waits for the peer, or for the handler. */
static bool ask(struct net_connection *c)
{
    struct net_identity *identity = c->peer->identity;
    const struct net_handler *handler = &c->service->handler;
    struct lest_error err;
    if (!identity || identity->state != NET_IDENTITY_ASKED)
        return false;
    if (!handler->identity || c->service->asking >= ASKING_MAX)
        return net_identity_answer(identity, NULL, NULL, 0, &err) == LEST_OK;
    c->asking = true;
    c->service->asking++;
    handler->identity(handler->arg, identity);
    return !c->asking;
}

/* Begin TLS, where there is some; false: no memory. */
static bool secure(struct net_connection *c)
{
    struct net_peer *peer = c->peer;
    SSL *ssl = net_tls_accept(c->tls);
    if (!ssl)
        return false;
    net_stream_secure(&c->stream, ssl);
    if (!net_tls_asks(c->tls))
        return true;
    peer->identity = net_identity_new(ssl, peer->address);
    if (!peer->identity)
        return false;
    peer->identity->resume = resume;
    peer->identity->arg = c;
    return true;
}

static bool step_handshake(struct net_connection *c)
{
    if (c->asking)
        return false;
    if (c->tls && !c->stream.ssl && !secure(c)) {
        net_connection_drop(c, "closed");
        return true;
    }
    enum net_io io = net_stream_handshake(&c->stream);
    if (io == NET_IO_WAIT)
        return ask(c);
    if (io == NET_IO_DONE) {
        if (c->stream.ssl) {
            count_handshake(c, LEST_HANDSHAKE_OK);
            net_peer_note_handshake(c->peer, c->stream.ssl);
        }
        if (c->peer->identity)
            net_identity_finish(c->peer->identity, c->stream.ssl);
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

/* Set the timer to the deadline; to the next turn of the loop where there is more to do. */
static void arm(struct net_connection *c, bool has_more)
{
    if (c->armed == c->deadline && !has_more)
        return;
    int64_t left = has_more ? 0 : c->deadline - lest_clock_monotonic_ms();
    if (left < 0)
        left = 0;
    const struct timeval delay = { (time_t)(left / 1000), (suseconds_t)(left % 1000 * 1000) };
    event_add(&c->timer, &delay);
    c->armed = has_more ? 0 : c->deadline;
}

/* The others come next: no peer decides how long a turn of the loop takes. */
static bool has_time(const struct net_connection *c, int steps)
{
    return steps < STEPS_MAX && c->stream.records.taken < RECORDS_MAX;
}

static void run(struct net_connection *c)
{
    static bool (*const steps[])(struct net_connection *) = {
        [NET_PROXY] = net_connection_step_proxy,     [NET_HANDSHAKE] = step_handshake,
        [NET_HEAD] = net_connection_step_head,       [NET_BODY] = net_connection_step_body,
        [NET_ANSWER] = net_connection_step_answer,   [NET_WRITE] = net_connection_step_write,
        [NET_DISCARD] = net_connection_step_discard, [NET_LINGER] = step_linger,
    };
    _Static_assert(sizeof steps / sizeof *steps == NET_CLOSED, "every state has its step");
    bool has_more = true;
    c->running = true;
    c->stream.records.taken = 0;
    for (int i = 0; has_more && c->state != NET_CLOSED && has_time(c, i); i++)
        has_more = steps[c->state](c);
    c->running = false;
    if (c->state == NET_CLOSED) {
        destroy(c);
        return;
    }
    if (c->state == NET_ANSWER && c->ended)
        net_stream_watch_reset(&c->stream);
    else
        net_stream_watch(&c->stream);
    arm(c, has_more);
}

static void on_ready(void *arg)
{
    run(arg);
}

static void expire(struct net_connection *c)
{
    switch (c->state) {
    case NET_PROXY: net_connection_end_proxy(c, "the PROXY header did not come in time"); break;
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

/* The deadline, or a wake-up when the answer has come (connection_answer.c). */
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

/* A client that was let in and not served yet would take the end for a fault, and so would one whose next
 * request is on the way: what is idle has a moment left, and an answer in it closes the connection. */
static void stop(struct net_connection *c)
{
    int64_t soon = lest_clock_monotonic_ms() + STOP_IDLE_MS;
    if (c->state != NET_HEAD || c->begun || c->requests == 0 || c->deadline <= soon)
        return;
    c->deadline = soon;
    if (!c->running)
        run(c);
}

void net_connections_stop(struct net_service *service)
{
    struct net_connection *c, *next;
    net_service_ref(service);
    for (c = TAILQ_FIRST(&service->waiting); c; c = next) {
        next = TAILQ_NEXT(c, waiting);
        stop(c);
    }
    net_service_unref(service);
}

void net_connections_kill(struct net_service *service)
{
    struct net_connection *c, *next;
    for (c = TAILQ_FIRST(&service->all); c; c = next) {
        next = TAILQ_NEXT(c, all);
        net_connection_kill(c);
    }
}

void net_connection_start(struct net_service *service, struct net_tls *tls, int fd,
                          const struct sockaddr_storage *address, struct net_peer_counts *counts)
{
    struct net_peer_key key = net_peer_key(address);
    struct net_connection *c = calloc(1, sizeof *c);
    struct net_peer *peer = net_peer_new(address);
    if (!c || !peer) {
        net_peer_counts_leave(counts, key);
        free(c);
        net_peer_free(peer);
        close(fd);
        return;
    }
    bool is_named = counts == service->counts;
    struct event_base *base = net_loop_get0_base(service->loop);
    c->service = service;
    c->peer = peer;
    c->tls = tls ? net_tls_ref(tls) : NULL;
    c->counts = counts;
    c->key = key;
    c->state = is_named ? NET_HANDSHAKE : NET_PROXY;
    lest_buf_init(&c->in, net_connection_in_max(c) + NET_READ_BYTES);
    lest_buf_init(&c->out, OUT_MAX);
    net_stream_init(&c->stream, base, fd, on_ready, c);
    evtimer_assign(&c->timer, base, on_timer, c);
    TAILQ_INSERT_TAIL(&service->all, c, all);
    net_service_count_connection(service, 1);
    net_service_ref(service);
    net_connection_set_waiting(c, true);
    net_connection_set_deadline(c, is_named ? service->limits.handshake_ms : service->limits.header_ms);
    run(c);
}
