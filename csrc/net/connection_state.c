#include "net/connection_state.h"

#include "base/clock.h"
#include "base/meter.h"
#include "http/response.h"

#include <string.h>

/* LINGER_MAX_BYTES  read from a peer that still sends after our last answer, before it is left to block
 * RETRY_AFTER_S     advice to a client that came at a bad time */
enum { LINGER_MAX_BYTES = 256 * 1024, LINGER_MS = 2000, RETRY_AFTER_S = 10 };

/* A long answer may take longer: a peer that takes 16 KB a second is not too slow for one. */
enum { TAIL_BYTES_PER_MS = 16, TAIL_MS_MAX = 30 * 60 * 1000 };

void net_connection_set_deadline(struct net_connection *c, int ms)
{
    c->deadline = lest_clock_monotonic_ms() + ms;
}

void net_connection_set_waiting(struct net_connection *c, bool waiting)
{
    if (c->is_waiting)
        TAILQ_REMOVE(&c->service->waiting, c, waiting);
    if (waiting)
        TAILQ_INSERT_TAIL(&c->service->waiting, c, waiting);
    c->is_waiting = waiting;
    c->service->changed(c->service);
}

void net_connection_end_exchange(struct net_connection *c, const char *why)
{
    struct net_exchange *x = c->exchange;
    struct net_service *service = c->service;
    if (!x)
        return;
    c->exchange = NULL;
    x->carried_by = NULL;
    net_service_tell_abort(service, x, why);
    net_service_end_answer(service, x);
    if (x->delivered && service->handler.done)
        service->handler.done(service->handler.arg, x);
    net_exchange_free(x);
}

void net_connection_drop_tail(struct net_connection *c)
{
    lest_sealed_free(c->tail);
    c->tail = NULL;
    c->tail_done = 0;
}

void net_connection_finish(struct net_connection *c)
{
    net_connection_end_exchange(c, "closed");
    if (c->state == NET_CLOSED)
        return;
    net_stream_shutdown(&c->stream);
    lest_buf_wipe(&c->in);
    lest_buf_wipe(&c->out);
    net_connection_drop_tail(c);
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
    size_t tail_ms = c->tail ? c->tail->len / TAIL_BYTES_PER_MS : 0;
    c->state = NET_WRITE;
    net_connection_set_waiting(c, true);
    net_connection_set_deadline(c, c->service->limits.write_ms +
                                       (int)(tail_ms < TAIL_MS_MAX ? tail_ms : TAIL_MS_MAX));
}

void net_connection_next_request(struct net_connection *c)
{
    const struct net_limits *limits = &c->service->limits;
    c->state = NET_HEAD;
    c->parsed = 0;
    net_records_start_again(&c->stream.records);
    c->begun = c->in.len > 0;
    net_connection_set_deadline(c, c->begun || c->requests == 0 ? limits->header_ms : limits->idle_ms);
    net_connection_set_waiting(c, true);
}

void net_connection_report_end(const struct net_connection *c, const char *why)
{
    net_service_report_end(c->service, c->peer->address, c->peer->port, why);
}

/* The handler logs and counts the exchanges that it gets, each as one "request". So is one that is refused
 * before that. */
static void log_refusal(const struct net_connection *c, const char *id, int status, const char *sentence)
{
    struct lest_log_field fields[] = {
        lest_log_text("id", id),
        lest_log_text("address", c->peer->address),
        lest_log_integer("status", status),
        lest_log_text("reason", sentence),
    };
    lest_meter_add(lest_meter_key(LEST_METER_REQUESTS, 0, (unsigned)status, 0, 0), 1);
    net_lines_write(&c->service->refusals, fields, sizeof fields / sizeof *fields);
}

void net_connection_refuse(struct net_connection *c, int status, const char *sentence)
{
    char date[HTTP_DATE_SIZE], id[NET_REQUEST_ID_SIZE];
    bool head_only = c->exchange && c->exchange->request.method == HTTP_HEAD;
    if (c->exchange)
        memcpy(id, c->exchange->id, sizeof id);
    else
        net_service_next_id(c->service, id);
    if (!c->exchange || !c->exchange->delivered)
        log_refusal(c, id, status, sentence);
    if (c->exchange) {
        c->exchange->carried_by = NULL;
        c->exchange->refusal = (struct http_refusal){ status, sentence };
        net_service_tell_abort(c->service, c->exchange,
                               status == 408 || status == 503 ? "timeout" : "refused");
    }
    if (c->state == NET_CLOSED)
        return;
    if (c->exchange)
        net_service_end_answer(c->service, c->exchange);
    struct lest_buf *out = &c->out;
    net_connection_drop_tail(c);
    http_date_format(lest_clock_wall_s(), date);
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
    return NET_REQUEST_LINE_MAX + (size_t)c->service->limits.header_max;
}
