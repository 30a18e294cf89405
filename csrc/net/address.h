/* Addresses of sockets as text, and how many connections come from each; networks. */
#ifndef LEST_NET_ADDRESS_H
#define LEST_NET_ADDRESS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/** Room for an IPv6 address, and for "[address]:port". */
enum { NET_ADDRESS_SIZE = 46, NET_ENDPOINT_SIZE = 56 };

/** Bind and listen at "127.0.0.1:8443" or "[::1]:8443": an address literal, never a name. The socket is
 *  non-blocking and close-on-exec; "[::]" takes IPv4 too.
 *  fd  the caller's to close; -1 on failure. Errors: LEST_E_CONFIG, LEST_E_IO */
enum lest_status net_address_listen(const char *text, int *fd, struct lest_error *err) LEST_MUST_USE;

/** The address without its port, an IPv4-mapped one as IPv4; "unix" for another family. */
void net_address_text(const struct sockaddr_storage *address, char out[NET_ADDRESS_SIZE]);
int net_address_port(const struct sockaddr_storage *address);

/** "127.0.0.1:8443" or "[::1]:8443". */
void net_address_endpoint(const struct sockaddr_storage *address, char out[NET_ENDPOINT_SIZE]);

/** A port in decimal, without leading zeros, 0 to 65535; false: it is none. */
bool net_address_read_port(const char *text, uint16_t *out) LEST_MUST_USE;

/** The first bits of addresses, up to 128. One of IPv4 is that of ::ffff:a.b.c.d, with V4_BITS more of them;
 *  a shorter one has no addresses of IPv4. */
enum { NET_NETWORK_V4_BITS = 96 };
struct net_network {
    uint8_t address[16];
    unsigned bits;
};
bool net_network_has(const struct net_network *networks, size_t count,
                     const struct sockaddr_storage *address);

/** Who is counted as one peer: an IPv4 address, or the /64 of an IPv6 address, which one peer commonly has
 *  the whole of. */
struct net_peer_key {
    uint8_t bytes[16];
};
struct net_peer_key net_peer_key(const struct sockaddr_storage *address);

/** Counts by key. */
struct net_peer_counts;
struct net_peer_counts *net_peer_counts_new(void);
void net_peer_counts_free(struct net_peer_counts *counts);

/** Count one more; false if there are max already, or no memory, and nothing was counted. */
bool net_peer_counts_enter(struct net_peer_counts *counts, struct net_peer_key key, int max);

/** Undo one net_peer_counts_enter. */
void net_peer_counts_leave(struct net_peer_counts *counts, struct net_peer_key key);

#endif
