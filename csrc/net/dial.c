#include "net/dial.h"

#include "net/intake.h"
#include "net/opening.h"

#include <stdlib.h>

/* READ_LEN   of one call of libcurl
 * READS_MAX  of one turn of the loop, so that a server that sends without pause keeps nobody else waiting */
enum { READ_LEN = 16384, READS_MAX = 16 };

enum operation { NOTHING, CONNECT, SEND, RECEIVE };

/* fd  once it is connected, else -1 */
struct net_dial {
    struct net_opening opening; /* first: net/multi.h knows a dial by it */
    enum operation operation;
    int fd;
    struct event *ready;
    struct event *timer;
    struct lest_buf out;
    struct net_incoming in;
    struct net_intake intake;
    net_dial_done *done;
    void *arg;
};

static const char *origin_of(const struct net_dial *dial)
{
    return dial->opening.url.origin;
}

static void finish(struct net_dial *dial, const struct lest_error *err)
{
    dial->operation = NOTHING;
    event_del(dial->ready);
    event_del(dial->timer);
    net_records_start_again(&dial->opening.peer->records);
    dial->done(dial->arg, err);
}

/* Put the server's name before what a reader says. */
static void fail(struct net_dial *dial, const struct lest_error *why)
{
    struct lest_error err;
    lest_error_set(&err, why->status, "%s: %s", origin_of(dial), why->message);
    finish(dial, &err);
}

static void fail_with(struct net_dial *dial, CURLcode code)
{
    struct lest_error *err = &dial->opening.err;
    err->status = LEST_OK;
    net_opening_explain(&dial->opening, code, dial->opening.peer->version != NULL, true);
    finish(dial, err);
}

static void on_connected(struct net_multi_request *request, CURLcode code)
{
    struct net_dial *dial = (struct net_dial *)request;
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (code == CURLE_OK)
        net_curl.easy_getinfo(request->easy, CURLINFO_ACTIVESOCKET, &fd);
    if (code == CURLE_OK && fd != CURL_SOCKET_BAD) {
        dial->fd = fd;
        event_assign(dial->ready, event_get_base(dial->ready), fd, 0, event_get_callback(dial->ready), dial);
        finish(dial, NULL);
        return;
    }
    net_opening_explain(&dial->opening, code == CURLE_OK ? CURLE_COULDNT_CONNECT : code, false, false);
    finish(dial, &dial->opening.err);
}

static void wait_for(struct net_dial *dial, short what)
{
    event_del(dial->ready);
    event_assign(dial->ready, event_get_base(dial->ready), dial->fd, what, event_get_callback(dial->ready),
                 dial);
    event_add(dial->ready, NULL);
}

/* As soon as the loop turns. */
static void go_on(struct net_dial *dial)
{
    event_active(dial->ready, EV_TIMEOUT, 0);
}

static void step_send(struct net_dial *dial)
{
    while (dial->out.len) {
        size_t done = 0;
        CURLcode code = net_curl.easy_send(dial->opening.request.easy, dial->out.data, dial->out.len, &done);
        if (code == CURLE_AGAIN) {
            wait_for(dial, EV_WRITE);
            return;
        }
        if (code != CURLE_OK) {
            fail_with(dial, code);
            return;
        }
        lest_buf_consume(&dial->out, done);
    }
    finish(dial, NULL);
}

/* Whether the receiving is over. */
static bool take(struct net_dial *dial, const char *data, size_t len)
{
    struct lest_error why;
    if (net_incoming_take(&dial->in, data, len, &why))
        fail(dial, &why);
    else if (dial->in.is_done)
        finish(dial, NULL);
    else
        return false;
    return true;
}

static void take_end(struct net_dial *dial)
{
    struct lest_error why;
    const struct net_client_peer *peer = dial->opening.peer;
    if (net_incoming_end(&dial->in, !peer->version || peer->ended, &why))
        fail(dial, &why);
    else
        finish(dial, NULL);
}

static void fail_flooded(struct net_dial *dial)
{
    struct lest_error why;
    lest_error_set(&why, LEST_E_TOO_LARGE, "the answer takes too many bytes to send");
    fail(dial, &why);
}

static void step_receive(struct net_dial *dial)
{
    char data[READ_LEN];
    if (net_intake_is_over(&dial->intake, dial->fd)) {
        fail_flooded(dial);
        return;
    }
    for (int i = 0; i < READS_MAX; i++) {
        size_t got = 0;
        CURLcode code = net_curl.easy_recv(dial->opening.request.easy, data, sizeof data, &got);
        if (dial->opening.peer->records.why) {
            fail_with(dial, CURLE_RECV_ERROR);
            return;
        }
        if (code == CURLE_AGAIN) {
            wait_for(dial, EV_READ);
            return;
        }
        if (code == CURLE_OK && got == 0) {
            take_end(dial);
            return;
        }
        if (code != CURLE_OK) {
            fail_with(dial, code);
            return;
        }
        if (take(dial, data, got))
            return;
    }
    go_on(dial);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct net_dial *dial = arg;
    (void)fd, (void)what;
    if (dial->operation == SEND)
        step_send(dial);
    else if (dial->operation == RECEIVE && !take(dial, "", 0)) /* more than one answer may have come */
        step_receive(dial);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct net_dial *dial = arg;
    struct lest_error err;
    (void)fd, (void)what;
    if (dial->operation == SEND)
        lest_error_set(&err, LEST_E_TIMEOUT, "%s: the server takes no more in time", origin_of(dial));
    else
        lest_error_set(&err, LEST_E_TIMEOUT, "%s: no answer in time, but %zu bytes", origin_of(dial),
                       dial->in.raw.len);
    finish(dial, &err);
}

static CURLcode set_options(struct net_dial *dial)
{
    CURL *easy = dial->opening.request.easy;
    CURLcode failed = net_curl.easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    failed |= net_curl.easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    return failed;
}

static enum lest_status prepare(struct net_dial *dial, struct net_client *client, const char *url,
                                int64_t timeout_ms, struct lest_error *err)
{
    struct event_base *base = net_multi_get0_base(client->multi);
    enum lest_status status = net_opening_init(&dial->opening, client, url, timeout_ms, err);
    if (status)
        return status;
    dial->ready = event_new(base, -1, 0, on_ready, dial);
    dial->timer = evtimer_new(base, on_timer, dial);
    if (!dial->ready || !dial->timer || set_options(dial) != CURLE_OK ||
        !net_multi_add(client->multi, &dial->opening.request))
        return lest_error_set(err, LEST_E_NOMEM, "out of memory or descriptors");
    return LEST_OK;
}

enum lest_status net_dial_open(struct net_client *client, const char *url, int64_t timeout_ms,
                               net_dial_done *done, void *arg, struct net_dial **out, struct lest_error *err)
{
    *out = NULL;
    struct net_dial *dial = calloc(1, sizeof *dial);
    if (!dial)
        return lest_error_set(err, LEST_E_NOMEM, "out of memory");
    dial->fd = -1;
    dial->operation = CONNECT;
    dial->opening.request.done = on_connected;
    dial->done = done;
    dial->arg = arg;
    net_incoming_init(&dial->in, 0);
    enum lest_status status = prepare(dial, client, url, timeout_ms, err);
    if (status)
        net_dial_free(dial);
    else
        *out = dial;
    return status;
}

static enum lest_status begin(struct net_dial *dial, enum operation operation, int64_t timeout_ms,
                              net_dial_done *done, struct lest_error *err)
{
    struct timeval time = { .tv_sec = (time_t)(timeout_ms / 1000),
                            .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000) };
    if (dial->fd < 0 || dial->operation != NOTHING)
        return lest_error_set(err, LEST_E_USAGE,
                              dial->fd < 0 ? "there is no connection"
                                           : "another operation of this connection is under way");
    dial->operation = operation;
    dial->done = done;
    evtimer_add(dial->timer, &time);
    go_on(dial);
    return LEST_OK;
}

enum lest_status net_dial_send(struct net_dial *dial, const void *data, size_t len, int64_t timeout_ms,
                               net_dial_done *done, struct lest_error *err)
{
    enum lest_status status = begin(dial, SEND, timeout_ms, done, err);
    if (status)
        return status;
    lest_buf_wipe(&dial->out);
    dial->out.max = len;
    lest_buf_append(&dial->out, data, len);
    if (!dial->out.failed)
        return LEST_OK;
    dial->operation = NOTHING;
    event_del(dial->timer);
    return lest_error_set(err, LEST_E_NOMEM, "out of memory");
}

enum lest_status net_dial_receive(struct net_dial *dial, bool head_only, size_t body_max, int64_t timeout_ms,
                                  net_dial_done *done, struct lest_error *err)
{
    enum lest_status status = begin(dial, RECEIVE, timeout_ms, done, err);
    if (status)
        return status;
    net_incoming_next(&dial->in, head_only, body_max);
    net_intake_init(&dial->intake, body_max);
    return LEST_OK;
}

const struct net_incoming *net_dial_get0_incoming(const struct net_dial *dial)
{
    return &dial->in;
}

const struct net_client_peer *net_dial_get0_peer(const struct net_dial *dial)
{
    return dial->opening.peer;
}

const char *net_dial_address(struct net_dial *dial, long *port)
{
    const char *address = NULL;
    *port = 0;
    net_curl.easy_getinfo(dial->opening.request.easy, CURLINFO_PRIMARY_IP, &address);
    net_curl.easy_getinfo(dial->opening.request.easy, CURLINFO_PRIMARY_PORT, port);
    return address ? address : "";
}

void net_dial_free(struct net_dial *dial)
{
    if (!dial)
        return;
    if (dial->ready)
        event_free(dial->ready); /* before libcurl closes its socket */
    if (dial->timer)
        event_free(dial->timer);
    net_opening_free(&dial->opening);
    lest_buf_wipe(&dial->out);
    net_incoming_free(&dial->in);
    free(dial);
}
