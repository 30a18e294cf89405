#include "net/client.h"

#include "net/client_multi.h"
#include "net/client_tls.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

struct net_transfer {
    struct net_client *client;
    CURL *easy;
    CURLU *url;
    struct curl_slist *send_headers;
    struct net_server_peer *peer;
    net_client_done *done;
    void *arg;
    bool added;
    bool head_only;
    bool head_complete;
    bool has_length, chunked;
    uint64_t length;
    char origin[300];
    char curl_text[CURL_ERROR_SIZE];
    struct lest_error err; /* set where a callback made libcurl stop */
    struct lest_buf send_body, head, body;
    struct net_header headers[NET_CLIENT_HEADERS_MAX];
    size_t header_count;
    STACK_OF(X509) * peer_chain;
    const char *tls_version;
};

static size_t stop(struct net_transfer *transfer, enum lest_status status, const char *message)
{
    lest_error_set(&transfer->err, status, "%s: %s", transfer->origin, message);
    return 0; /* which makes libcurl stop */
}

/* The connection's facts, while it is in use: afterwards it may belong to another request. */
static void note_connection(struct net_transfer *transfer)
{
    struct curl_tlssessioninfo *info = NULL;
    if (transfer->tls_version || curl_easy_getinfo(transfer->easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK ||
        !info || info->backend != CURLSSLBACKEND_OPENSSL || !info->internals)
        return;
    SSL *ssl = info->internals;
    struct net_server_peer *peer = net_server_peer_get0(ssl);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    transfer->tls_version = SSL_get_version(ssl);
    if (peer && peer != transfer->peer) { /* a connection that another request opened */
        net_server_peer_free(transfer->peer);
        transfer->peer = net_server_peer_ref(peer);
    }
    transfer->peer_chain = chain ? X509_chain_up_ref(chain) : NULL;
}

/* RFC 9112 6.3: a length that is no number, or differs from another, leaves no way to tell where the body
 * ends; with Transfer-Encoding beside it, somebody on the way may have been deceived. */
static const char *check_framing(struct net_transfer *transfer, struct http_slice name,
                                 struct http_slice value)
{
    if (http_equal_nocase(name, http_text("Content-Length"))) {
        uint64_t length;
        if (!http_decimal(value, &length))
            return "its Content-Length is no number";
        if (transfer->has_length && length != transfer->length)
            return "it has two different lengths";
        transfer->has_length = true;
        transfer->length = length;
    } else if (http_equal_nocase(name, http_text("Transfer-Encoding"))) {
        if (transfer->chunked || !http_equal_nocase(value, http_text("chunked")))
            return "its Transfer-Encoding is not just 'chunked'";
        transfer->chunked = true;
    }
    return transfer->has_length && transfer->chunked ? "it has both a length and chunks" : NULL;
}

static void restart_head(struct net_transfer *transfer)
{
    transfer->header_count = 0;
    transfer->has_length = transfer->chunked = false;
    transfer->head.len = 0;
}

/* One line of the head, and of the trailer, which is ignored. The names and values are offsets until the
 * buffer moves no more; see pin_headers(). */
/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is libcurl's. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *transfer = arg;
    size_t len = size * count;
    struct http_slice line = { data, len };
    if (transfer->head_complete)
        return len;
    note_connection(transfer);
    while (line.len && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    if (line.len == 0) {
        long status = 0;
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        transfer->head_complete = status >= 200;
        return len;
    }
    if (line.len > 5 && memcmp(line.data, "HTTP/", 5) == 0 && !memchr(line.data, ':', 9)) {
        restart_head(transfer); /* 100 and 103 come before the answer */
        return len;
    }
    const char *colon = memchr(line.data, ':', line.len);
    struct http_slice name = { line.data, colon ? (size_t)(colon - line.data) : 0 };
    if (!colon || !http_is_token(name))
        return stop(transfer, LEST_E_PROTOCOL, "the answer has a malformed header");
    struct http_slice value = http_trim((struct http_slice){ colon + 1, line.len - name.len - 1 });
    if (!http_is_field_value(value))
        return stop(transfer, LEST_E_PROTOCOL, "a header of the answer has control characters");
    const char *wrong = check_framing(transfer, name, value);
    if (wrong) {
        lest_error_set(&transfer->err, LEST_E_PROTOCOL, "%s: the answer cannot be read: %s", transfer->origin,
                       wrong);
        return 0;
    }
    if (transfer->header_count == NET_CLIENT_HEADERS_MAX)
        return stop(transfer, LEST_E_TOO_LARGE, "the answer has too many headers");
    struct net_header *header = &transfer->headers[transfer->header_count++];
    header->name = (struct http_slice){ NULL, name.len };
    header->value = (struct http_slice){ NULL, value.len };
    lest_buf_append(&transfer->head, name.data, name.len);
    lest_buf_append(&transfer->head, value.data, value.len);
    return transfer->head.failed ? stop(transfer, LEST_E_TOO_LARGE, "the answer has too large headers") : len;
}

static void pin_headers(struct net_transfer *transfer)
{
    const char *at = (const char *)transfer->head.data;
    for (size_t i = 0; i < transfer->header_count; i++) {
        struct net_header *header = &transfer->headers[i];
        header->name.data = at;
        header->value.data = at + header->name.len;
        at = header->value.data + header->value.len;
    }
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *transfer = arg;
    size_t len = size * count;
    lest_buf_append(&transfer->body, data, len);
    if (!transfer->body.failed)
        return len;
    return stop(transfer, transfer->body.too_large ? LEST_E_TOO_LARGE : LEST_E_NOMEM,
                transfer->body.too_large ? "the answer is too large" : "out of memory");
}

static enum lest_status status_of(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return LEST_E_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
    case CURLE_INTERFACE_FAILED: return LEST_E_NETWORK;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE: return LEST_E_CLOSED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM: return LEST_E_TLS;
    case CURLE_OUT_OF_MEMORY: return LEST_E_NOMEM;
    case CURLE_FILESIZE_EXCEEDED: return LEST_E_TOO_LARGE;
    case CURLE_URL_MALFORMAT: return LEST_E_USAGE;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer in HTTP/0.9 */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: return LEST_E_PROTOCOL;
    default: return LEST_E_NETWORK;
    }
}

static void explain(struct net_transfer *transfer, CURLcode code)
{
    struct lest_error *err = &transfer->err;
    if (err->status)
        return;
    const struct net_server_peer *peer = transfer->peer;
    if (peer->refused) {
        *err = peer->err;
        return;
    }
    if (net_alert_is_about_us(peer->alert)) {
        lest_error_set(err, LEST_E_UNAUTHENTICATED,
                       "%s does not accept the client certificate, or asks for one", transfer->origin);
        lest_error_add_detail(err, SSL_alert_desc_string_long(peer->alert));
        return;
    }
    enum lest_status status = status_of(code);
    /* In TLS 1.3 a server refuses a certificate after its own handshake, and its alert may be lost. */
    const char *closed_text = peer->shown && !transfer->tls_version
                                  ? "closed without an answer; the client certificate may not be accepted"
                                  : "closed without an answer";
    const char *what = status == LEST_E_TIMEOUT     ? "no answer in time"
                       : status == LEST_E_NETWORK   ? "cannot connect"
                       : status == LEST_E_TLS       ? "the TLS handshake failed"
                       : status == LEST_E_PROTOCOL  ? "the answer is not HTTP"
                       : code == CURLE_PARTIAL_FILE ? "the answer was cut short"
                       : status == LEST_E_CLOSED    ? closed_text
                                                    : "the request failed";
    lest_error_set(err, status, "%s: %s", transfer->origin, what);
    lest_error_add_detail(err, transfer->curl_text[0] ? transfer->curl_text : curl_easy_strerror(code));
}

static void detach(struct net_transfer *transfer)
{
    if (transfer->added)
        net_client_remove(transfer->client, transfer->easy);
    transfer->added = false;
}

/* Whether the body that libcurl is content with is all that was sent. Without a length or chunks it ends with
 * the connection, and only close_notify tells that from one that somebody has cut (RFC 8446 6.1). */
static bool is_whole(const struct net_transfer *transfer, long status)
{
    if (transfer->head_only || status == 204 || status == 304 || transfer->chunked)
        return true;
    if (transfer->has_length)
        return transfer->body.len == transfer->length;
    return !transfer->tls_version || transfer->peer->ended;
}

void net_transfer_finish(struct net_transfer *transfer, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    detach(transfer);
    if (code == CURLE_OK && transfer->head_complete && !is_whole(transfer, status))
        code = CURLE_PARTIAL_FILE;
    if (code == CURLE_OK && transfer->head_complete && !transfer->err.status) {
        pin_headers(transfer);
        const struct net_answer answer = {
            .status = (int)status,
            .headers = transfer->headers,
            .header_count = transfer->header_count,
            .body = { (const char *)transfer->body.data, transfer->body.len },
            .peer_chain = transfer->peer_chain,
            .tls_version = transfer->tls_version,
            .by_cmc_ra = transfer->peer->by_cmc_ra,
        };
        transfer->done(transfer->arg, &answer, NULL);
        return;
    }
    explain(transfer, code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code);
    transfer->done(transfer->arg, NULL, &transfer->err);
}

void net_transfer_free(struct net_transfer *transfer)
{
    if (!transfer)
        return;
    detach(transfer);
    curl_easy_cleanup(transfer->easy);
    curl_url_cleanup(transfer->url);
    curl_slist_free_all(transfer->send_headers);
    sk_X509_pop_free(transfer->peer_chain, X509_free);
    net_server_peer_free(transfer->peer);
    lest_buf_wipe(&transfer->send_body);
    lest_buf_free(&transfer->head);
    lest_buf_free(&transfer->body);
    net_client_free(transfer->client);
    free(transfer);
}

static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
    (void)easy;
    struct net_transfer *transfer = arg;
    enum lest_status status =
        net_client_tls_prepare(net_client_get0_tls(transfer->client), ctx, transfer->peer, &transfer->err);
    return status ? CURLE_ABORTED_BY_CALLBACK : CURLE_OK;
}

static bool has_high_byte(const char *text)
{
    while (*text && !(*text & 0x80))
        text++;
    return *text != '\0';
}

/* The host in A-labels (RFC 6125 6.4.2), put into url as well. libcurl reads the name in the character set of
 * the locale, whatever that is; ours are UTF-8. */
static CURLUcode get_host(CURLU *url, char **host)
{
    CURLUcode code = curl_url_get(url, CURLUPART_HOST, host, 0);
    if (code != CURLUE_OK || !has_high_byte(*host))
        return code;
#if LIBCURL_VERSION_NUM >= 0x075800
    curl_free(*host);
    *host = NULL;
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = uselocale(utf8); /* 0 leaves it as it is */
    code = curl_url_get(url, CURLUPART_HOST, host, CURLU_PUNYCODE);
    uselocale(before);
    if (utf8)
        freelocale(utf8);
    return code == CURLUE_OK ? curl_url_set(url, CURLUPART_HOST, *host, 0) : code;
#else
    return CURLUE_BAD_HOSTNAME;
#endif
}

static enum lest_status set_url(struct net_transfer *transfer, const char *text, struct lest_error *err)
{
    enum lest_status status = LEST_E_USAGE;
    char *scheme = NULL, *host = NULL, *port = NULL;
    transfer->url = curl_url();
    if (!transfer->url)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    CURLUcode code = curl_url_set(transfer->url, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (code != CURLUE_OK) {
        lest_error_set(err, LEST_E_USAGE, "'%.150s' is no URL: %s", text, curl_url_strerror(code));
        goto out;
    }
    code = get_host(transfer->url, &host);
    if (code == CURLUE_OK)
        code = curl_url_get(transfer->url, CURLUPART_SCHEME, &scheme, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(transfer->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    if (code != CURLUE_OK) {
        lest_error_set(err, LEST_E_USAGE, "'%.150s' is no URL to send to: %s", text, curl_url_strerror(code));
        goto out;
    }
    if (strcmp(scheme, "https") != 0 &&
        !(net_client_takes_http(transfer->client) && strcmp(scheme, "http") == 0)) {
        lest_error_set(err, LEST_E_USAGE, "'%.150s' is not https", text);
        goto out;
    }
    snprintf(transfer->origin, sizeof transfer->origin, "%s:%s", host, port);
    size_t len = strlen(host);
    bool bracketed = len > 2 && host[0] == '[' && host[len - 1] == ']';
    if (bracketed)
        host[len - 1] = '\0';
    transfer->peer = net_server_peer_new(net_client_get0_tls(transfer->client), bracketed ? host + 1 : host);
    status = transfer->peer ? LEST_OK : lest_error_set(err, LEST_E_NOMEM, "out of memory");
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    return status;
}

static bool add_line(struct net_transfer *transfer, const char *line)
{
    struct curl_slist *list = curl_slist_append(transfer->send_headers, line);
    if (list)
        transfer->send_headers = list;
    return list != NULL;
}

static enum lest_status set_headers(struct net_transfer *transfer, const struct net_request *request,
                                    struct lest_error *err)
{
    /* No "Expect" and no Content-Type of libcurl's own; no coding that would have to be undone. */
    bool ok = add_line(transfer, "Expect:") && add_line(transfer, "Accept-Encoding: identity");
    bool typed = false;
    struct lest_buf line;
    lest_buf_init(&line, NET_CLIENT_HEAD_MAX);
    for (size_t i = 0; ok && i < request->header_count; i++) {
        struct http_slice name = request->headers[i].name, value = http_trim(request->headers[i].value);
        if (!http_is_token(name) || !http_is_field_value(value)) {
            lest_buf_free(&line);
            return lest_error_set(err, LEST_E_USAGE, "header %zu is malformed", i + 1);
        }
        typed = typed || http_equal_nocase(name, http_text("Content-Type"));
        line.len = 0;
        lest_buf_append(&line, name.data, name.len);
        lest_buf_append_str(&line, value.len ? ": " : ";");
        lest_buf_append(&line, value.data, value.len);
        lest_buf_append_byte(&line, 0);
        ok = !line.failed && add_line(transfer, (const char *)line.data);
    }
    lest_buf_wipe(&line);
    if (ok && !typed)
        ok = add_line(transfer, "Content-Type:");
    return ok ? LEST_OK : lest_error_set(err, LEST_E_NOMEM, "the headers take too much memory");
}

static CURLcode set_method(struct net_transfer *transfer, const struct net_request *request)
{
    CURL *easy = transfer->easy;
    CURLcode failed = 0;
    bool post = strcmp(request->method, "POST") == 0;
    transfer->head_only = strcmp(request->method, "HEAD") == 0;
    if (transfer->head_only)
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (request->body || post) {
        lest_buf_append(&transfer->send_body, request->body ? request->body : "", request->body_len);
        if (transfer->send_body.failed)
            return CURLE_OUT_OF_MEMORY;
        failed |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                                   request->body_len ? (char *)transfer->send_body.data : "");
    }
    if (!post && (request->body || strcmp(request->method, "GET") != 0))
        failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return failed;
}

static CURLcode set_options(struct net_transfer *transfer, const struct net_request *request)
{
    CURL *easy = transfer->easy;
    CURLcode failed = 0;
#define SET(option, value) failed |= curl_easy_setopt(easy, CURLOPT_##option, value)
    SET(PRIVATE, transfer);
    SET(ERRORBUFFER, transfer->curl_text);
    SET(CURLU, transfer->url);
    SET(PROTOCOLS_STR, net_client_takes_http(transfer->client) ? "https,http" : "https");
    SET(FOLLOWLOCATION, 0L);
    SET(SUPPRESS_CONNECT_HEADERS, 1L); /* of a proxy */
    SET(HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    SET(HTTPHEADER, transfer->send_headers);
    SET(USERAGENT, "lest/" LEST_VERSION);
    SET(HTTP_CONTENT_DECODING, 0L);
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L);
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(TIMEOUT_MS, (long)request->timeout_ms);
    SET(CONNECTTIMEOUT_MS, (long)request->connect_timeout_ms);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, transfer);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, transfer);
    /* client_tls.c decides instead, and no session outlives its connection (RFC 7030 4.1.1). */
    SET(SSL_VERIFYPEER, 0L);
    SET(SSL_VERIFYHOST, 0L);
    SET(CAINFO, NULL);
    SET(CAPATH, NULL);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(SSL_SESSIONID_CACHE, 0L);
    SET(SSL_CTX_FUNCTION, on_ssl_ctx);
    SET(SSL_CTX_DATA, transfer);
    if (request->username || request->password) {
        SET(HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(USERNAME, request->username ? request->username : "");
        SET(PASSWORD, request->password ? request->password : "");
    }
#undef SET
    return failed ? failed : set_method(transfer, request);
}

enum lest_status net_client_send(struct net_client *client, const struct net_request *request,
                                 net_client_done *done, void *arg, struct net_transfer **out,
                                 struct lest_error *err)
{
    *out = NULL;
    if (!http_is_token(http_text(request->method)))
        return lest_error_set(err, LEST_E_USAGE, "the method is no token");
    struct net_transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    transfer->client = net_client_ref(client);
    transfer->done = done;
    transfer->arg = arg;
    lest_buf_init(&transfer->send_body, request->body_len + 1);
    lest_buf_init(&transfer->head, NET_CLIENT_HEAD_MAX);
    lest_buf_init(&transfer->body, request->body_max);
    enum lest_status status = set_url(transfer, request->url, err);
    if (!status)
        status = set_headers(transfer, request, err);
    if (!status && !(transfer->easy = curl_easy_init()))
        status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
    if (!status) {
        CURLcode code = set_options(transfer, request);
        if (code != CURLE_OK)
            status =
                lest_error_set(err, LEST_E_INTERNAL, "libcurl cannot do this: %s", curl_easy_strerror(code));
    }
    if (!status && !(transfer->added = net_client_add(client, transfer->easy)))
        status = lest_error_set(err, LEST_E_NOMEM, "out of memory or descriptors");
    if (status)
        net_transfer_free(transfer);
    else
        *out = transfer;
    return status;
}
