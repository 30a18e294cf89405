#include "net/connection_proxy.h"

#include "net/proxy.h"

void net_connection_end_proxy(struct net_connection *c, const char *why)
{
    net_service_count_turned_away(LEST_TURNED_AWAY_PROXY);
    net_connection_report_end(c, why);
    net_connection_drop(c, "closed");
}

/* The connection is the client's from now on; where it has too many, it is closed. The balancer's own keeps
 * its address. */
static void name_client(struct net_connection *c, const struct sockaddr_storage *client)
{
    struct net_service *service = c->service;
    struct net_peer_key key = client ? net_peer_key(client) : c->key;
    if (client)
        net_peer_set_address(c->peer, client);
    if (!net_peer_counts_enter(service->counts, key, service->limits.connections_per_address_max)) {
        net_service_count_turned_away(LEST_TURNED_AWAY_ADDRESS);
        net_connection_report_end(c, "there are too many connections from its address");
        net_connection_drop(c, "closed");
        return;
    }
    net_peer_counts_leave(c->counts, c->key);
    c->counts = service->counts;
    c->key = key;
    c->state = NET_HANDSHAKE;
    net_connection_set_deadline(c, service->limits.handshake_ms);
}

/* What has come is looked at before it is taken, since the bytes behind the header are for TLS. While the
 * header is not whole, all of them are its own, and are taken: what stays would wake the loop without
 * pause. */
bool net_connection_step_proxy(struct net_connection *c)
{
    uint8_t bytes[NET_PROXY_MAX];
    size_t got, before = c->in.len;
    struct net_proxy header;
    enum net_io io = net_stream_peek(&c->stream, bytes, sizeof bytes - before, &got);
    if (io == NET_IO_WAIT)
        return false;
    if (io != NET_IO_DONE) {
        net_connection_end_proxy(c, "the peer left before the end of its PROXY header");
        return true;
    }
    lest_buf_append(&c->in, bytes, got);
    enum net_proxy_verdict verdict = net_proxy_parse(c->in.data, c->in.len, &header);
    if (c->in.failed || verdict == NET_PROXY_BAD) {
        net_connection_end_proxy(c, c->in.failed ? "out of memory" : header.why);
        return true;
    }
    size_t taken = verdict == NET_PROXY_MORE ? got : header.len - before;
    if (net_stream_skip(&c->stream, bytes, taken) != NET_IO_DONE) {
        net_connection_drop(c, "closed");
        return true;
    }
    if (verdict == NET_PROXY_MORE)
        return true;
    lest_buf_free(&c->in);
    name_client(c, verdict == NET_PROXY_CLIENT ? &header.client : NULL);
    return true;
}
