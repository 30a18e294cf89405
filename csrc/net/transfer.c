#include "net/transfer.h"

#include "net/binding.h"
#include "net/intake.h"
#include "net/opening.h"

#include <stdlib.h>
#include <string.h>

struct net_transfer {
    struct net_opening opening; /* first: net/multi.h knows a transfer by it */
    struct curl_slist *send_headers;
    struct net_seen *seen; /* where the request is watched */
    net_transfer_done *done;
    void *arg;
    net_body_make *make_body; /* NULL: it is there from the beginning */
    struct lest_buf send_body;
    size_t body_len; /* as the head says */
    size_t sent_len; /* of the body, as far as libcurl took it */
    struct net_reader reader;
    struct net_intake intake;
    const char *tls_version;
};

/* Keep why a callback makes libcurl stop. */
static void note_failure(struct net_transfer *transfer, const struct lest_error *why)
{
    lest_error_set(&transfer->opening.err, why->status, "%s: %s", transfer->opening.url.origin, why->message);
}

/* The session of the connection, while it is in use; NULL without TLS. */
static SSL *session_of(struct net_transfer *transfer)
{
    struct curl_tlssessioninfo *info = NULL;
    CURLcode code = net_curl.easy_getinfo(transfer->opening.request.easy, CURLINFO_TLS_SSL_PTR, &info);
    bool found = code == CURLE_OK && info && info->backend == CURLSSLBACKEND_OPENSSL;
    return found ? info->internals : NULL;
}

/* The connection's facts, while it is in use: afterwards it may belong to another request. */
static void note_connection(struct net_transfer *transfer)
{
    SSL *ssl = transfer->tls_version ? NULL : session_of(transfer);
    if (!ssl)
        return;
    struct net_client_peer *peer = net_client_peer_get0(ssl);
    transfer->tls_version = SSL_get_version(ssl);
    if (peer && peer != transfer->opening.peer) { /* a connection that another request opened */
        net_client_peer_free(transfer->opening.peer);
        transfer->opening.peer = net_client_peer_ref(peer);
    }
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is libcurl's. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *transfer = arg;
    const struct http_slice line = { data, size * count };
    struct lest_error why;
    long status = 0;
    if (!transfer->reader.head_complete) {
        note_connection(transfer);
        if (transfer->seen)
            lest_buf_append(&transfer->seen->received, line.data, line.len);
    }
    net_curl.easy_getinfo(transfer->opening.request.easy, CURLINFO_RESPONSE_CODE, &status);
    if (net_reader_take_line(&transfer->reader, line, status, &why) == LEST_OK)
        return line.len;
    note_failure(transfer, &why);
    return 0; /* which makes libcurl stop */
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct net_transfer *transfer = arg;
    struct lest_error why;
    if (net_reader_take_body(&transfer->reader, data, size * count, &why) == LEST_OK)
        return size * count;
    note_failure(transfer, &why);
    return 0;
}

static int on_progress(void *arg, curl_off_t all, curl_off_t got, curl_off_t all_sent, curl_off_t sent)
{
    struct net_transfer *transfer = arg;
    struct lest_error why;
    (void)all, (void)got, (void)all_sent, (void)sent;
    if (!net_intake_is_over(&transfer->intake, transfer->opening.request.fd))
        return 0;
    lest_error_set(&why, LEST_E_TOO_LARGE, "the answer takes too many bytes to send");
    note_failure(transfer, &why);
    return 1;
}

bool net_transfer_was_sent(const struct net_transfer *transfer)
{
    long head_len = 0;
    if (transfer->body_len)
        return transfer->sent_len > 0;
    net_curl.easy_getinfo(transfer->opening.request.easy, CURLINFO_REQUEST_SIZE, &head_len);
    return head_len > 0;
}

static void finish(struct net_multi_request *request, CURLcode code)
{
    struct net_transfer *transfer = (struct net_transfer *)request;
    struct net_reader *reader = &transfer->reader;
    long status = 0;
    net_curl.easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->seen)
        net_seen_finish(transfer->seen, request->easy, transfer->opening.peer);
    net_multi_remove(transfer->opening.client->multi, request);
    net_records_start_again(&transfer->opening.peer->records);
    if (code == CURLE_OK && reader->head_complete &&
        !net_reader_is_whole(reader, status, !transfer->tls_version || transfer->opening.peer->ended))
        code = CURLE_PARTIAL_FILE;
    if (code == CURLE_OK && reader->head_complete && !transfer->opening.err.status) {
        net_reader_finish(reader);
        const struct net_response response = {
            .status = (int)status,
            .headers = reader->headers,
            .header_count = reader->header_count,
            .body = { (const char *)reader->body.data, reader->body.len },
            .peer_chain = transfer->opening.peer->chain,
            .tls_version = transfer->tls_version,
            .by_cmc_ra = transfer->opening.peer->by_cmc_ra,
        };
        transfer->done(transfer->arg, &response, NULL);
        return;
    }
    net_opening_explain(&transfer->opening, code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code,
                        transfer->tls_version != NULL, net_transfer_was_sent(transfer));
    transfer->done(transfer->arg, NULL, &transfer->opening.err);
}

const struct net_seen *net_transfer_get0_seen(const struct net_transfer *transfer)
{
    return transfer->seen;
}

void net_transfer_free(struct net_transfer *transfer)
{
    if (!transfer)
        return;
    net_opening_free(&transfer->opening);
    net_curl.slist_free_all(transfer->send_headers);
    net_seen_free(transfer->seen);
    lest_buf_wipe(&transfer->send_body);
    net_reader_free(&transfer->reader);
    free(transfer);
}

static bool add_line(struct net_transfer *transfer, const char *line)
{
    struct curl_slist *list = net_curl.slist_append(transfer->send_headers, line);
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
    lest_buf_init(&line, NET_READER_HEAD_MAX);
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

/* The body for this very connection. */
static enum lest_status make_body(struct net_transfer *transfer, struct lest_error *err)
{
    char binding[NET_BINDING_SIZE];
    struct lest_buf *body = &transfer->send_body;
    SSL *ssl = session_of(transfer);
    if (!ssl || !net_binding_write(ssl, binding))
        return lest_error_set(err, LEST_E_TLS, "the connection has no channel binding");
    body->len = 0;
    enum lest_status status = transfer->make_body(transfer->arg, binding, body, err);
    if (status)
        return status;
    if (body->len > transfer->body_len)
        return lest_error_set(err, LEST_E_INTERNAL, "the request is larger than was announced");
    while (body->len < transfer->body_len && !body->failed)
        lest_buf_append_byte(body, '\n');
    return lest_buf_status(body, err);
}

static size_t on_send(char *out, size_t size, size_t count, void *arg)
{
    struct net_transfer *transfer = arg;
    struct lest_error why;
    if (transfer->make_body && transfer->sent_len == 0 && make_body(transfer, &why)) {
        note_failure(transfer, &why);
        return CURL_READFUNC_ABORT;
    }
    size_t left = transfer->send_body.len - transfer->sent_len, len = size * count;
    len = left < len ? left : len;
    memcpy(out, transfer->send_body.data + transfer->sent_len, len);
    transfer->sent_len += len;
    return len;
}

/* Where a kept connection turns out to be closed, libcurl would send the request again on a new one. With a
 * body it must ask, and it may not: the server may have acted on it, or died of it (RFC 9110 9.2.2). */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    const struct net_transfer *transfer = arg;
    return offset == 0 && origin == SEEK_SET && transfer->sent_len == 0 ? CURL_SEEKFUNC_OK
                                                                        : CURL_SEEKFUNC_FAIL;
}

static CURLcode set_method(struct net_transfer *transfer, const struct net_request *request)
{
    CURL *easy = transfer->opening.request.easy;
    CURLcode failed = 0;
    bool post = strcmp(request->method, "POST") == 0;
    transfer->reader.head_only = strcmp(request->method, "HEAD") == 0;
    if (transfer->reader.head_only)
        return net_curl.easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (request->body || request->make_body || post) {
        lest_buf_append(&transfer->send_body, request->body ? request->body : "",
                        request->body ? request->body_len : 0);
        if (transfer->send_body.failed)
            return CURLE_OUT_OF_MEMORY;
        failed |= net_curl.easy_setopt(easy, CURLOPT_POST, 1L);
        failed |= net_curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        if (request->body_len == 0) { /* nothing would ask on_seek */
            failed |= net_curl.easy_setopt(easy, CURLOPT_POSTFIELDS, "");
            failed |= net_curl.easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        }
        failed |= net_curl.easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
        failed |= net_curl.easy_setopt(easy, CURLOPT_READDATA, transfer);
        failed |= net_curl.easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        failed |= net_curl.easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
    }
    if (!post && (request->body || strcmp(request->method, "GET") != 0))
        failed |= net_curl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return failed;
}

/* Of libcurl's buffers for reading and writing, which each transfer has: its own sizes are 16 and 64 KiB, its
 * least for writing is 16. A script has a hundred devices under way. */
enum { READ_LEN = 4096, WRITE_LEN = 16384 };

static CURLcode set_options(struct net_transfer *transfer, const struct net_request *request)
{
    CURL *easy = transfer->opening.request.easy;
    CURLcode failed = 0;
#define SET(option, value) failed |= net_curl.easy_setopt(easy, CURLOPT_##option, value)
    SET(FOLLOWLOCATION, 0L);
    SET(HTTPHEADER, transfer->send_headers);
    SET(USERAGENT, "lest/" LEST_VERSION);
    SET(HTTP_CONTENT_DECODING, 0L);
    SET(BUFFERSIZE, (long)READ_LEN);
    SET(UPLOAD_BUFFERSIZE, (long)WRITE_LEN);
    SET(TIMEOUT_MS, (long)request->timeout_ms);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, transfer);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, transfer);
    SET(NOPROGRESS, 0L);
    SET(XFERINFOFUNCTION, on_progress);
    SET(XFERINFODATA, transfer);
    if (request->username || request->password) {
        SET(HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(USERNAME, request->username ? request->username : "");
        SET(PASSWORD, request->password ? request->password : "");
    }
#undef SET
    return failed ? failed : set_method(transfer, request);
}

static enum lest_status prepare(struct net_transfer *transfer, struct net_client *client,
                                const struct net_request *request, struct lest_error *err)
{
    enum lest_status status =
        net_opening_init(&transfer->opening, client, request->url, request->connect_timeout_ms, err);
    if (!status)
        status = set_headers(transfer, request, err);
    if (status)
        return status;
    if (request->watched && !(transfer->seen = net_seen_new(transfer->opening.request.easy)))
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    CURLcode code = set_options(transfer, request);
    if (code != CURLE_OK)
        return lest_error_set(err, LEST_E_INTERNAL, "libcurl cannot do this: %s",
                              net_curl.easy_strerror(code));
    return LEST_OK;
}

enum lest_status net_transfer_send(struct net_client *client, const struct net_request *request,
                                   net_transfer_done *done, void *arg, struct net_transfer **out,
                                   struct lest_error *err)
{
    *out = NULL;
    if (!http_is_token(http_text(request->method)))
        return lest_error_set(err, LEST_E_USAGE, "the method is no token");
    struct net_transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    transfer->opening.request.done = finish;
    transfer->done = done;
    transfer->arg = arg;
    transfer->make_body = request->make_body;
    transfer->body_len = request->body_len;
    lest_buf_init(&transfer->send_body, request->body_len + 1);
    net_reader_init(&transfer->reader, request->body_max);
    net_intake_init(&transfer->intake, request->body_max);
    enum lest_status status = prepare(transfer, client, request, err);
    if (!status && !net_multi_add(client->multi, &transfer->opening.request))
        status = lest_error_set(err, LEST_E_NOMEM, "out of memory or descriptors");
    if (status)
        net_transfer_free(transfer);
    else
        *out = transfer;
    return status;
}
