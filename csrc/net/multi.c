#include "net/multi.h"

#include <stdlib.h>

/* A socket that libcurl wants to be told about. */
struct watched {
    struct net_multi *multi;
    struct event *event;
    short what;
    struct watched *next, **link;
};

/* references  the owner's, and one while `done` functions are called */
struct net_multi {
    struct event_base *base;
    struct event *timer; /* libcurl's */
    struct event *idle;
    CURLM *handle; /* NULL while idle: it holds descriptors of its own */
    struct watched *watched;
    size_t under_way;
    unsigned references;
    int64_t idle_ms;
    bool settling;
};

static void settle(struct net_multi *multi);

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
    struct net_multi *multi = ((struct watched *)arg)->multi;
    int running, mask = 0;
    mask |= (what & EV_READ) ? CURL_CSELECT_IN : 0;
    mask |= (what & EV_WRITE) ? CURL_CSELECT_OUT : 0;
    net_curl.multi_socket_action(multi->handle, fd, mask, &running);
    settle(multi);
}

static struct watched *watch(struct net_multi *multi, curl_socket_t fd)
{
    struct watched *watched = calloc(1, sizeof *watched);
    if (!watched)
        return NULL;
    watched->event = event_new(multi->base, fd, 0, on_socket, watched);
    if (!watched->event) {
        free(watched);
        return NULL;
    }
    watched->multi = multi;
    watched->next = multi->watched;
    watched->link = &multi->watched;
    if (watched->next)
        watched->next->link = &watched->next;
    multi->watched = watched;
    net_curl.multi_assign(multi->handle, fd, watched);
    return watched;
}

static int socket_function(CURL *easy, curl_socket_t fd, int what, void *userp, void *socketp)
{
    struct net_multi *multi = userp;
    struct net_multi_request *request = NULL;
    struct watched *watched = socketp;
    if (what == CURL_POLL_REMOVE) {
        if (watched)
            unwatch(watched);
        return 0;
    }
    if (net_curl.easy_getinfo(easy, CURLINFO_PRIVATE, &request) == CURLE_OK && request)
        request->fd = fd;
    if (!watched && !(watched = watch(multi, fd)))
        return -1;
    short wanted = EV_PERSIST;
    wanted |= (what & CURL_POLL_IN) ? EV_READ : 0;
    wanted |= (what & CURL_POLL_OUT) ? EV_WRITE : 0;
    if (wanted == watched->what)
        return 0;
    watched->what = wanted;
    event_del(watched->event);
    event_assign(watched->event, multi->base, fd, wanted, on_socket, watched);
    return event_add(watched->event, NULL) ? -1 : 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct net_multi *multi = arg;
    int running;
    net_curl.multi_socket_action(multi->handle, CURL_SOCKET_TIMEOUT, 0, &running);
    settle(multi);
}

static void set_timer(struct event *event, int64_t ms)
{
    struct timeval delay = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
    evtimer_add(event, &delay);
}

static int timer_function(CURLM *handle, long timeout_ms, void *userp)
{
    (void)handle;
    struct net_multi *multi = userp;
    if (timeout_ms < 0)
        evtimer_del(multi->timer);
    else
        set_timer(multi->timer, timeout_ms);
    return 0;
}

static void close_handle(struct net_multi *multi)
{
    if (multi->handle)
        net_curl.multi_cleanup(multi->handle);
    multi->handle = NULL;
    while (multi->watched)
        unwatch(multi->watched); /* NOLINT(clang-analyzer-unix.Malloc): which takes it off the list */
    evtimer_del(multi->timer);
    evtimer_del(multi->idle);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    close_handle(arg);
}

static bool open_handle(struct net_multi *multi)
{
    if (multi->handle)
        return true;
    multi->handle = net_curl.multi_init();
    if (!multi->handle)
        return false;
    /* Requests past the total wait for a connection, within their time. */
    if (net_curl.multi_setopt(multi->handle, CURLMOPT_SOCKETFUNCTION, socket_function) == CURLM_OK &&
        net_curl.multi_setopt(multi->handle, CURLMOPT_SOCKETDATA, multi) == CURLM_OK &&
        net_curl.multi_setopt(multi->handle, CURLMOPT_TIMERFUNCTION, timer_function) == CURLM_OK &&
        net_curl.multi_setopt(multi->handle, CURLMOPT_TIMERDATA, multi) == CURLM_OK &&
        net_curl.multi_setopt(multi->handle, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK &&
        net_curl.multi_setopt(multi->handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, 256L) == CURLM_OK &&
        net_curl.multi_setopt(multi->handle, CURLMOPT_MAXCONNECTS, 16L) == CURLM_OK)
        return true;
    close_handle(multi);
    return false;
}

struct net_multi *net_multi_new(struct net_loop *loop, int64_t idle_ms)
{
    struct net_multi *multi = calloc(1, sizeof *multi);
    if (!multi)
        return NULL;
    multi->references = 1;
    multi->base = net_loop_get0_base(loop);
    multi->idle_ms = idle_ms;
    multi->timer = evtimer_new(multi->base, on_timer, multi);
    multi->idle = evtimer_new(multi->base, on_idle, multi);
    if (multi->timer && multi->idle)
        return multi;
    net_multi_free(multi);
    return NULL;
}

void net_multi_free(struct net_multi *multi)
{
    if (!multi || --multi->references)
        return;
    if (multi->timer && multi->idle)
        close_handle(multi);
    if (multi->timer)
        event_free(multi->timer);
    if (multi->idle)
        event_free(multi->idle);
    free(multi);
}

struct event_base *net_multi_get0_base(struct net_multi *multi)
{
    return multi->base;
}

bool net_multi_add(struct net_multi *multi, struct net_multi_request *request)
{
    if (!open_handle(multi) || net_curl.easy_setopt(request->easy, CURLOPT_PRIVATE, request) != CURLE_OK ||
        net_curl.multi_add_handle(multi->handle, request->easy) != CURLM_OK)
        return false;
    request->added = true;
    request->fd = -1;
    multi->under_way++;
    evtimer_del(multi->idle);
    return true;
}

void net_multi_remove(struct net_multi *multi, struct net_multi_request *request)
{
    if (!request->added)
        return;
    request->added = false;
    net_curl.multi_remove_handle(multi->handle, request->easy);
    multi->under_way--;
    if (multi->under_way == 0)
        set_timer(multi->idle, multi->idle_ms);
}

static void settle(struct net_multi *multi)
{
    CURLMsg *message;
    int left;
    if (multi->settling)
        return;
    multi->settling = true;
    multi->references++;
    while (multi->handle && (message = net_curl.multi_info_read(multi->handle, &left))) {
        struct net_multi_request *request = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        net_curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
        request->done(request, code);
    }
    multi->settling = false;
    net_multi_free(multi);
}
