#include "net/client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static bool usable;

static void global_init(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    usable = curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK && info->version_num >= 0x075700 &&
             info->ssl_version && strncmp(info->ssl_version, "OpenSSL/", 8) == 0;
}

enum lest_status net_client_new(struct net_loop *loop, const struct net_client_config *config,
                                struct net_client **out, struct lest_error *err)
{
    *out = NULL;
    pthread_once(&global_once, global_init);
    if (!usable)
        return lest_error_set(err, LEST_E_INTERNAL, "libcurl >= 7.87 with OpenSSL is needed");
    struct net_client *client = calloc(1, sizeof *client);
    if (!client)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    client->references = 1;
    client->plain_http = config->plain_http;
    enum lest_status status = net_client_tls_new(&config->tls, &client->tls, err);
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
