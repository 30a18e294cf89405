#include "net/client.h"

#include "http/response.h"
#include "net/client_tls.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A socket that libcurl wants to be told about. */
struct watched {
    struct net_client *client;
    struct event *event;
    short what;
    struct watched *next, **link;
};

struct net_client {
    struct event_base *base;
    struct net_client_tls *tls;
    struct event *timer; /* libcurl's */
    struct event *idle;
    CURLM *multi; /* NULL while idle: it holds descriptors of its own */
    struct watched *watched;
    size_t under_way;
    unsigned references; /* the owner's, and one for each exchange */
    int64_t idle_ms;
    bool plain_http;
    bool settling;
};

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

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static bool usable;

static void global_init(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    usable = curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK && info->version_num >= 0x075700 &&
             info->ssl_version && strncmp(info->ssl_version, "OpenSSL/", 8) == 0;
}

/* -- libcurl on the loop -- */

static void settle(struct net_client *client);

static void unwatch(struct watched *watched)
{
    event_free(watched->event);
    *watched->link = watched->next;
    if (watched->next)
        watched->next->link = watched->link;
    free(watched);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct net_client *client = ((struct watched *)arg)->client;
    int running, mask = 0;
    mask |= what & EV_READ ? CURL_CSELECT_IN : 0;
    mask |= what & EV_WRITE ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(client->multi, fd, mask, &running);
    settle(client);
}

static struct watched *watch(struct net_client *client, curl_socket_t fd)
{
    struct watched *watched = calloc(1, sizeof *watched);
    if (!watched)
        return NULL;
    watched->event = event_new(client->base, fd, 0, on_socket, watched);
    if (!watched->event) {
        free(watched);
        return NULL;
    }
    watched->client = client;
    watched->next = client->watched;
    watched->link = &client->watched;
    if (watched->next)
        watched->next->link = &watched->next;
    client->watched = watched;
    curl_multi_assign(client->multi, fd, watched);
    return watched;
}

static int socket_function(CURL *easy, curl_socket_t fd, int what, void *userp, void *socketp)
{
    (void)easy;
    struct net_client *client = userp;
    struct watched *watched = socketp;
    if (what == CURL_POLL_REMOVE) {
        if (watched)
            unwatch(watched);
        return 0;
    }
    if (!watched && !(watched = watch(client, fd)))
        return -1;
    short wanted = EV_PERSIST;
    wanted |= what & CURL_POLL_IN ? EV_READ : 0;
    wanted |= what & CURL_POLL_OUT ? EV_WRITE : 0;
    if (wanted == watched->what)
        return 0;
    watched->what = wanted;
    event_del(watched->event);
    event_assign(watched->event, client->base, fd, wanted, on_socket, watched);
    return event_add(watched->event, NULL) ? -1 : 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct net_client *client = arg;
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    settle(client);
}

static void set_timer(struct event *event, int64_t ms)
{
    struct timeval delay = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
    evtimer_add(event, &delay);
}

static int timer_function(CURLM *multi, long timeout_ms, void *userp)
{
    (void)multi;
    struct net_client *client = userp;
    if (timeout_ms < 0)
        evtimer_del(client->timer);
    else
        set_timer(client->timer, timeout_ms);
    return 0;
}

static void close_multi(struct net_client *client)
{
    if (client->multi)
        curl_multi_cleanup(client->multi);
    client->multi = NULL;
    while (client->watched)
        unwatch(client->watched);
    evtimer_del(client->timer);
    evtimer_del(client->idle);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    close_multi(arg);
}

static bool open_multi(struct net_client *client)
{
    if (client->multi)
        return true;
    client->multi = curl_multi_init();
    if (!client->multi)
        return false;
    /* Requests past the total wait for a connection, within their time. */
    return curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, socket_function) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, timer_function) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 256L) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, 16L) == CURLM_OK;
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
    client->base = net_loop_get0_base(loop);
    client->idle_ms = config->idle_ms;
    client->plain_http = config->plain_http;
    enum lest_status status = net_client_tls_new(config, &client->tls, err);
    if (!status) {
        client->timer = evtimer_new(client->base, on_timer, client);
        client->idle = evtimer_new(client->base, on_idle, client);
        if (!client->timer || !client->idle)
            status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
    }
    if (status)
        net_client_free(client);
    else
        *out = client;
    return status;
}

void net_client_free(struct net_client *client)
{
    if (!client || --client->references)
        return;
    if (client->timer && client->idle)
        close_multi(client);
    if (client->timer)
        event_free(client->timer);
    if (client->idle)
        event_free(client->idle);
    net_client_tls_free(client->tls);
    free(client);
}

/* -- receiving -- */

static size_t stop(struct net_transfer *exchange, enum lest_status status, const char *message)
{
    lest_error_set(&exchange->err, status, "%s: %s", exchange->origin, message);
    return 0; /* which makes libcurl stop */
}

/* The connection's facts, while it is in use: afterwards it may belong to another request. */
static void note_connection(struct net_transfer *exchange)
{
    struct curl_tlssessioninfo *info = NULL;
    if (exchange->tls_version || curl_easy_getinfo(exchange->easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK ||
        !info || info->backend != CURLSSLBACKEND_OPENSSL || !info->internals)
        return;
    SSL *ssl = info->internals;
    struct net_server_peer *peer = net_server_peer_get0(ssl);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    exchange->tls_version = SSL_get_version(ssl);
    if (peer && peer != exchange->peer) { /* a connection that another request opened */
        net_server_peer_free(exchange->peer);
        exchange->peer = net_server_peer_ref(peer);
    }
    exchange->peer_chain = chain ? X509_chain_up_ref(chain) : NULL;
}

/* RFC 9112 6.3: a length that is no number, or differs from another, leaves no way to tell where the body
 * ends; with Transfer-Encoding beside it, somebody on the way may have been deceived. */
static const char *check_framing(struct net_transfer *exchange, struct http_slice name,
                                 struct http_slice value)
{
    if (http_equal_nocase(name, http_text("Content-Length"))) {
        uint64_t length;
        if (!http_decimal(value, &length))
            return "its Content-Length is no number";
        if (exchange->has_length && length != exchange->length)
            return "it has two different lengths";
        exchange->has_length = true;
        exchange->length = length;
    } else if (http_equal_nocase(name, http_text("Transfer-Encoding"))) {
        if (exchange->chunked || !http_equal_nocase(value, http_text("chunked")))
            return "its Transfer-Encoding is not just 'chunked'";
        exchange->chunked = true;
    }
    return exchange->has_length && exchange->chunked ? "it has both a length and chunks" : NULL;
}

static void restart_head(struct net_transfer *exchange)
{
    exchange->header_count = 0;
    exchange->has_length = exchange->chunked = false;
    exchange->head.len = 0;
}

/* One line of the head, and of the trailer, which is ignored. The names and values are offsets until the
 * buffer moves no more; see pin_headers(). */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *exchange = arg;
    size_t len = size * count;
    struct http_slice line = { data, len };
    if (exchange->head_complete)
        return len;
    note_connection(exchange);
    while (line.len && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    if (line.len == 0) {
        long status = 0;
        curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
        exchange->head_complete = status >= 200;
        return len;
    }
    if (line.len > 5 && memcmp(line.data, "HTTP/", 5) == 0 && !memchr(line.data, ':', 9)) {
        restart_head(exchange); /* 100 and 103 come before the answer */
        return len;
    }
    const char *colon = memchr(line.data, ':', line.len);
    struct http_slice name = { line.data, colon ? (size_t)(colon - line.data) : 0 };
    if (!colon || !http_is_token(name))
        return stop(exchange, LEST_E_PROTOCOL, "the answer has a malformed header");
    struct http_slice value = http_trim((struct http_slice){ colon + 1, line.len - name.len - 1 });
    if (!http_is_field_value(value))
        return stop(exchange, LEST_E_PROTOCOL, "a header of the answer has control characters");
    const char *wrong = check_framing(exchange, name, value);
    if (wrong) {
        lest_error_set(&exchange->err, LEST_E_PROTOCOL, "%s: the answer cannot be read: %s", exchange->origin,
                       wrong);
        return 0;
    }
    if (exchange->header_count == NET_CLIENT_HEADERS_MAX)
        return stop(exchange, LEST_E_TOO_LARGE, "the answer has too many headers");
    struct net_header *header = &exchange->headers[exchange->header_count++];
    header->name = (struct http_slice){ NULL, name.len };
    header->value = (struct http_slice){ NULL, value.len };
    lest_buf_append(&exchange->head, name.data, name.len);
    lest_buf_append(&exchange->head, value.data, value.len);
    return exchange->head.failed ? stop(exchange, LEST_E_TOO_LARGE, "the answer has too large headers") : len;
}

static void pin_headers(struct net_transfer *exchange)
{
    const char *at = (const char *)exchange->head.data;
    for (size_t i = 0; i < exchange->header_count; i++) {
        struct net_header *header = &exchange->headers[i];
        header->name.data = at;
        header->value.data = at + header->name.len;
        at = header->value.data + header->value.len;
    }
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *exchange = arg;
    size_t len = size * count;
    lest_buf_append(&exchange->body, data, len);
    if (!exchange->body.failed)
        return len;
    return stop(exchange, exchange->body.too_large ? LEST_E_TOO_LARGE : LEST_E_NOMEM,
                exchange->body.too_large ? "the answer is too large" : "out of memory");
}

/* -- ending -- */

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

static void explain(struct net_transfer *exchange, CURLcode code)
{
    struct lest_error *err = &exchange->err;
    if (err->status)
        return;
    const struct net_server_peer *peer = exchange->peer;
    if (peer->refused) {
        *err = peer->err;
        return;
    }
    if (net_alert_is_about_us(peer->alert)) {
        lest_error_set(err, LEST_E_UNAUTHENTICATED,
                       "%s does not accept the client certificate, or asks for one", exchange->origin);
        lest_error_add_detail(err, SSL_alert_desc_string_long(peer->alert));
        return;
    }
    enum lest_status status = status_of(code);
    const char *what = status == LEST_E_TIMEOUT     ? "no answer in time"
                       : status == LEST_E_NETWORK   ? "cannot connect"
                       : status == LEST_E_TLS       ? "the TLS handshake failed"
                       : status == LEST_E_PROTOCOL  ? "the answer is not HTTP"
                       : code == CURLE_PARTIAL_FILE ? "the answer was cut short"
                       : status == LEST_E_CLOSED    ? "the connection was closed without an answer"
                                                    : "the request failed";
    lest_error_set(err, status, "%s: %s", exchange->origin, what);
    lest_error_add_detail(err, exchange->curl_text[0] ? exchange->curl_text : curl_easy_strerror(code));
}

static void detach(struct net_transfer *exchange)
{
    if (!exchange->added)
        return;
    exchange->added = false;
    struct net_client *client = exchange->client;
    curl_multi_remove_handle(client->multi, exchange->easy);
    client->under_way--;
    if (client->under_way == 0)
        set_timer(client->idle, client->idle_ms);
}

/* Whether the body that libcurl is content with is all that was sent. Without a length or chunks it ends with
 * the connection, and only close_notify tells that from one that somebody has cut (RFC 8446 6.1). */
static bool is_whole(const struct net_transfer *exchange, long status)
{
    if (exchange->head_only || status == 204 || status == 304 || exchange->chunked)
        return true;
    if (exchange->has_length)
        return exchange->body.len == exchange->length;
    return !exchange->tls_version || exchange->peer->ended;
}

static void finish(struct net_transfer *exchange, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    detach(exchange);
    if (code == CURLE_OK && exchange->head_complete && !is_whole(exchange, status))
        code = CURLE_PARTIAL_FILE;
    if (code == CURLE_OK && exchange->head_complete && !exchange->err.status) {
        pin_headers(exchange);
        const struct net_answer answer = {
            .status = (int)status,
            .headers = exchange->headers,
            .header_count = exchange->header_count,
            .body = { (const char *)exchange->body.data, exchange->body.len },
            .peer_chain = exchange->peer_chain,
            .tls_version = exchange->tls_version,
            .by_cmc_ra = exchange->peer->by_cmc_ra,
        };
        exchange->done(exchange->arg, &answer, NULL);
        return;
    }
    explain(exchange, code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code);
    exchange->done(exchange->arg, NULL, &exchange->err);
}

/* Callbacks may send, cancel, and free the client. */
static void settle(struct net_client *client)
{
    CURLMsg *message;
    int left;
    if (client->settling)
        return;
    client->settling = true;
    client->references++;
    while (client->multi && (message = curl_multi_info_read(client->multi, &left))) {
        struct net_transfer *exchange = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        finish(exchange, message->data.result);
    }
    client->settling = false;
    net_client_free(client);
}

void net_transfer_free(struct net_transfer *exchange)
{
    if (!exchange)
        return;
    detach(exchange);
    curl_easy_cleanup(exchange->easy);
    curl_url_cleanup(exchange->url);
    curl_slist_free_all(exchange->send_headers);
    sk_X509_pop_free(exchange->peer_chain, X509_free);
    net_server_peer_free(exchange->peer);
    lest_buf_wipe(&exchange->send_body);
    lest_buf_free(&exchange->head);
    lest_buf_free(&exchange->body);
    net_client_free(exchange->client);
    free(exchange);
}

/* -- sending -- */

static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
    (void)easy;
    struct net_transfer *exchange = arg;
    enum lest_status status =
        net_client_tls_prepare(exchange->client->tls, ctx, exchange->peer, &exchange->err);
    return status ? CURLE_ABORTED_BY_CALLBACK : CURLE_OK;
}

static enum lest_status set_url(struct net_transfer *exchange, const char *text, struct lest_error *err)
{
    enum lest_status status = LEST_E_USAGE;
    char *scheme = NULL, *host = NULL, *port = NULL;
#if LIBCURL_VERSION_NUM >= 0x075800
    const unsigned host_flags = CURLU_PUNYCODE;
#else
    const unsigned host_flags = 0;
#endif
    exchange->url = curl_url();
    if (!exchange->url)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    CURLUcode code = curl_url_set(exchange->url, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (code != CURLUE_OK) {
        lest_error_set(err, LEST_E_USAGE, "'%.150s' is no URL: %s", text, curl_url_strerror(code));
        goto out;
    }
    code = curl_url_get(exchange->url, CURLUPART_HOST, &host, host_flags);
    if (code == CURLUE_OK)
        code = curl_url_get(exchange->url, CURLUPART_SCHEME, &scheme, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(exchange->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    if (code != CURLUE_OK) {
        lest_error_set(err, LEST_E_USAGE, "'%.150s' is no URL to send to: %s", text, curl_url_strerror(code));
        goto out;
    }
    if (strcmp(scheme, "https") != 0 && !(exchange->client->plain_http && strcmp(scheme, "http") == 0)) {
        lest_error_set(err, LEST_E_USAGE, "'%.150s' is not https", text);
        goto out;
    }
    snprintf(exchange->origin, sizeof exchange->origin, "%s:%s", host, port);
    size_t len = strlen(host);
    bool bracketed = len > 2 && host[0] == '[' && host[len - 1] == ']';
    if (bracketed)
        host[len - 1] = '\0';
    exchange->peer = net_server_peer_new(exchange->client->tls, bracketed ? host + 1 : host);
    status = exchange->peer ? LEST_OK : lest_error_set(err, LEST_E_NOMEM, "out of memory");
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    return status;
}

static bool add_line(struct net_transfer *exchange, const char *line)
{
    struct curl_slist *list = curl_slist_append(exchange->send_headers, line);
    if (list)
        exchange->send_headers = list;
    return list != NULL;
}

static enum lest_status set_headers(struct net_transfer *exchange, const struct net_request *request,
                                    struct lest_error *err)
{
    /* No "Expect" and no Content-Type of libcurl's own; no coding that would have to be undone. */
    bool ok = add_line(exchange, "Expect:") && add_line(exchange, "Accept-Encoding: identity");
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
        ok = !line.failed && add_line(exchange, (const char *)line.data);
    }
    lest_buf_wipe(&line);
    if (ok && !typed)
        ok = add_line(exchange, "Content-Type:");
    return ok ? LEST_OK : lest_error_set(err, LEST_E_NOMEM, "the headers take too much memory");
}

static CURLcode set_method(struct net_transfer *exchange, const struct net_request *request)
{
    CURL *easy = exchange->easy;
    CURLcode failed = 0;
    bool post = strcmp(request->method, "POST") == 0;
    exchange->head_only = strcmp(request->method, "HEAD") == 0;
    if (exchange->head_only)
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (request->body || post) {
        lest_buf_append(&exchange->send_body, request->body ? request->body : "", request->body_len);
        if (exchange->send_body.failed)
            return CURLE_OUT_OF_MEMORY;
        failed |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                                   request->body_len ? (char *)exchange->send_body.data : "");
    }
    if (!post && (request->body || strcmp(request->method, "GET") != 0))
        failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return failed;
}

static CURLcode set_options(struct net_transfer *exchange, const struct net_request *request)
{
    CURL *easy = exchange->easy;
    CURLcode failed = 0;
#define SET(option, value) failed |= curl_easy_setopt(easy, CURLOPT_##option, value)
    SET(PRIVATE, exchange);
    SET(ERRORBUFFER, exchange->curl_text);
    SET(CURLU, exchange->url);
    SET(PROTOCOLS_STR, exchange->client->plain_http ? "https,http" : "https");
    SET(FOLLOWLOCATION, 0L);
    SET(HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    SET(HTTPHEADER, exchange->send_headers);
    SET(USERAGENT, "lest/" LEST_VERSION);
    SET(HTTP_CONTENT_DECODING, 0L);
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L);
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(TIMEOUT_MS, (long)request->timeout_ms);
    SET(CONNECTTIMEOUT_MS, (long)request->connect_timeout_ms);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, exchange);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, exchange);
    /* client_tls.c decides instead, and no session outlives its connection (RFC 7030 4.1.1). */
    SET(SSL_VERIFYPEER, 0L);
    SET(SSL_VERIFYHOST, 0L);
    SET(CAINFO, NULL);
    SET(CAPATH, NULL);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(SSL_SESSIONID_CACHE, 0L);
    SET(SSL_CTX_FUNCTION, on_ssl_ctx);
    SET(SSL_CTX_DATA, exchange);
    if (request->username || request->password) {
        SET(HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(USERNAME, request->username ? request->username : "");
        SET(PASSWORD, request->password ? request->password : "");
    }
#undef SET
    return failed ? failed : set_method(exchange, request);
}

enum lest_status net_client_send(struct net_client *client, const struct net_request *request,
                                 net_client_done *done, void *arg, struct net_transfer **out,
                                 struct lest_error *err)
{
    *out = NULL;
    if (!http_is_token(http_text(request->method)))
        return lest_error_set(err, LEST_E_USAGE, "the method is no token");
    struct net_transfer *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    exchange->client = client;
    client->references++;
    exchange->done = done;
    exchange->arg = arg;
    lest_buf_init(&exchange->send_body, request->body_len + 1);
    lest_buf_init(&exchange->head, NET_CLIENT_HEAD_MAX);
    lest_buf_init(&exchange->body, request->body_max);
    enum lest_status status = set_url(exchange, request->url, err);
    if (!status)
        status = set_headers(exchange, request, err);
    if (!status && (!(exchange->easy = curl_easy_init()) || !open_multi(client)))
        status = lest_error_set(err, LEST_E_NOMEM, "out of memory or descriptors");
    if (!status) {
        CURLcode code = set_options(exchange, request);
        if (code != CURLE_OK)
            status =
                lest_error_set(err, LEST_E_INTERNAL, "libcurl cannot do this: %s", curl_easy_strerror(code));
    }
    if (!status && curl_multi_add_handle(client->multi, exchange->easy) != CURLM_OK)
        status = lest_error_set(err, LEST_E_NOMEM, "out of memory");
    if (status) {
        net_transfer_free(exchange);
        return status;
    }
    exchange->added = true;
    client->under_way++;
    evtimer_del(client->idle);
    *out = exchange;
    return LEST_OK;
}
