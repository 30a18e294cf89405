/* What is said of a request that got no answer. */
#ifndef LEST_NET_FAILURE_H
#define LEST_NET_FAILURE_H

#include "net/client_tls.h"
#include "net/curl.h"
#include "net/url.h"

/** All borrowed.
 *  text      of libcurl (CURLOPT_ERRORBUFFER)
 *  proxy     as the client has it; NULL: that of the environment
 *  handshook whether TLS was there, as far as is known
 *  sent      whether any of the request may have reached the server */
struct net_failure {
    CURL *easy;
    CURLcode code;
    const char *text;
    const struct net_url *url;
    const struct net_client_peer *peer;
    const char *proxy;
    bool handshook;
    bool sent;
};

/** Set err to what became of it: what the peer's certificate or its alerts say, or else libcurl. A proxy is
 *  named where it was the proxy.
 *  Statuses: LEST_E_TRUST, LEST_E_UNAUTHENTICATED, LEST_E_TLS, LEST_E_NETWORK (no connection),
 *  LEST_E_TIMEOUT, LEST_E_CLOSED, LEST_E_PROTOCOL, LEST_E_TOO_LARGE, LEST_E_NOMEM, LEST_E_USAGE */
void net_failure_explain(const struct net_failure *failure, struct lest_error *err);

#endif
