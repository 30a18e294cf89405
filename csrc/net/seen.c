#include "net/seen.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A proxy's CONNECT comes first, and a request whose kept connection was closed comes again: the last one
 * counts. */
static void begin(struct net_seen *seen)
{
    lest_buf_wipe(&seen->sent);
    lest_buf_wipe(&seen->received);
}

static bool is_request_line(const char *data, size_t size)
{
    static const char version[] = " HTTP/1.1";
    const char *end = memchr(data, '\r', size);
    size_t len = sizeof version - 1;
    return end && end - data > (ptrdiff_t)len && memcmp(end - len, version, len) == 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is libcurl's. */
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t size, void *arg)
{
    struct net_seen *seen = arg;
    (void)easy;
    switch (type) {
    case CURLINFO_HEADER_OUT:
        if (is_request_line(data, size))
            begin(seen);
        /* fallthrough */
    case CURLINFO_DATA_OUT: lest_buf_append(&seen->sent, data, size); break;
    case CURLINFO_DATA_IN: lest_buf_append(&seen->received, data, size); break;
    default: break;
    }
    return 0;
}

struct net_seen *net_seen_new(CURL *easy)
{
    struct net_seen *seen = calloc(1, sizeof *seen);
    if (!seen)
        return NULL;
    lest_buf_init(&seen->sent, NET_SEEN_MAX);
    lest_buf_init(&seen->received, NET_SEEN_MAX);
    if (net_curl.easy_setopt(easy, CURLOPT_VERBOSE, 1L) == CURLE_OK &&
        net_curl.easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug) == CURLE_OK &&
        net_curl.easy_setopt(easy, CURLOPT_DEBUGDATA, seen) == CURLE_OK)
        return seen;
    net_seen_free(seen);
    return NULL;
}

void net_seen_finish(struct net_seen *seen, CURL *easy, const struct net_client_peer *peer)
{
    const char *address = NULL;
    long opened = 0;
    net_curl.easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
    net_curl.easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &seen->port);
    snprintf(seen->address, sizeof seen->address, "%s", address ? address : "");
    net_curl.easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &seen->resolved_us);
    net_curl.easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &seen->connected_us);
    net_curl.easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &seen->secured_us);
    net_curl.easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &seen->answered_us);
    net_curl.easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &seen->ended_us);
    net_curl.easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &opened);
    seen->reused = opened == 0 && seen->sent.len > 0;
    seen->peer = peer;
}

void net_seen_free(struct net_seen *seen)
{
    if (!seen)
        return;
    lest_buf_wipe(&seen->sent);
    lest_buf_wipe(&seen->received);
    free(seen);
}
