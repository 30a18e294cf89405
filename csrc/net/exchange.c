#include "net/exchange.h"

#include "base/clock.h"
#include "http/response.h"
#include "net/connection.h"

#include <stdlib.h>

struct net_exchange *net_exchange_ref(struct net_exchange *exchange)
{
    exchange->refs++;
    return exchange;
}

void net_peer_free(struct net_peer *peer)
{
    if (!peer || --peer->refs > 0)
        return;
    sk_X509_pop_free(peer->chain, X509_free);
    free(peer);
}

void net_exchange_free(struct net_exchange *exchange)
{
    if (!exchange || --exchange->refs > 0)
        return;
    /* The head may have held a password, the body a challenge password. */
    lest_buf_wipe(&exchange->head);
    lest_buf_wipe(&exchange->body);
    net_peer_free(exchange->peer);
    free(exchange);
}

static enum lest_status check_headers(const struct net_answer *answer, struct lest_error *err)
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
    http_date_format(lest_clock_wall_us() / 1000000, date);
    http_response_text(out, "Date", date);
    http_response_text(out, "X-Request-Id", x->id);
    for (size_t i = 0; !status && i < answer->header_count; i++)
        status = http_response_header(out, answer->headers[i].name, answer->headers[i].value, err);
    if (status)
        return status;
    if (!no_body)
        http_response_number(out, "Content-Length", answer->body.len);
    if (close_after)
        http_response_text(out, "Connection", "close");
    else if (x->request.minor == 0)
        http_response_text(out, "Connection", "keep-alive");
    http_response_end(out);
    if (!no_body && x->request.method != HTTP_HEAD)
        lest_buf_append(out, answer->body.data, answer->body.len);
    return lest_buf_status(out, err);
}

enum lest_status net_exchange_respond(struct net_exchange *exchange, const struct net_answer *answer,
                                      struct lest_error *err)
{
    struct net_connection *c = exchange->connection;
    if (exchange->answered && !exchange->why_aborted)
        return lest_error_set(err, LEST_E_USAGE, "this request has been answered already");
    if (answer->status < 200 || answer->status > 599)
        return lest_error_set(err, LEST_E_USAGE, "an answer's status is between 200 and 599");
    if ((answer->status == 204 || answer->status == 304) && answer->body.len)
        return lest_error_set(err, LEST_E_USAGE, "an answer with status %d has no body", answer->status);
    enum lest_status status = check_headers(answer, err);
    if (status)
        return status;
    if (!c || exchange->answered)
        return lest_error_set(err, LEST_E_CLOSED, "the client has gone");
    size_t before = c->out.len;
    c->close_after = net_connection_will_close(c);
    status = write_answer(exchange, answer, c->close_after, &c->out, err);
    if (status) {
        /* Nobody must wait for an answer that cannot be written. */
        static const struct net_answer failure = { .status = 500 };
        struct lest_error ignored;
        c->out.len = before;
        c->out.failed = c->out.too_large = false;
        if (write_answer(exchange, &failure, c->close_after, &c->out, &ignored)) {
            c->out.len = before;
            c->close_after = true;
        }
    }
    net_connection_set_answered(c->server, exchange);
    net_connection_answered(c);
    return status;
}
