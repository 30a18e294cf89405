/* What libcurl needs to open a connection of a client: the URL, who the server has to be, and our own
 * verification in place of libcurl's. A transfer and a dial begin with one. */
#ifndef LEST_NET_OPENING_H
#define LEST_NET_OPENING_H

#include "net/client.h"
#include "net/url.h"

/** request  first: it is what net/multi.h knows of an opening
 *  client   counted
 *  peer     of the connection
 *  err      set where a callback made libcurl stop */
struct net_opening {
    struct net_multi_request request;
    struct net_client *client;
    struct net_url url;
    struct net_client_peer *peer;
    struct lest_error err;
    char curl_text[CURL_ERROR_SIZE];
};

/** Begin: a zeroed opening to this URL. Free it in every case.
 *  Errors: LEST_E_USAGE, LEST_E_NOMEM, LEST_E_INTERNAL */
enum lest_status net_opening_init(struct net_opening *opening, struct net_client *client, const char *url,
                                  int64_t connect_timeout_ms, struct lest_error *err) LEST_MUST_USE;

/** Set err to why it failed, if a callback has not. handshook, sent: see net/failure.h */
void net_opening_explain(struct net_opening *opening, CURLcode code, bool handshook, bool sent);

/** Take it from the loop and let go of all that it has; its connection is closed unless it can be kept. */
void net_opening_free(struct net_opening *opening);

#endif
