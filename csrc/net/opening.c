#include "net/opening.h"

#include "net/failure.h"

static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
    (void)easy;
    struct net_opening *opening = arg;
    enum lest_status status = net_client_tls_prepare(opening->client->tls, ctx, opening->peer, &opening->err);
    return status ? CURLE_ABORTED_BY_CALLBACK : CURLE_OK;
}

static CURLcode set_options(struct net_opening *opening, int64_t connect_timeout_ms)
{
    CURL *easy = opening->request.easy;
    CURLcode failed = 0;
#define SET(option, value) failed |= net_curl.easy_setopt(easy, CURLOPT_##option, value)
    SET(ERRORBUFFER, opening->curl_text);
    SET(CURLU, opening->url.handle);
    SET(PROTOCOLS_STR, opening->client->plain_http ? "https,http" : "https");
    SET(SUPPRESS_CONNECT_HEADERS, 1L); /* of a proxy */
    if (opening->client->proxy)
        SET(PROXY, opening->client->proxy);
    if (opening->client->proxy_username)
        SET(PROXYUSERNAME, opening->client->proxy_username);
    if (opening->client->proxy_password)
        SET(PROXYPASSWORD, opening->client->proxy_password);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L);
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(CONNECTTIMEOUT_MS, (long)connect_timeout_ms);
    /* client_tls.c decides instead, and no session outlives its connection (RFC 7030 4.1.1). */
    SET(SSL_VERIFYPEER, 0L);
    SET(SSL_VERIFYHOST, 0L);
    SET(CAINFO, NULL);
    SET(CAPATH, NULL);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(SSL_SESSIONID_CACHE, 0L);
    SET(SSL_CTX_FUNCTION, on_ssl_ctx);
    SET(SSL_CTX_DATA, opening);
#undef SET
    return failed;
}

enum lest_status net_opening_init(struct net_opening *opening, struct net_client *client, const char *url,
                                  int64_t connect_timeout_ms, struct lest_error *err)
{
    opening->client = net_client_ref(client);
    enum lest_status status = net_url_parse(url, client->plain_http, &opening->url, err);
    if (status)
        return status;
    opening->peer = net_client_tls_peer(client->tls, opening->url.host);
    opening->request.easy = opening->peer ? net_curl.easy_init() : NULL;
    if (!opening->request.easy)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    CURLcode code = set_options(opening, connect_timeout_ms);
    if (code != CURLE_OK)
        return lest_error_set(err, LEST_E_INTERNAL, "libcurl cannot do this: %s",
                              net_curl.easy_strerror(code));
    return LEST_OK;
}

void net_opening_explain(struct net_opening *opening, CURLcode code, bool handshook, bool sent)
{
    const struct net_failure failure = {
        .easy = opening->request.easy,
        .code = code,
        .text = opening->curl_text,
        .url = &opening->url,
        .peer = opening->peer,
        .proxy = opening->client->proxy,
        .handshook = handshook,
        .sent = sent,
    };
    if (!opening->err.status)
        net_failure_explain(&failure, &opening->err);
}

void net_opening_free(struct net_opening *opening)
{
    if (!opening->client)
        return;
    net_multi_remove(opening->client->multi, &opening->request);
    net_curl.easy_cleanup(opening->request.easy);
    net_url_free(&opening->url);
    net_client_peer_free(opening->peer);
    net_client_free(opening->client);
}
