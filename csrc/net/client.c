#include "net/client.h"

#include <stdlib.h>

enum lest_status net_client_new(struct net_loop *loop, const struct net_client_config *config,
                                struct net_client **out, struct lest_error *err)
{
    *out = NULL;
    enum lest_status status = net_curl_load(err);
    if (status)
        return status;
    struct net_client *client = calloc(1, sizeof *client);
    if (!client)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    client->references = 1;
    client->plain_http = config->plain_http;
    status = net_client_tls_new(&config->tls, &client->tls, err);
    if (!status && !(client->multi = net_multi_new(loop, config->idle_ms)))
        status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
    if (status)
        net_client_free(client);
    else
        *out = client;
    return status;
}

struct net_client *net_client_ref(struct net_client *client)
{
    client->references++;
    return client;
}

void net_client_free(struct net_client *client)
{
    if (!client || --client->references)
        return;
    net_multi_free(client->multi);
    net_client_tls_free(client->tls);
    free(client);
}
