#include "net/failure.h"

#include "http/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What libcurl's codes mean; the last row is for all others. */
static const struct meaning {
    CURLcode code;
    enum lest_status status;
    const char *text;
} meanings[] = {
    { CURLE_OPERATION_TIMEDOUT, LEST_E_TIMEOUT, "no answer in time" },
    { CURLE_COULDNT_RESOLVE_HOST, LEST_E_NETWORK, "the name cannot be resolved" },
    { CURLE_COULDNT_CONNECT, LEST_E_NETWORK, "cannot connect" },
    { CURLE_INTERFACE_FAILED, LEST_E_NETWORK, "cannot connect" },
    { CURLE_GOT_NOTHING, LEST_E_CLOSED, "closed without an answer" },
    { CURLE_SEND_ERROR, LEST_E_CLOSED, "closed without an answer" },
    { CURLE_RECV_ERROR, LEST_E_CLOSED, "closed without an answer" },
    { CURLE_SEND_FAIL_REWIND, LEST_E_CLOSED, "closed without an answer" },
    { CURLE_PARTIAL_FILE, LEST_E_CLOSED, "the answer was cut short" },
    { CURLE_SSL_CONNECT_ERROR, LEST_E_TLS, "the TLS handshake failed" },
    { CURLE_PEER_FAILED_VERIFICATION, LEST_E_TLS, "the TLS handshake failed" },
    { CURLE_SSL_CIPHER, LEST_E_TLS, "the TLS handshake failed" },
    { CURLE_SSL_CERTPROBLEM, LEST_E_TLS, "the TLS handshake failed" },
    { CURLE_OUT_OF_MEMORY, LEST_E_NOMEM, "out of memory" },
    { CURLE_FILESIZE_EXCEEDED, LEST_E_TOO_LARGE, "the answer is too large" },
    { CURLE_URL_MALFORMAT, LEST_E_USAGE, "the URL is wrong" },
    { CURLE_UNSUPPORTED_PROTOCOL, LEST_E_PROTOCOL, "the answer is not HTTP" }, /* HTTP/0.9 */
    { CURLE_WEIRD_SERVER_REPLY, LEST_E_PROTOCOL, "the answer is not HTTP" },
    { CURLE_BAD_CONTENT_ENCODING, LEST_E_PROTOCOL, "the answer is not HTTP" },
    { CURLE_OK, LEST_E_NETWORK, "the request failed" },
};

static const struct meaning *meaning_of(CURLcode code)
{
    const struct meaning *each = meanings;
    while (each->code != CURLE_OK && each->code != code)
        each++;
    return each;
}

/* "host:port" of the proxy, or of the one that the environment names for https, without a password; libcurl
 * decides whether it is used. (An http URL's proxy answers by itself, as the server would.) */
static bool name_proxy(const char *value, char *out, size_t size)
{
    static const char *const variables[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
    for (size_t i = 0; i < sizeof variables / sizeof *variables && !value; i++)
        value = getenv(variables[i]);
    if (!value || !*value)
        return false;
    const char *scheme = strstr(value, "://"), *at = strrchr(value, '@');
    const char *host = at ? at + 1 : scheme ? scheme + 3 : value;
    int len = (int)strcspn(host, "/");
    return snprintf(out, size, "%.*s", len, host) < (int)size;
}

/* Whether libcurl could not connect to it: its text names what it tried. */
static bool is_away(const char *proxy, const char *text)
{
    char tried[300];
    const char *colon = strrchr(proxy, ':');
    int len = colon ? (int)(colon - proxy) : (int)strlen(proxy);
    return snprintf(tried, sizeof tried, "connect to %.*s port ", len, proxy) < (int)sizeof tried &&
           strstr(text, tried);
}

/* Whether it was the proxy, with err set. */
static bool explain_proxy(const struct net_failure *failure, struct lest_error *err)
{
    char proxy[256];
    long answered = 0;
    if (!name_proxy(failure->proxy, proxy, sizeof proxy))
        return false;
    net_curl.easy_getinfo(failure->easy, CURLINFO_HTTP_CONNECTCODE, &answered);
    if (answered >= 300)
        lest_error_set(err, LEST_E_NETWORK, "%s: the proxy %s does not let the connection through: %ld %s",
                       failure->url->origin, proxy, answered, http_reason((int)answered));
    else if (failure->code == CURLE_COULDNT_RESOLVE_PROXY || failure->code == CURLE_PROXY ||
             (failure->code == CURLE_COULDNT_CONNECT && is_away(proxy, failure->text)))
        lest_error_set(err, LEST_E_NETWORK, "%s: the proxy %s cannot be reached", failure->url->origin,
                       proxy);
    else
        return false;
    return true;
}

/* Whether a handshake without certificates has failed for its secret, with err set. */
static bool explain_secret(const struct net_failure *failure, struct lest_error *err)
{
    const struct net_client_peer *peer = failure->peer;
    const char *origin = failure->url->origin;
    bool by_password = peer->trust == NET_TRUST_PASSWORD;
    if (failure->handshook || (peer->trust != NET_TRUST_KEY && !by_password))
        return false;
    if (by_password && peer->alert_sent == SSL_AD_INSUFFICIENT_SECURITY) {
        lest_error_set(err, LEST_E_PROTOCOL,
                       "%s: the group of its SRP has less than %d bits, or is none of RFC 5054", origin,
                       PKI_SRP_BITS_MIN);
        return true;
    }
    if (peer->alert < 0)
        return false;
    if (!by_password)
        lest_error_set(err, LEST_E_UNAUTHENTICATED,
                       "%s does not know the identity, or has not that key for it", origin);
    else if (peer->alert == SSL_AD_HANDSHAKE_FAILURE || peer->alert == SSL_AD_PROTOCOL_VERSION)
        lest_error_set(err, LEST_E_TLS, "%s takes no password in the handshake (SRP with TLS 1.2)", origin);
    else
        lest_error_set(err, LEST_E_UNAUTHENTICATED, "%s does not know the user, or the password is not his",
                       origin);
    lest_error_add_detail(err, SSL_alert_desc_string_long(peer->alert));
    return true;
}

/* Whether the peer's certificate, or what the peer says of ours, is the reason, with err set. */
static bool explain_peer(const struct net_failure *failure, struct lest_error *err)
{
    const struct net_client_peer *peer = failure->peer;
    if (peer->refused) {
        *err = peer->err;
        return true;
    }
    if (peer->records.why) {
        lest_error_set(err, LEST_E_PROTOCOL, "%s: %s", failure->url->origin, peer->records.why);
        return true;
    }
    if (explain_secret(failure, err))
        return true;
    if (!net_alert_is_about_us(peer->alert))
        return false;
    lest_error_set(err, LEST_E_UNAUTHENTICATED, "%s does not accept the client certificate, or asks for one",
                   failure->url->origin);
    lest_error_add_detail(err, SSL_alert_desc_string_long(peer->alert));
    return true;
}

void net_failure_explain(const struct net_failure *failure, struct lest_error *err)
{
    if (explain_peer(failure, err) || explain_proxy(failure, err))
        return;
    const char *origin = failure->url->origin;
    const struct meaning *meaning = meaning_of(failure->code);
    const char *text = meaning->text;
    long number = 0;
    if (failure->code == CURLE_COULDNT_CONNECT)
        net_curl.easy_getinfo(failure->easy, CURLINFO_OS_ERRNO, &number);
    if (number) {
        lest_error_set_errno(err, LEST_E_NETWORK, (int)number, "%s: %s", origin, text);
        return;
    }
    if (meaning->status == LEST_E_TIMEOUT && !failure->sent)
        text = "no connection in time";
    lest_error_set(err, meaning->status, "%s: %s", origin, text);
    /* In TLS 1.3 a server refuses a certificate after its own handshake, and its alert may be lost. */
    if (meaning->status == LEST_E_CLOSED && failure->peer->shown && !failure->handshook)
        lest_error_set(err, meaning->status, "%s: %s; the client certificate may not be accepted", origin,
                       text);
    /* "Necessary data rewind was not possible" is of no use to anybody. */
    if (failure->code == CURLE_SEND_FAIL_REWIND)
        return;
    lest_error_add_detail(err, failure->text[0] ? failure->text : net_curl.easy_strerror(failure->code));
}
