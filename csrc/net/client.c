#include "net/client.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

/* A copy in *out; NULL stays NULL. */
static bool copy(const char *text, char **out)
{
    *out = text ? strdup(text) : NULL;
    return *out || !text;
}

static enum lest_status take_proxy(struct net_client *client, const struct net_client_config *config,
                                   struct lest_error *err)
{
    static const char *const schemes[] = { "http://", "socks5h://", "socks5://" };
    bool known = !config->proxy || !*config->proxy;
    for (size_t i = 0; !known && i < sizeof schemes / sizeof *schemes; i++)
        known = strncmp(config->proxy, schemes[i], strlen(schemes[i])) == 0;
    if (!known)
        return lest_error_set(err, LEST_E_USAGE, "a proxy is http://, socks5h:// or socks5://HOST:PORT");
    if (copy(config->proxy, &client->proxy) && copy(config->proxy_username, &client->proxy_username) &&
        copy(config->proxy_password, &client->proxy_password))
        return LEST_OK;
    return lest_error_set(err, LEST_E_NOMEM, "out of memory");
}

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
    status = take_proxy(client, config, err);
    if (!status)
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
    if (client->proxy_password)
        lest_wipe(client->proxy_password, strlen(client->proxy_password));
    free(client->proxy);
    free(client->proxy_username);
    free(client->proxy_password);
    free(client);
}
