#include "net/client_multi.h"

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
    unsigned references; /* the owner's, and one for each transfer */
    int64_t idle_ms;
    bool plain_http;
    bool settling;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static bool usable;

static void global_init(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    usable = curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK && info->version_num >= 0x075700 &&
             info->ssl_version && strncmp(info->ssl_version, "OpenSSL/", 8) == 0;
}

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
    mask |= (what & EV_READ) ? CURL_CSELECT_IN : 0;
    mask |= (what & EV_WRITE) ? CURL_CSELECT_OUT : 0;
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
    wanted |= (what & CURL_POLL_IN) ? EV_READ : 0;
    wanted |= (what & CURL_POLL_OUT) ? EV_WRITE : 0;
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
        unwatch(client->watched); /* NOLINT(clang-analyzer-unix.Malloc): which takes it off the list */
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
    if (curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, socket_function) == CURLM_OK &&
        curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
        curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, timer_function) == CURLM_OK &&
        curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client) == CURLM_OK &&
        curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK &&
        curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 256L) == CURLM_OK &&
        curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, 16L) == CURLM_OK)
        return true;
    close_multi(client);
    return false;
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

bool net_client_add(struct net_client *client, CURL *easy)
{
    if (!open_multi(client) || curl_multi_add_handle(client->multi, easy) != CURLM_OK)
        return false;
    client->under_way++;
    evtimer_del(client->idle);
    return true;
}

void net_client_remove(struct net_client *client, CURL *easy)
{
    curl_multi_remove_handle(client->multi, easy);
    client->under_way--;
    if (client->under_way == 0)
        set_timer(client->idle, client->idle_ms);
}

struct net_client *net_client_ref(struct net_client *client)
{
    client->references++;
    return client;
}

const struct net_client_tls *net_client_get0_tls(const struct net_client *client)
{
    return client->tls;
}

bool net_client_takes_http(const struct net_client *client)
{
    return client->plain_http;
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
        struct net_transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        net_transfer_finish(transfer, message->data.result);
    }
    client->settling = false;
    net_client_free(client);
}
