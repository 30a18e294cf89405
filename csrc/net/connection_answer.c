#include "net/connection_answer.h"

#include "base/clock.h"
#include "http/response.h"
#include "net/connection_state.h"

static enum lest_status check(const struct net_answer *answer, struct lest_error *err)
{
    static const char *const ours[] = { "Content-Length", "Date", "X-Request-Id", "Connection",
                                        "Transfer-Encoding" };
    for (size_t i = 0; i < answer->header_count; i++) {
        for (size_t j = 0; j < sizeof ours / sizeof *ours; j++)
            if (http_equal_nocase(answer->headers[i].name, http_text(ours[j])))
                return lest_error_set(err, LEST_E_USAGE, "the header %s is set by the server", ours[j]);
    }
    return LEST_OK;
}

/* RFC 9110 8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of
 * 1xx or 204"; for 304 it would have to be the length of what was not sent. */
static enum lest_status write_answer(struct net_exchange *x, const struct net_answer *answer,
                                     bool close_after, struct lest_buf *out, struct lest_error *err)
{
    char date[HTTP_DATE_SIZE];
    enum lest_status status = LEST_OK;
    bool no_body = answer->status == 204 || answer->status == 304;
    http_response_start(out, answer->status);
    http_date_format(lest_clock_wall_s(), date);
    http_response_text(out, "Date", date);
    http_response_text(out, "X-Request-Id", x->id);
    for (size_t i = 0; !status && i < answer->header_count; i++)
        status = http_response_header(out, answer->headers[i].name, answer->headers[i].value, err);
    if (status)
        return status;
    if (!no_body)
        http_response_number(out, "Content-Length", answer->sealed ? answer->sealed->len : answer->body.len);
    if (close_after)
        http_response_text(out, "Connection", "close");
    else if (x->request.minor == 0)
        http_response_text(out, "Connection", "keep-alive");
    http_response_end(out);
    if (!no_body && !answer->sealed && x->request.method != HTTP_HEAD)
        lest_buf_append(out, answer->body.data, answer->body.len);
    return lest_buf_status(out, err);
}

static enum lest_status write_raw(struct http_slice bytes, struct lest_buf *out, struct lest_error *err)
{
    lest_buf_append(out, bytes.data, bytes.len);
    return lest_buf_status(out, err);
}

/* Whether the connection will be closed after this answer. */
static bool will_close(const struct net_connection *c)
{
    const struct net_exchange *x = c->exchange;
    const struct http_request *request = &x->request;
    if (!request->keep_alive || c->ended || c->service->stopped ||
        c->requests >= c->service->limits.requests_per_connection_max)
        return true;
    if (x->complete || request->framing == HTTP_BODY_NONE)
        return false;
    /* A client that was told to wait for 100 may send its body or not (RFC 9110 10.1.1). */
    return request->expect_continue || c->body.left > NET_DISCARD_MAX;
}

/* The client must not wait for an answer that cannot be written. */
static void answer_failure(struct net_connection *c, size_t before)
{
    static const struct net_answer failure = { .status = 500 };
    struct lest_error ignored;
    c->out.len = before;
    c->out.failed = c->out.too_large = false;
    if (write_answer(c->exchange, &failure, c->close_after, &c->out, &ignored)) {
        c->out.len = before;
        c->close_after = true;
    }
}

static enum lest_status respond(struct net_exchange *exchange, const struct net_answer *answer,
                                struct lest_error *err)
{
    struct net_connection *c = exchange->carried_by;
    size_t before = c->out.len;
    c->close_after = answer->raw.data || will_close(c);
    enum lest_status status = answer->raw.data ? write_raw(answer->raw, &c->out, err)
                                               : write_answer(exchange, answer, c->close_after, &c->out, err);
    if (status)
        answer_failure(c, before);
    else if (!answer->raw.data && exchange->request.method != HTTP_HEAD)
        c->tail = lest_sealed_ref(answer->sealed);
    net_service_end_answer(c->service, exchange);
    /* The driver goes on from here; inside of a step it does so anyway. */
    if (!c->running)
        event_active(&c->timer, EV_TIMEOUT, 1);
    return status;
}

static bool binding(const struct net_exchange *exchange, char text[NET_BINDING_SIZE])
{
    const struct net_connection *c = exchange->carried_by;
    return c->stream.ssl && net_binding_write(c->stream.ssl, text);
}

const struct net_carrier net_connection_carrier = { .check = check, .respond = respond, .binding = binding };
