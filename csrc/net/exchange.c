#include "net/exchange.h"

#include <stdlib.h>

struct net_exchange *net_exchange_ref(struct net_exchange *exchange)
{
    exchange->refs++;
    return exchange;
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

bool net_exchange_binding(const struct net_exchange *exchange, char text[NET_BINDING_SIZE])
{
    return exchange->carried_by && exchange->carrier->binding(exchange, text);
}

enum lest_status net_exchange_respond(struct net_exchange *exchange, const struct net_answer *answer,
                                      struct lest_error *err)
{
    if (exchange->answered && !exchange->why_aborted)
        return lest_error_set(err, LEST_E_USAGE, "this request has been answered already");
    if (answer->status < 200 || answer->status > 599)
        return lest_error_set(err, LEST_E_USAGE, "an answer's status is between 200 and 599");
    if ((answer->status == 204 || answer->status == 304) && (answer->body.len || answer->sealed))
        return lest_error_set(err, LEST_E_USAGE, "an answer with status %d has no body", answer->status);
    enum lest_status status = exchange->carrier->check(answer, err);
    if (status)
        return status;
    if (!exchange->carried_by || exchange->answered)
        return lest_error_set(err, LEST_E_CLOSED, "the client has gone");
    return exchange->carrier->respond(exchange, answer, err);
}
