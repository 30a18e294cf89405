/* Between the two halves of the client: libcurl on the loop (client.c), and one request (client_transfer.c).
 */
#ifndef LEST_NET_CLIENT_MULTI_H
#define LEST_NET_CLIENT_MULTI_H

#include "net/client_tls.h"

#include <curl/curl.h>

/** Let libcurl begin with a request, whose CURLOPT_PRIVATE is its struct net_transfer. False: no memory, or
 *  no descriptor. */
bool net_client_add(struct net_client *client, CURL *easy);

/** Take it back, finished or not. */
void net_client_remove(struct net_client *client, CURL *easy);

/** Called from the loop when libcurl is done with a request. May free transfer and client. */
void net_transfer_finish(struct net_transfer *transfer, CURLcode code);

/** One more reference; net_client_free() drops it. */
struct net_client *net_client_ref(struct net_client *client);

/** Whom it trusts and what it shows; whether it takes plain http, too. */
const struct net_client_tls *net_client_get0_tls(const struct net_client *client);
bool net_client_takes_http(const struct net_client *client);

#endif
