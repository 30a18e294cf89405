/* The URL of a request, read by libcurl's parser, which is the one that will act upon it. */
#ifndef LEST_NET_URL_H
#define LEST_NET_URL_H

#include "net/curl.h"

#include <stdbool.h>

/** handle  for CURLOPT_CURLU
 *  host    in A-labels (RFC 6125 6.4.2), or an address without brackets
 *  origin  "host:port", for messages */
struct net_url {
    CURLU *handle;
    char *host;
    char origin[300];
};

/** Read a URL: https, or http where it is allowed; no user or password in it. Free it in every case.
 *  Errors: LEST_E_USAGE, LEST_E_NOMEM */
enum lest_status net_url_parse(const char *text, bool plain_http, struct net_url *url,
                               struct lest_error *err) LEST_MUST_USE;
void net_url_free(struct net_url *url);

#endif
