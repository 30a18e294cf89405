/* The PROXY protocol, versions 1 and 2: what a balancer sends before all else, to say who its client is. A
 * pure function of bytes.
 *
 * As the specification by HAProxy (doc/proxy-protocol.txt) has it, and strict about it. Of version 2, TCP
 * over IPv4 and IPv6 alone is known; what else is forwarded is refused. */
#ifndef LEST_NET_PROXY_H
#define LEST_NET_PROXY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/** The most bytes of a header: what one segment of TCP has room for in any case. */
enum { NET_PROXY_MAX = 536 };

/** MORE    the header is not whole; all that came belongs to it
 *  CLIENT  it names the client
 *  OWN     the client is who connected: the balancer itself (LOCAL), or what it cannot name (UNKNOWN)
 *  BAD     it is none */
enum net_proxy_verdict { NET_PROXY_MORE, NET_PROXY_CLIENT, NET_PROXY_OWN, NET_PROXY_BAD };

/** len     bytes of the header, with CLIENT and OWN
 *  client  with CLIENT
 *  why     with BAD: a sentence */
struct net_proxy {
    size_t len;
    struct sockaddr_storage client;
    const char *why;
};

/** Read the header that these bytes begin with. With NET_PROXY_MAX bytes it is whole or bad. */
enum net_proxy_verdict net_proxy_parse(const uint8_t *data, size_t len, struct net_proxy *out);

#endif
