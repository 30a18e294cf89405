#include "net/url.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static bool has_high_byte(const char *text)
{
    while (*text && !(*text & 0x80))
        text++;
    return *text != '\0';
}

/* The host in A-labels (RFC 6125 6.4.2), put into url as well. libcurl reads the name in the character set of
 * the process's locale; ours are UTF-8. */
static CURLUcode get_host(CURLU *url, char **host)
{
    CURLUcode code = net_curl.url_get(url, CURLUPART_HOST, host, 0);
    if (code != CURLUE_OK || !has_high_byte(*host))
        return code;
#if LIBCURL_VERSION_NUM >= 0x075800
    net_curl.free(*host);
    *host = NULL;
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = uselocale(utf8); /* 0 leaves it as it is */
    code = net_curl.url_get(url, CURLUPART_HOST, host, CURLU_PUNYCODE);
    uselocale(before);
    if (utf8)
        freelocale(utf8);
    return code == CURLUE_OK ? net_curl.url_set(url, CURLUPART_HOST, *host, 0) : code;
#else
    return CURLUE_BAD_HOSTNAME;
#endif
}

static void remove_brackets(char *host)
{
    size_t len = strlen(host);
    if (len < 3 || host[0] != '[' || host[len - 1] != ']')
        return;
    memmove(host, host + 1, len - 2);
    host[len - 2] = '\0';
}

enum lest_status net_url_parse(const char *text, bool plain_http, struct net_url *url, struct lest_error *err)
{
    char *scheme = NULL, *port = NULL;
    enum lest_status status = LEST_OK;
    *url = (struct net_url){ .handle = net_curl.url() };
    if (!url->handle)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    CURLUcode code = net_curl.url_set(url->handle, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (code != CURLUE_OK)
        return lest_error_set(err, LEST_E_USAGE, "'%.150s' is no URL: %s", text, net_curl.url_strerror(code));
    code = get_host(url->handle, &url->host);
    if (code == CURLUE_OK)
        code = net_curl.url_get(url->handle, CURLUPART_SCHEME, &scheme, 0);
    if (code == CURLUE_OK)
        code = net_curl.url_get(url->handle, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    if (code != CURLUE_OK) {
        status = lest_error_set(err, LEST_E_USAGE, "'%.150s' is no URL to send to: %s", text,
                                net_curl.url_strerror(code));
        goto out;
    }
    if (strcmp(scheme, "https") != 0 && !(plain_http && strcmp(scheme, "http") == 0)) {
        status = lest_error_set(err, LEST_E_USAGE, "'%.150s' is not https", text);
        goto out;
    }
    snprintf(url->origin, sizeof url->origin, "%s:%s", url->host, port);
    remove_brackets(url->host);
out:
    net_curl.free(scheme);
    net_curl.free(port);
    return status;
}

void net_url_free(struct net_url *url)
{
    net_curl.url_cleanup(url->handle);
    net_curl.free(url->host);
    *url = (struct net_url){ .handle = NULL };
}
